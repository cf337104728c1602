"""Images that are to be deployed: a moving tag, several at once, one that was moved back, a registry that is down."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from deploybot.domain import (
    ArtifactSource,
    Author,
    Gate,
    ImagePushed,
    ImagesSource,
    Phase,
    Pin,
    Release,
    Running,
    ServerPlan,
    State,
    Step,
    StepRow,
    StepState,
    TriggerState,
)
from deploybot.errors import NOT_STARTED, Unreachable
from deploybot.ports import Tables
from deploybot.settings import App
from deploybot.testing import FakeRefs
from tests.autodeploy.conftest import AutodeployBot, open_autodeploy_bot
from tests.store.examples import plan

IMAGES = {"web": {"image": "acme/shop"}, "worker": {"image": "acme/worker"}}
ASK = {"auto": {"image": True, "ask": True}}


def pin(service: str, digit: str) -> Pin:
    name = "shop" if service == "web" else service
    return Pin(service, f"docker.io/acme/{name}", "latest", f"sha256:{digit * 64}")


WEB, WORKER = pin("web", "1"), pin("worker", "2")


async def lay(bot: AutodeployBot, *pins: Pin, release: Release | None = None) -> str:
    """Somebody has deployed these images, or another release, to staging; the commit that runs with the images."""
    release = release or Release.of_commit(bot.refs.branches["main"], images=pins)

    def put(tables: Tables) -> None:
        person = tables.people.named("ana")
        assert person is not None
        made = dataclasses.replace(plan(environment="staging"), release=release)
        row = tables.deployments.add(made, requester=person, reason="", channel=None, now=1.0)
        tables.deployments.move(row.number, State.SUCCEEDED, now=2.0)
        tables.running.put(Running("shop", "staging", "web1", release, row.number, 2.0, healthy=True))

    await bot.store.write(put)
    return bot.refs.branches["main"]


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[AutodeployBot]:
    """A shop of two images, whose card asks for new ones: what it would type is what would be typed."""
    async with open_autodeploy_bot(tmp_path, ASK, strategy="compose", images=IMAGES) as made:
        yield made


async def commands(bot: AutodeployBot) -> list[str]:
    return [button.command for card in await bot.cards() for button in card.buttons]


async def see(bot: AutodeployBot, *pins: Pin) -> None:
    bot.pinned.now = pins
    await bot.look()


async def test_what_is_there_at_first_is_not_deployed(bot: AutodeployBot) -> None:
    await see(bot, WEB, WORKER)
    assert await bot.cards() == []


async def test_one_new_image_is_deployed_by_its_digest(bot: AutodeployBot) -> None:
    await lay(bot, WEB, WORKER)
    await see(bot, WEB, WORKER)
    newer = pin("web", "3")
    event = ImagePushed(sender="harbor", image="acme/shop", tag="latest", digest=newer.digest, by=Author("ci"))
    assert await bot.hear(event) == "checking whether to deploy staging"
    await see(bot, newer, WORKER)
    await bot.look()
    (card,) = await bot.cards()
    assert card.title == "shop/staging: image shop:latest by ci can be deployed"
    assert await commands(bot) == [f"deploy shop@{newer.digest} to staging"]


async def test_several_new_images_are_pinned_anew_with_the_commit_that_runs(bot: AutodeployBot) -> None:
    commit = await lay(bot, WEB, WORKER)
    await see(bot, WEB, WORKER)
    await see(bot, pin("web", "3"), WORKER)
    await see(bot, pin("web", "3"), pin("worker", "4"))
    assert await commands(bot) == [f"deploy shop@{commit} to staging"]


async def test_where_nothing_runs_the_newest_of_the_branch_is_taken(bot: AutodeployBot) -> None:
    await see(bot, WEB, WORKER)
    await see(bot, pin("web", "3"), WORKER)
    assert await commands(bot) == ["deploy shop to staging"]


async def test_an_image_that_runs_already_is_nothing_new(bot: AutodeployBot) -> None:
    await lay(bot, WEB, WORKER)
    await see(bot, WEB, WORKER)
    await lay(bot, pin("web", "3"), WORKER)
    await see(bot, pin("web", "3"), WORKER)
    assert await bot.cards() == []


async def test_a_tag_that_was_moved_back_is_reported_and_not_deployed(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"image": True}}, strategy="compose", images=IMAGES) as bot:
        await lay(bot, WEB, WORKER)
        await lay(bot, pin("web", "3"), WORKER)
        await see(bot, pin("web", "3"), WORKER)
        await see(bot, WEB, WORKER)
        (card,) = await bot.cards()
        assert card.text == "web latest was moved back to an image that ran before."
        assert len(await bot.deployments_of()) == 2


REFUSED = {"state": StepState.FAILED, "code": NOT_STARTED}
ENDS: dict[str, tuple[State, dict[str, dict[str, object]], bool]] = {
    "refused at its start": (State.FAILED, {}, False),
    "refused before it pulled": (State.FAILED, {"pull": REFUSED}, False),
    "refused before the task": (State.FAILED, {"pull": {}, "baseline": {}, "migrate": REFUSED}, False),
    "refused before the switch": (State.FAILED, {"pull": {}, "up": REFUSED}, False),
    "cancelled beside it": (State.FAILED, {"pull": {}, "up": {"state": StepState.CANCELLED, "code": -2}}, False),
    "its pull failed": (State.FAILED, {"pull": {"state": StepState.FAILED, "code": 1}}, True),
    "a task ran": (State.FAILED, {"pull": {}, "migrate": {}, "up": REFUSED}, True),
    "its switch failed": (State.FAILED, {"pull": {}, "up": {"state": StepState.FAILED, "code": 1}}, True),
    "its switch is unknown": (State.FAILED, {"pull": {}, "up": {"state": StepState.UNKNOWN}}, True),
    "not healthy": (State.FAILED, {"pull": {}, "up": {}, "health": {"state": StepState.FAILED}}, True),
    "restored": (State.RESTORED, {}, True),
    "unknown": (State.UNKNOWN, {}, True),
}


@pytest.mark.parametrize(("state", "rows", "is_tried"), ENDS.values(), ids=ENDS)
async def test_a_plan_that_was_untrue_before_anything_changed_tried_no_image(
    bot: AutodeployBot, state: State, rows: dict[str, dict[str, object]], *, is_tried: bool
) -> None:
    """A person edited the Compose files: that says nothing about the images."""
    await lay(bot, WEB, WORKER)
    await see(bot, WEB, WORKER)
    newer = pin("web", "3")
    steps = (
        Step(name="pull", script="compose_build"),
        Step(name="migrate", script="command", task="migrate", ahead=True),
        Step(name="up", script="compose_up", switches=True),
    )
    part = ServerPlan(server="web1", steps=steps, gate=Gate(kind="http", target="http://127.0.0.1/"), watch=60.0)
    at = {stage.name: (position, stage.kind) for position, stage in enumerate(part.stages)}

    def put(tables: Tables) -> None:
        person = tables.people.named("ana")
        assert person is not None
        release = Release.of_commit(bot.refs.branches["main"], images=(newer, WORKER))
        made = dataclasses.replace(plan(environment="staging"), release=release, servers=(part,))
        number = tables.deployments.add(made, requester=person, reason="", channel=None, now=1.0).number
        if rows or state is not State.FAILED:
            tables.deployments.move(number, State.RUNNING, now=2.0)
        for name, values in rows.items():
            position, kind = at[name]
            row = StepRow(
                deployment=number,
                phase=Phase.FORWARD,
                server="web1",
                position=position,
                name=name,
                job=f"{number}-{name}",
                state=StepState.STARTED,
                kind=kind,
            )
            tables.deployments.begin(row)
            end = {"state": StepState.DONE, "code": 0} | values
            tables.deployments.end(row.job, end["state"], code=end["code"], now=3.0, detail="")  # type: ignore[arg-type]
        tables.deployments.move(number, state, now=4.0)

    await bot.store.write(put)
    await see(bot, newer, WORKER)
    (trigger,) = await bot.triggers()
    assert trigger.problem == (f"It was part of #2: {(await bot.deployments_of())[-1].word}" if is_tried else "")
    assert trigger.state is (TriggerState.LEFT if is_tried else TriggerState.ASKED)


async def test_a_registry_that_is_down_keeps_nobody_from_the_repository(tmp_path: Path) -> None:
    async with open_autodeploy_bot(
        tmp_path, {"auto": {"image": True, "branch": "develop"}}, strategy="compose", images=IMAGES
    ) as bot:
        bot.pinned.down = Unreachable("registry.example.com", "no answer within 30 s")
        made = bot.commit("develop")
        with pytest.raises(Unreachable, match="no answer within 30 s"):
            await bot.look()
        assert [(trigger.source, trigger.commit) for trigger in await bot.triggers()] == [("heads/develop", made)]


class StrictRefs(FakeRefs):
    """A repository that may be asked about commits only."""

    async def touched(self, app: App, old: str, new: str, patterns: Sequence[str]) -> tuple[str, ...] | None:
        assert {len(old), len(new)} == {40}
        return await super().touched(app, old, new, patterns)

    async def is_ancestor(self, app: App, old: str, new: str) -> bool | None:
        assert {len(old), len(new)} == {40}
        return await super().is_ancestor(app, old, new)


async def test_where_no_commit_runs_a_push_is_deployed(tmp_path: Path) -> None:
    """What was pushed cannot be compared with what runs, so it is new, and older than nothing."""
    auto = {"auto": {"branch": "develop", "paths": ["web/"]}}
    async with open_autodeploy_bot(tmp_path, auto, refs=StrictRefs(tmp_path)) as bot:
        await lay(bot, release=Release(ArtifactSource("a" * 64)))
        made = await bot.push("develop", paths=("docs/x",))
        await bot.settle()
        assert (await bot.deployed())[-1] == made
        assert await bot.runs() == made


async def test_new_images_where_none_has_a_commit_are_asked_for_without_one(bot: AutodeployBot) -> None:
    await lay(bot, release=Release(ImagesSource((WEB, WORKER))))
    await see(bot, WEB, WORKER)
    await see(bot, pin("web", "3"), WORKER)
    assert await commands(bot) == [f"deploy shop@{pin('web', '3').digest} to staging"]
    await see(bot, pin("web", "3"), pin("worker", "4"))
    assert await commands(bot) == ["deploy shop to staging"]


RANGE = {"web": {"image": "acme/shop", "tag": "^1.4"}}
NUMBERS = {"web": {"image": "acme/shop", "tag": {"pattern": "build-(\\d+)", "order": "number"}}}


def tagged(tag: str, digit: str) -> Pin:
    return Pin("web", "docker.io/acme/shop", tag, f"sha256:{digit * 64}")


@pytest.mark.parametrize(
    ("images", "old", "new", "newer"),
    [(RANGE, "1.4.4", "1.4.5", "1.4.6"), (NUMBERS, "build-9", "build-10", "build-11")],
    ids=["range", "number"],
)
@pytest.mark.parametrize("by_digest", [False, True])
async def test_a_deleted_tag_brings_no_older_image(
    tmp_path: Path, images: dict[str, dict[str, object]], old: str, new: str, newer: str, *, by_digest: bool
) -> None:
    """What was deployed by its digest has no tag where it runs."""
    async with open_autodeploy_bot(tmp_path, {"auto": {"image": True}}, strategy="compose", images=images) as bot:
        await lay(bot, tagged("" if by_digest else new, "5"))
        await see(bot, tagged(new, "5"))
        await see(bot, tagged(old, "4"))
        (trigger,) = await bot.triggers()
        assert (trigger.state, trigger.problem) == (TriggerState.LEFT, f"web {new}, which is newer, was deleted")
        (card,) = await bot.cards()
        assert [button.command for button in card.buttons] == [f"deploy shop@sha256:{'4' * 64} to staging"]
        await bot.say("lock shop staging because I look at it", "dia")
        await see(bot, tagged(newer, "6"))
        assert (await bot.triggers())[-1].state is TriggerState.OPEN


async def test_a_tag_that_is_deleted_while_it_waits_brings_no_older_image(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"image": True}}, strategy="compose", images=RANGE) as bot:
        await lay(bot, tagged("1.4.3", "3"))
        await see(bot, tagged("1.4.3", "3"))
        await bot.say("lock shop staging because I look at it", "dia")
        await see(bot, tagged("1.4.5", "5"))
        await see(bot, tagged("1.4.4", "4"))
        assert [one.state for one in await bot.triggers()] == [TriggerState.OVERTAKEN, TriggerState.LEFT]


async def test_an_older_tag_than_what_runs_is_left_where_no_tag_was_stored(tmp_path: Path) -> None:
    """A version before stored digests only; the next look adds the tags."""
    async with open_autodeploy_bot(tmp_path, {"auto": {"image": True}}, strategy="compose", images=RANGE) as bot:
        await lay(bot, tagged("1.4.5", "5"))
        await see(bot, tagged("1.4.5", "5"))
        await bot.store.write(lambda tables: tables.triggers.forget("shop", "staging", "image tags"))
        await see(bot, tagged("1.4.4", "4"))
        (trigger,) = await bot.triggers()
        assert trigger.problem == "web 1.4.4 is older than 1.4.5, which runs there"
        await bot.store.write(lambda tables: tables.triggers.forget("shop", "staging", "image tags"))
        await bot.look()
        seen = await bot.store.read(lambda tables: tables.triggers.considered("shop", "staging"))
        assert seen["image tags"] == "web=1.4.4"


async def test_a_new_range_may_bring_an_older_image(tmp_path: Path) -> None:
    """What does not fit the range is no newer version of it."""
    async with open_autodeploy_bot(tmp_path, {"auto": {"image": True}}, strategy="compose", images=RANGE) as bot:
        await lay(bot, tagged("2.0.0", "6"))
        await see(bot, tagged("2.0.0", "6"))
        await bot.say("lock shop staging because I look at it", "dia")
        await see(bot, tagged("1.4.5", "5"))
        (trigger,) = await bot.triggers()
        assert trigger.state is TriggerState.OPEN
