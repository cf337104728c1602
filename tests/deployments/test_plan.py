"""Plans: what is asked of the strategy, what people should know before, and what is refused together."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.deployments.planner import digest_of
from deploybot.domain import (
    NO_RELEASE,
    ArtifactSource,
    Changes,
    Commit,
    Gate,
    Image,
    ImagesSource,
    Kind,
    Manifest,
    ManifestRow,
    Origin,
    Pin,
    Plan,
    Release,
    ReleaseSource,
    Running,
    ServerPlan,
)
from deploybot.domain.missing_content import MissingContent
from deploybot.errors import DeploybotError, NoImage, UserError
from deploybot.ports import Site, Tables
from deploybot.strategies import STRATEGIES
from deploybot.testing import FakeEngine, FakeHost, FakeServers
from tests.deployments.plain import BACK, SWITCH, PlainStrategy, planner_of
from tests.kit.bot import V1, V2, V3, BotUnderTest, open_bot

PIN = Pin("web", "acme/shop", "1.4", f"sha256:{'1' * 64}")
GATE = Gate(kind="command", target="curl -f localhost", within=20.0)


def _runs(bot: BotUnderTest, release: Release, *names: str) -> None:
    for name in names:
        facts = bot.hosts[name].server_facts
        bot.hosts[name].server_facts = replace(facts, current=release.id, releases=(release.id,))


async def _recorded(bot: BotUnderTest, release: Release, *names: str) -> None:
    plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=release, servers=())

    def put(tables: Tables) -> None:
        made = tables.deployments.add(plan, requester=bot.person, reason="", channel=None, now=1.0)
        for name in names:
            tables.running.put(Running("shop", "production", name, release, made.number, 1.0, healthy=True))

    await bot.store.write(put)


async def test_a_plan_has_a_part_for_each_server_in_their_order(bot: BotUnderTest) -> None:
    strategy = PlainStrategy()
    _runs(bot, V1, "web1", "web2")
    bot.refs.between[V1.id, V2.id] = changes = Changes(commits=(Commit("c" * 40, "ana", "Fix", 1.0),), total=1)
    plan = await planner_of(bot, strategy).deploy(bot.app, bot.production, V2, remove_orphans=True)
    assert [part.server for part in plan.servers] == ["web1", "web2"]
    assert [part.replaces for part in plan.servers] == [Release.by_id(V1.id)] * 2
    assert (plan.kind, plan.app, plan.environment, plan.release) == (Kind.DEPLOY, "shop", "production", V2)
    assert (plan.changes, plan.warnings, plan.remove_orphans) == (changes, (), True)
    assert bot.refs.calls.keys() == {"shop"}
    assert plan.digest == digest_of(plan)
    assert plan.digest != digest_of(replace(plan, release=V3))
    content = json.dumps(dataclasses.asdict(replace(plan, digest="")), sort_keys=True, separators=(",", ":"))
    assert plan.digest == hashlib.sha256(content.encode()).hexdigest()
    assert [(site.server, site.remove_orphans, release, back) for site, release, _, back in strategy.deployed] == [
        ("web1", True, V2, False),
        ("web2", True, V2, False),
    ]


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize(
    ("source", "words"),
    [
        (ImagesSource((PIN,)), "1.4 (web 1.4 sha256:1111111111) is images"),
        (ImagesSource((), "f" * 64), "1.4 (image-ffffffffff) is images"),
        (ArtifactSource("a" * 64), "1.4 (artifact-aaaaaaaaaa) is an artifact"),
        (None, "1.4 () is no release"),
    ],
)
async def test_what_a_strategy_does_not_take_is_refused_before_a_server_is_asked(
    bot: BotUnderTest, name: str, source: ReleaseSource | None, words: str
) -> None:
    app = bot.app.model_copy(update={"strategy": name})
    for server in ("web1", "web2"):
        bot.hosts[server].down = "nobody may ask it"
    with pytest.raises(UserError) as caught:
        await planner_of(bot, STRATEGIES[name], name=name).deploy(app, bot.production, Release(source, "1.4"))
    takes = "a commit or a commit with images"
    assert caught.value.sentence == f"{words}, and strategy `{name}` of shop deploys {takes}."
    assert caught.value.hint == f"Name {takes}, or change apps.shop.strategy in bot.toml."


async def test_a_strategy_gets_what_it_takes(bot: BotUnderTest) -> None:
    strategy = PlainStrategy(takes=(ArtifactSource,))
    release = Release(ArtifactSource("a" * 64))
    plan = await planner_of(bot, strategy).deploy(bot.app, bot.production, release)
    assert (plan.release, [one for _, one, _, _ in strategy.deployed]) == (release, [release] * 2)
    assert plan.changes == Changes(known=False)
    _runs(bot, release, "web1", "web2")
    restart = await planner_of(bot, strategy).restart(bot.app, bot.production)
    assert restart.release == release
    with pytest.raises(UserError, match="is a commit, and strategy `files` of shop deploys an artifact"):
        await planner_of(bot, strategy).deploy(bot.app, bot.production, V1)


async def test_the_first_release_changes_nothing_that_is_known(bot: BotUnderTest) -> None:
    plan = await planner_of(bot, PlainStrategy()).deploy(bot.app, bot.production, V1)
    assert plan.changes == Changes(known=False)


async def test_servers_that_are_named_alone_are_planned(bot: BotUnderTest) -> None:
    planner = planner_of(bot, PlainStrategy())
    plan = await planner.deploy(bot.app, bot.production, V1, servers=("web2",))
    assert [part.server for part in plan.servers] == ["web2"]
    with pytest.raises(UserError, match="shop does not run on web7, db1 in production") as caught:
        await planner.deploy(bot.app, bot.production, V1, servers=("web7", "web1", "db1"))
    assert caught.value.hint == "Its servers there: web1, web2"


async def test_what_stays_is_the_new_the_old_and_the_last_good_releases(bot: BotUnderTest) -> None:
    await bot.deploy(V3)
    strategy = PlainStrategy()
    _runs(bot, V1, "web1", "web2")
    plan = await planner_of(bot, strategy).deploy(bot.app, bot.production, V2)
    assert strategy.kept == [(V2.id, V1.id, V3.id)] * 2
    assert [step.script for part in plan.servers for step in part.cleanup] == ["prune", "prune"]


async def test_what_is_asked_for_stays_too(bot: BotUnderTest) -> None:
    await bot.request(V3, at=dt.time(4, 0))
    strategy = PlainStrategy()
    await planner_of(bot, strategy).deploy(bot.app, bot.production, V2)
    assert strategy.kept == [(V2.id, V3.id)] * 2


async def test_what_is_asked_for_another_app_does_not_stay(bot: BotUnderTest) -> None:
    other = Plan(kind=Kind.DEPLOY, app="other", environment="production", release=V3, servers=())
    await bot.store.write(
        lambda tables: tables.deployments.add(other, requester=bot.person, reason="", channel=None, now=1.0)
    )
    strategy = PlainStrategy()
    plan = await planner_of(bot, strategy).deploy(bot.app, bot.production, V2)
    assert strategy.kept == [(V2.id,)] * 2
    assert not plan.remove_orphans


async def test_only_a_rollback_takes_the_compose_files_that_the_release_ran_with(bot: BotUnderTest) -> None:
    row = ManifestRow(
        app="shop",
        environment="production",
        server="web1",
        release=V2.id,
        manifest=Manifest(files=("old.yaml",)),
        at=1.0,
        verified=True,
    )
    await bot.store.write(lambda tables: tables.manifests.put(row))
    strategy = PlainStrategy()
    for back in (True, False):
        await planner_of(bot, strategy).deploy(bot.app, bot.production, V2, servers=("web1",), rollback=back)
    assert [site.files for site, *_ in strategy.deployed] == [("old.yaml",), ()]


async def test_a_health_command_is_a_last_step_both_ways(bot: BotUnderTest) -> None:
    _runs(bot, V1, "web1", "web2")
    plan = await planner_of(bot, PlainStrategy(part={"gate": GATE})).deploy(bot.app, bot.production, V2)
    part = plan.servers[0]
    assert part.gate is None
    assert (part.steps[0], part.restore[0]) == (SWITCH, BACK)
    health = part.steps[1]
    assert (health.name, health.script, health.timeout, health.switches) == ("health", "health_command", 50.0, True)
    assert health.env == (*SWITCH.env, ("DEPLOYBOT_HEALTH", GATE.target), ("DEPLOYBOT_WITHIN", "20"))
    assert health.secrets == SWITCH.secrets
    assert part.restore[1].env == (*BACK.env, ("DEPLOYBOT_HEALTH", GATE.target), ("DEPLOYBOT_WITHIN", "20"))


async def test_a_health_command_without_a_way_back_and_other_gates(bot: BotUnderTest) -> None:
    first = await planner_of(bot, PlainStrategy(part={"gate": GATE})).deploy(bot.app, bot.production, V2)
    assert first.servers[0].restore == ()
    http = replace(GATE, kind="http")
    other = await planner_of(bot, PlainStrategy(part={"gate": http})).deploy(bot.app, bot.production, V2)
    assert (other.servers[0].gate, other.servers[0].steps) == (http, (SWITCH,))


async def test_a_link_is_restored_without_the_health_command(bot: BotUnderTest) -> None:
    _runs(bot, V1, "web1", "web2")
    strategy = PlainStrategy(part={"gate": GATE, "verify": True})
    (part, _) = (await planner_of(bot, strategy).deploy(bot.app, bot.production, V2)).servers
    assert [step.name for step in part.steps] == ["switch", "health"]
    assert part.restore == (BACK,)


@pytest.mark.parametrize(
    ("runs", "row", "part", "warning"),
    [
        (V1, V1, {}, ()),
        (V1, V2, {}, ("web1 runs 1111111111, but #1 deployed v2 (2222222222)",)),
        (None, V2, {}, ("web1 runs nothing, but #1 deployed v2 (2222222222)",)),
        (None, V2, {"before": Manifest()}, ("web1 runs something else, but #1 deployed v2 (2222222222)",)),
        (None, None, {"before": Manifest()}, ("web1: this project already has containers; they are taken over",)),
        (V1, V1, {"before": Manifest()}, ()),
        (V1, V1, {"restore": ()}, ("web1: 1111111111 cannot be restored if this fails: its files are gone",)),
        (
            V1,
            V1,
            {"restore": (), "verify": True},
            ("web1: 1111111111 cannot be restored if this fails: it does not run now",),
        ),
        (V1, V1, {"warnings": ("A is blank.",)}, ("web1: A is blank.",)),
    ],
)
async def test_what_people_should_know_before(
    bot: BotUnderTest, runs: Release | None, row: Release | None, part: dict[str, object], warning: tuple[str, ...]
) -> None:
    if runs:
        _runs(bot, runs, "web1")
    if row:
        await _recorded(bot, row, "web1")
    planner = planner_of(bot, PlainStrategy(part=part))
    plan = await planner.deploy(bot.app, bot.production, V3, servers=("web1",))
    said = [one.replace("v1 (1111111111)", "1111111111") for one in plan.warnings]
    assert said == [*warning]


async def test_a_switch_that_did_not_end_is_named(bot: BotUnderTest) -> None:
    bot.hosts["web2"].server_facts = replace(bot.hosts["web2"].server_facts, switching=V3.id)
    plan = await planner_of(bot, PlainStrategy()).deploy(bot.app, bot.production, V1)
    assert plan.warnings == ("web2: an earlier switch to 3333333333 did not finish",)


class PickyStrategy(PlainStrategy):
    """Refuses some servers."""

    def deploy(self, site: Site, release: Release, previous: Release | None, *, back: bool = False) -> ServerPlan:
        """Raise what `part` holds for the server."""
        problem = self.part.get(site.server)
        if problem is not None:
            raise problem
        return PlainStrategy(part={}).deploy(site, release, previous, back=back)


async def _refused(bot: BotUnderTest, **problems: Exception) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011  any class is looked at by the tests
        await planner_of(bot, PickyStrategy(part=problems)).deploy(bot.app, bot.production, V1)
    return caught.value


async def test_what_breaks_for_one_server_names_it(bot: BotUnderTest) -> None:
    problem = await _refused(bot, web2=ZeroDivisionError("a slip of the pen"))
    assert not isinstance(problem, ZeroDivisionError)
    assert "web2" in str(problem)


class SlippingEngine(FakeEngine):
    """An Engine that cannot tell its images."""

    async def images(self) -> tuple[Image, ...]:
        raise ZeroDivisionError("a slip of the pen")


async def test_what_breaks_while_a_server_is_observed_names_it(bot: BotUnderTest) -> None:
    servers = {name: FakeHost(name) for name in ("web1", "web2")}
    bot.hosts = FakeServers(servers.values(), {"web1": FakeEngine("web1"), "web2": SlippingEngine("web2")})
    with pytest.raises(DeploybotError, match="web2"):
        await planner_of(bot, PlainStrategy(containers=True)).deploy(bot.app, bot.production, V1)


async def test_what_several_servers_lack_is_said_at_once(bot: BotUnderTest) -> None:
    both = await _refused(bot, web1=UserError("No git.", hint="Install git."), web2=UserError("No room.", hint=""))
    assert isinstance(both, UserError)
    assert (both.sentence, both.hint) == ("No git.\nNo room.", "Install git.")
    hints = await _refused(bot, web1=UserError("A", hint="Do a."), web2=UserError("B", hint="Do b."))
    assert isinstance(hints, UserError)
    assert hints.hint == "Do a.\nDo b."
    same = await _refused(bot, web1=UserError("No git.", hint="a"), web2=UserError("No git.", hint="a"))
    assert isinstance(same, UserError)
    assert (same.sentence, same.hint) == ("No git.", "a")


async def test_one_problem_keeps_its_class(bot: BotUnderTest) -> None:
    alone = await _refused(bot, web2=NoImage("There is no image."))
    assert isinstance(alone, NoImage)


async def test_what_people_cannot_mend_is_said_alone(bot: BotUnderTest) -> None:
    bot.hosts["web2"].down = "it is off"
    problem = await _refused(bot, web1=UserError("No git."))
    assert "it is off" in str(problem)


async def test_a_restart_and_a_task_are_planned_on_what_runs(bot: BotUnderTest) -> None:
    _runs(bot, V1, "web1", "web2")
    strategy = PlainStrategy(part={"gate": GATE})
    planner = planner_of(bot, strategy)
    restart = await planner.restart(bot.app, bot.production)
    assert (restart.kind, restart.release.id, restart.task) == (Kind.RESTART, V1.id, "")
    assert [(part.server, part.replaces and part.replaces.id) for part in restart.servers] == [
        ("web1", V1.id),
        ("web2", V1.id),
    ]
    assert [step.name for step in restart.servers[0].steps] == ["switch", "health"]
    task = await planner.task(bot.app, bot.production, "migrate")
    assert (task.kind, task.task, [part.server for part in task.servers]) == (Kind.TASK, "migrate", ["web1"])
    assert [step.name for step in task.servers[0].steps] == ["migrate"]
    asked = [(site.server, site.remove_orphans, release.id) for site, release in strategy.tasks]
    assert asked == [("web1", False, V1.id)]
    assert len({restart.digest, task.digest, digest_of(restart), digest_of(task)}) == 2


async def test_where_nothing_runs_nothing_is_restarted(bot: BotUnderTest) -> None:
    _runs(bot, V1, "web1")
    with pytest.raises(UserError, match="No release of shop runs in production on web2 yet") as caught:
        await planner_of(bot, PlainStrategy()).restart(bot.app, bot.production)
    assert caught.value.hint == "Deploy it first: deploy shop to production"


async def test_the_same_again_is_planned_as_before(bot: BotUnderTest) -> None:
    _runs(bot, V1, "web1", "web2")
    strategy = PlainStrategy()
    planner = planner_of(bot, strategy)
    for old in (
        await planner.restart(bot.app, bot.production),
        await planner.task(bot.app, bot.production, "tidy"),
    ):
        assert await planner.again(bot.app, bot.production, old) == old
    back = await planner.deploy(bot.app, bot.production, V2, rollback=True, servers=("web2",), remove_orphans=True)
    assert await planner.again(bot.app, bot.production, back) == back
    assert strategy.deployed[-1][3] is True
    gone = replace(back, servers=(*back.servers, replace(back.servers[0], server="web9")))
    assert await planner.again(bot.app, bot.production, gone) == back
    gone = replace(back, servers=tuple(replace(back.servers[0], server=name) for name in ("web8", "web9")))
    with pytest.raises(UserError, match=r"bot\.toml no longer has web8, web9 in shop production"):
        await planner.again(bot.app, bot.production, gone)


async def test_files_are_put_there_from_scratch_for_a_new_plan_only(bot: BotUnderTest) -> None:
    strategy = PlainStrategy(questions=["compose_config"])
    planner = planner_of(bot, strategy)
    plan = await planner.deploy(bot.app, bot.production, V1, servers=("web1",))
    await planner.again(bot.app, bot.production, plan)
    assert strategy.fetches == [True, False]


async def test_files_of_a_release_that_was_healthy_are_not_fetched_from_scratch(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    await bot.deploy(V2)
    strategy = PlainStrategy(questions=["compose_config"])
    for release in (V1, V3):
        await planner_of(bot, strategy).deploy(bot.app, bot.production, release, servers=("web1",))
    assert strategy.fetches == [False, True]


async def test_what_allows_a_commit_depends_on_the_kind_of_the_plan(tmp_path: Path) -> None:
    async with open_bot(tmp_path, refs=["v*", "main"]) as bot:
        bot.refs.tags |= {"v2": V2.id, "v2.0": V2.id}
        await bot.deploy(V2)
        planner = planner_of(bot, PlainStrategy())
        where = (bot.app, bot.production)
        plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V2, servers=())
        first, second = [
            await planner.origin(*where, replace(plan, origin=Origin(ref=ref))) for ref in ("tag v2", "tag v2.0")
        ]
        assert (first, second) == (Origin(ref="tag v2"), Origin(ref="tag v2.0"))
        assert await planner.origin(*where, plan) == await planner.releases.origin(*where, V2)
        assert await planner.origin(*where, replace(plan, kind=Kind.ROLLBACK)) == Origin(ran=True)
        assert await planner.origin(*where, replace(plan, kind=Kind.RESTART)) is None


async def test_what_allowed_a_commit_is_looked_up_for_the_same_again(tmp_path: Path) -> None:
    async with open_bot(tmp_path, refs=["v*", "main"]) as bot:
        bot.refs.tags["v2"] = V2.id
        planner = planner_of(bot, PlainStrategy())
        plan = await planner.deploy(bot.app, bot.production, V2)
        again = await planner.again(bot.app, bot.production, plan)
        assert again.origin == await planner.releases.origin(bot.app, bot.production, V2)
        assert again.origin is not None
        assert again.origin.ref


async def test_what_runs_there_is_a_meaning_of_that_environment(bot: BotUnderTest) -> None:
    _runs(bot, V1, "web1", "web2")
    release = await planner_of(bot, PlainStrategy()).meaning(bot.app, bot.production, ":current")
    assert release is not None
    assert release.id == V1.id


@pytest.mark.parametrize(("ref", "found"), [("v2", V2.id), ("gone", None)])
async def test_what_a_ref_means_now(bot: BotUnderTest, ref: str, found: str | None) -> None:
    release = await planner_of(bot, PlainStrategy()).meaning(bot.app, bot.production, ref)
    assert (release and release.id) == found


async def test_a_plan_names_what_the_repository_has_elsewhere(bot: BotUnderTest) -> None:
    bot.refs.missing = {one.id: MissingContent(submodules=("lib",), pointers=("a.psd",)) for one in (V1, V2)}
    words = (
        "submodule lib stays an empty folder: the bot does not fetch submodules",
        "a.psd stays a pointer: the bot does not fetch Git LFS",
    )
    for release in (V1, V2):
        assert (await bot.deploy(release)).plan.warnings == words
    # What ran there is known to work without.
    assert (await bot.deploy(V1, rollback=True)).plan.warnings == ()


async def test_a_plan_needs_no_repository_to_name_it(bot: BotUnderTest) -> None:
    bot.refs.down = "no route to host"
    releases = bot.deployments.releases
    assert await releases.missing(bot.app, V1) == ()
    assert await releases.missing(bot.app, NO_RELEASE) == ()
