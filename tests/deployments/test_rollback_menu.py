"""Rolling back without memory: what is offered, what each choice would cost, and the two presses that do it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.card import Button, Card, Moment
from deploybot.deployments.phone_rows import ROW
from deploybot.dispatch.rollback_question import choice_label, choices_text
from deploybot.domain import (
    Changes,
    Commit,
    Kind,
    Pin,
    Plan,
    Release,
    RollbackChoice,
    RollbackChoices,
    Running,
    ServerPlan,
    State,
)
from deploybot.ports import Tables
from deploybot.units import show_time
from tests.deployments.test_containers import ComposedServer, composed, server
from tests.kit.bot import V1, V2, V3, BotUnderTest
from tests.strategies.sites import image_id

__all__ = ["composed", "server"]

SUBJECTS = ("Sell lanterns", "Show prices with taxes for everybody everywhere", "Fix the cart", "Start")
ID = "f" * 40


def commits(*subjects: str) -> tuple[Commit, ...]:
    return tuple(Commit(ID, "ana", subject, 0.0) for subject in subjects)


@pytest.fixture
async def released(bot: BotUnderTest) -> BotUnderTest:
    """A bot that has deployed v1, v2 and v3 to production."""
    for release in (V1, V2, V3):
        await bot.deploy(release)
    lost = Changes(commits=commits(*SUBJECTS), total=4, warnings=("migrations/0007_price.sql",))
    bot.refs.between = {(V1.id, V3.id): lost, (V2.id, V3.id): Changes(commits=commits(SUBJECTS[0]), total=1)}
    return bot


async def asked(bot: BotUnderTest, text: str = "rollback shop from production ?", **more: object) -> Card:
    card = await bot.say(text, **more)  # type: ignore[arg-type]  # those of `incoming`
    assert (card.ok, card.private, card.picks) == (False, True, True), card
    return card


async def test_each_choice_says_what_it_would_cost(released: BotUnderTest) -> None:
    facts = released.hosts["web2"].server_facts
    released.hosts["web2"].server_facts = replace(facts, releases=(V3.id,))
    card = await asked(released)
    assert card.title == "Which release for shop/production?"
    ends = [(await released.deployment(number)).finished for number in (2, 1)]
    at = [f"  {show_time(end)} by ana" for end in ends]
    assert card.text.split("\n") == [
        "runs now: v3",
        "v2 · #2",
        at[0],
        "  loses 1 commit of v3",
        "  - Sell lanterns",
        "  still on web1",
        "  no longer on web2",
        "v1 · #1",
        at[1],
        "  loses 4 commits of v3",
        "  - Sell lanterns",
        "  - Show prices with taxes for everybod…",
        "  - Fix the cart",
        "  - and 1 more",
        "! between: migrations/0007_price.sql",
        "  still on web1",
        "  no longer on web2",
    ]
    assert card.times == tuple(Moment(show_time(end), end) for end in ends)
    assert card.buttons == (
        Button("v2 · #2", "rollback shop from production to #2 --dry-run"),
        Button("v1 · #1", "rollback shop from production to #1 --dry-run"),
    )
    assert card.hint.endswith("To roll back at once, type `rollback shop from production to #2`.")


def test_a_choice_of_settings_alone_says_so() -> None:
    choice = RollbackChoice(ref="#1", release=V1, at=0.0, by="ana", lost=Changes(), held=(("web1", True),))
    rows = choices_text(RollbackChoices(choices=(choice,), runs=(("web1", "v1"),), base=V1), str).split("\n")
    assert "  the same images, other settings" in rows
    assert not [row for row in rows if "commit" in row]


async def test_two_presses_roll_back_and_the_first_shows_the_plan(released: BotUnderTest) -> None:
    menu = await asked(released, "rollback shop from production ? because the cart is empty")
    plan = await released.say(menu.buttons[1].command)
    assert plan.title == "shop/production: v3 → v1 (rollback) · dry run"
    assert plan.buttons == (
        Button("Roll back", "rollback shop from production to #1 because the cart is empty", danger=True),
    )
    assert released.current() == {V3.id}
    ended = await released.end_of(await released.ask(plan.buttons[0].command))
    assert (ended.plan.kind, ended.state, ended.reason) == (Kind.ROLLBACK, State.SUCCEEDED, "the cart is empty")
    assert released.current() == {V1.id}


async def test_a_person_who_types_only_the_app_is_asked_and_a_script_is_not(released: BotUnderTest) -> None:
    for text in ("rollback shop", "rollback shop because it is slow"):
        card = await asked(released, text, can_pick=True)
        assert [one.label for one in card.buttons] == ["production", "staging"]
    refused = await released.say("rollback shop")  # it has no default environment
    assert refused.title == "Which environment of shop do you mean: production, staging?"
    assert not refused.picks
    await released.end_of(await released.ask("rollback shop from production"))
    assert released.current() == {V2.id}


@pytest.mark.parametrize(
    "text",
    [
        "rollback shop production because it is slow",
        "rollback shop from production to #1",
    ],
)
async def test_what_is_typed_fully_acts_at_once_for_people_too(released: BotUnderTest, text: str) -> None:
    card = await released.say(text, can_pick=True)
    assert card.ok, card
    assert (await released.end_of(4)).plan.kind is Kind.ROLLBACK


async def test_the_only_environment_needs_no_question(released: BotUnderTest) -> None:
    only = released.app.model_copy(update={"environments": {"production": released.production}})
    released.settings.apps["shop"] = only
    released.start()
    for text in ("rollback", "rollback shop"):
        card = await asked(released, text, can_pick=True)
        assert [one.label for one in card.buttons] == ["v2 · #2", "v1 · #1"]
    await released.end_of(await released.ask("rollback shop"))
    assert released.current() == {V2.id}


async def test_it_works_while_the_repository_and_a_server_are_silent(released: BotUnderTest) -> None:
    released.refs.down = "no answer"
    released.hosts["web2"].down = "no route to host"
    card = await asked(released)
    assert card.text.split("\n")[:5] == [
        "runs now: v3 on web1",
        "runs now: unknown on web2",
        "v2 · #2",
        card.text.split("\n")[3],
        "  lost commits: unknown",
    ]
    assert "  unknown on web2" in card.text.split("\n")
    released.hosts["web1"].down = "no route to host"
    card = await asked(released)
    assert card.text.startswith("runs now: unknown\nv3 · #3\n")
    assert [one.label for one in card.buttons] == ["v3 · #3", "v2 · #2", "v1 · #1"]


async def test_what_was_rolled_back_from_is_not_a_way_back(released: BotUnderTest) -> None:
    await released.deploy(V2, rollback=True)
    card = await asked(released)
    assert [one.label for one in card.buttons] == ["v1 · #1"]


async def test_servers_that_run_different_releases_are_named(released: BotUnderTest) -> None:
    await released.deploy(V2, servers=["web2"])
    card = await asked(released)
    assert card.text.startswith("runs now: v3 on web1\nruns now: v2 on web2\n")


async def test_the_newest_five_are_offered(bot: BotUnderTest) -> None:
    for number in range(7):
        commit = f"{number + 3}" * 40
        bot.refs.known[f"r{number}"] = commit
        await bot.deploy(Release.of_commit(commit, f"r{number}"))
    assert [one.label for one in (await asked(bot)).buttons] == [f"r{n} · #{n + 1}" for n in (5, 4, 3, 2, 1)]


async def test_an_image_that_is_gone_is_not_held(composed: BotUnderTest, server: ComposedServer) -> None:
    for release in (V1, V2, V3):
        await composed.deploy(release)
    server.engine.all_images = [one for one in server.engine.all_images if one.id != image_id("1")]
    text = (await asked(composed, "rollback shop ?")).text
    held, gone = text.split("v1 · #1")
    assert "still on web1" in held
    assert "no longer on web1" in gone


def test_no_row_leaves_the_screen_of_a_phone_and_nothing_unmasked_is_cut() -> None:
    secret = "correct-horse-battery"
    long = Release.of_commit(ID, f"feature/{'x' * 60}")
    changes = Changes(
        commits=commits(f"{'y' * 25}{secret}", "z" * 90, "a"),
        total=12_345,
        removed=9,
        warnings=(f"db/{'deep/' * 20}0007.sql", "m/1.sql", "m/2.sql"),
    )
    names = tuple((f"a-server-with-a-long-name-{number}", number % 3 == 0) for number in range(40))
    choice = RollbackChoice(ref="#12345", release=long, at=1.8e9, by="b" * 50, lost=changes, held=names)
    runs = tuple((name, f"{'v' * 50}{number % 2}") for number, (name, _) in enumerate(names))
    text = choices_text(
        RollbackChoices(choices=(choice,) * 5, runs=runs, base=long), lambda text: text.replace(secret, "***")
    )
    assert max(map(len, text.split("\n"))) <= ROW
    assert len(text) < 3_000  # what Slack shows of a text
    assert "correct" not in text
    assert "! between: …deep/deep/deep/deep/0007.sql" in text.split("\n")
    assert f"{long.ref[:30]}… · #12345" in text.split("\n")
    assert "  still on 14 servers" in text.split("\n")
    assert f"runs now: {'v' * 15}… on 20 servers" in text.split("\n")
    assert "! between: 1 more of warn_paths" in text.split("\n")
    assert "  brings 9 other commits" in text.split("\n")
    assert choice_label(choice) == f"{long.ref} · #12345"


def test_other_images_of_the_same_commit_lose_no_commits() -> None:
    choice = RollbackChoice(ref="#4", release=V1, at=0.0, by="ana", lost=Changes(), held=(("web1", True),))
    other = V1.with_images((Pin("web", "acme/web", "1", f"sha256:{'1' * 64}"),))
    rows = choices_text(RollbackChoices(choices=(choice,), runs=(("web1", "v1"),), base=other), str).split("\n")
    assert rows[-2:] == ["  loses no commits: other images", "  still on web1"]


async def succeeded(bot: BotUnderTest, release: Release, **settings: str) -> None:
    """Note a good deployment, with the hash of the settings that each server got."""

    def note(tables: Tables) -> None:
        parts = tuple(ServerPlan(server=one, steps=(), configuration=text) for one, text in settings.items())
        plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=release, servers=parts)
        made = tables.deployments.add(plan, requester=bot.person, reason="", channel=None, now=1.0)
        tables.deployments.move(made.number, State.SUCCEEDED, now=2.0)
        for one in settings:
            tables.running.put(Running("shop", "production", one, release, made.number, 2.0, healthy=True))

    await bot.store.write(note)


async def test_a_server_that_a_deployment_left_out_makes_no_other_settings(bot: BotUnderTest) -> None:
    async def offered() -> list[str]:
        found = await bot.deployments.releases.offered(bot.app, bot.production, back=True)
        return [label for label, _ in found]

    await succeeded(bot, V1, web1="a")
    await succeeded(bot, V1, web1="a", web2="a")
    assert await offered() == [], "a server was added"
    await succeeded(bot, V1, web1="a")
    assert await offered() == [], "a server was down"
    await succeeded(bot, V1, web1="b", web2="b")
    assert await offered() == ["v1 · #3 · other settings"]
