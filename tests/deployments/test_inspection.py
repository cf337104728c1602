"""Looking at a target before there is a plan: bringing files there, asking scripts, and which release runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import pytest

from deploybot.deployments.target_inspection import Inspector, step_values
from deploybot.domain import Image, JobState, Kind, Plan, Release, Running, ServerPlan, State, Step
from deploybot.errors import StepUnknown, Unreachable, UserError
from deploybot.ports import Site, Tables
from deploybot.testing import FakeEngine, FakeHost, FakeServers, Outcome
from tests.deployments.plain import PlainStrategy, inspector_of
from tests.kit.bot import SECRET, V1, V2, V3, BotUnderTest

ASKS = "compose_config"


async def _site(bot: BotUnderTest, inspector: Inspector, server: str = "web1", **more: object) -> Site:
    return replace(await inspector.site(bot.app, bot.production, server), **more)  # type: ignore[arg-type]


async def test_what_is_observed_and_recorded(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    site = await _site(bot, inspector_of(bot, PlainStrategy()))
    assert (site.running, site.good, site.images, site.remove_orphans) == (V1.id, frozenset({V1.id}), (), False)
    assert site.server == "web1"


async def test_a_strategy_that_asks_nothing_brings_no_files(bot: BotUnderTest) -> None:
    strategy = PlainStrategy()
    inspector = inspector_of(bot, strategy)
    site = await _site(bot, inspector)
    assert await inspector.study(site, V1) is site
    assert bot.hosts["web1"].started == []


async def test_files_come_first_then_all_questions_are_asked(bot: BotUnderTest) -> None:
    strategy = PlainStrategy(questions=[ASKS, "compose_paths"])
    inspector = inspector_of(bot, strategy)
    host = bot.hosts["web1"]
    host.streams = {ASKS: [b"con", b"fig"], "compose_paths": [b"paths"]}
    site = await inspector.study(await _site(bot, inspector), V1)
    assert site.answers == {ASKS: b"config", "compose_paths": b"paths"}
    assert site.facts.have == (V1.id,)
    assert [one.script for one in host.started] == ["fetch", ASKS, "compose_paths"]
    assert host.started[0].deadline == 30.0
    assert strategy.checked == [V1]
    assert host._jobs == {}, "the job's files are deleted"


async def test_without_git_a_server_has_no_commits(bot: BotUnderTest) -> None:
    bot.hosts["web1"].server_facts = replace(bot.hosts["web1"].server_facts, git=False)
    inspector = inspector_of(bot, PlainStrategy(questions=[ASKS]))
    assert (await inspector.study(await _site(bot, inspector), V1)).facts.have == ()


@pytest.mark.parametrize(
    ("running", "again"),
    [("", True), (V1.id, False), (V2.id, True)],
)
async def test_what_serves_is_never_fetched_again(bot: BotUnderTest, running: str, again: bool) -> None:
    strategy = PlainStrategy(questions=[ASKS])
    inspector = inspector_of(bot, strategy)
    await inspector.study(await _site(bot, inspector, running=running), V1, again=True)
    await inspector.study(await _site(bot, inspector, running=running), V1, again=False)
    assert strategy.fetches == [again, False]


@pytest.mark.parametrize("fact", ["current", "switching"])
async def test_what_is_linked_or_being_switched_to_is_not_fetched_again(bot: BotUnderTest, fact: str) -> None:
    strategy = PlainStrategy(questions=[ASKS])
    inspector = inspector_of(bot, strategy)
    site = await _site(bot, inspector)
    facts = replace(site.facts, **{fact: V1.id})  # type: ignore[arg-type]
    await inspector.study(replace(site, facts=facts), V1, again=True)
    assert strategy.fetches == [False]


@pytest.mark.parametrize(
    ("state", "release", "app", "again"),
    [
        (State.RUNNING, V1, "shop", False),
        (State.WAITING, V1, "shop", True),
        (State.RUNNING, V2, "shop", True),
        (State.RUNNING, V1, "blog", True),
    ],
)
async def test_files_that_a_deployment_uses_are_not_fetched_again(
    bot: BotUnderTest, state: State, release: Release, app: str, again: bool
) -> None:
    plan = Plan(kind=Kind.DEPLOY, app=app, environment="production", release=release, servers=())

    def add(tables: Tables) -> None:
        made = tables.deployments.add(plan, requester=bot.person, reason="", channel=None, now=1.0)
        if state is not State.WAITING:
            tables.deployments.move(made.number, state, now=1.0)

    await bot.store.write(add)
    strategy = PlainStrategy(questions=[ASKS])
    inspector = inspector_of(bot, strategy)
    await inspector.study(await _site(bot, inspector), V1, again=True)
    assert strategy.fetches == [again]


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome(code=3, log=b"one\nfatal: no room\n"), "cannot be copied to web1: fatal: no room"),
        (Outcome(code=3, log=b"\xff\n"), "cannot be copied to web1: \ufffd"),
        (Outcome(code=3), "cannot be copied to web1: exit code 3"),
        (Outcome(code=3, log=b"x" * 9000 + b"\nlast\n"), "cannot be copied to web1: last"),
    ],
)
async def test_files_that_cannot_be_brought_there_say_why(bot: BotUnderTest, outcome: Outcome, words: str) -> None:
    bot.hosts["web1"].script("fetch", outcome)
    inspector = inspector_of(bot, PlainStrategy(questions=[ASKS]))
    with pytest.raises(UserError, match="The files of v1") as caught:
        await inspector.study(await _site(bot, inspector), V1)
    assert caught.value.sentence.endswith(words)


async def test_a_job_that_is_lost_is_unknown(bot: BotUnderTest) -> None:
    bot.hosts["web1"].script("fetch", Outcome(state=JobState.LOST))
    inspector = inspector_of(bot, PlainStrategy(questions=[ASKS]))
    with pytest.raises(StepUnknown, match="lost"):
        await inspector.study(await _site(bot, inspector), V1)


async def test_a_job_that_takes_its_time_is_waited_for(bot: BotUnderTest) -> None:
    host = bot.hosts["web1"]
    begun = asyncio.Event()
    host.script("fetch", Outcome(hold=True, effect=lambda *_: begun.set()))
    inspector = inspector_of(bot, PlainStrategy(questions=[ASKS]))
    study = asyncio.create_task(inspector.study(await _site(bot, inspector), V1))
    async with asyncio.timeout(10):
        await begun.wait()
    host.finish(host.started[0].job)
    async with asyncio.timeout(10):
        assert (await study).answers == {ASKS: b""}


async def test_a_job_without_an_end_is_left_after_its_time(bot: BotUnderTest) -> None:
    bot.hosts["web1"].script("fetch", Outcome(hold=True))

    class QuickStrategy(PlainStrategy):
        def fetch(self, site: Site, release: Release, *, again: bool) -> Step:
            return replace(super().fetch(site, release, again=again), timeout=0.01)

    inspector = inspector_of(bot, QuickStrategy(questions=[ASKS]), grace=0.01)
    with pytest.raises(Unreachable, match="step `fetch` takes longer than 0 s"):
        await inspector.study(await _site(bot, inspector), V1)


async def test_an_answer_without_an_end_is_cut_off(bot: BotUnderTest) -> None:
    host = bot.hosts["web1"]
    host.streams = {ASKS: [b"x" * (1 << 20)] * 9}
    inspector = inspector_of(bot, PlainStrategy(questions=[ASKS]))
    with pytest.raises(Unreachable, match="compose_config prints more than 8 MiB"):
        await inspector.ask(await _site(bot, inspector), V1)
    host.streams = {ASKS: [b"x" * (1 << 20)] * 8}
    assert len((await inspector.ask(await _site(bot, inspector), V1)).answers[ASKS]) == 8 << 20


async def test_an_answer_that_does_not_come_is_given_up(bot: BotUnderTest) -> None:
    class SilentHost(FakeHost):
        async def stream(self, script: str, env: Mapping[str, str], *, timeout: float) -> AsyncIterator[bytes]:
            del script, env, timeout
            await asyncio.Event().wait()
            yield b""

    servers = FakeServers([SilentHost("web1")])
    strategy = PlainStrategy(questions=[ASKS])
    inspector = Inspector(
        store=bot.store,
        servers=servers,
        refs=bot.refs,
        strategies={"files": strategy},
        ask_within=0.01,
        grace=0.01,
    )
    with pytest.raises(Unreachable, match="compose_config takes longer than 0 s"):
        await inspector.ask(await _site(bot, inspector), V1)


async def test_the_release_that_runs_is_known_by_what_was_said_of_it(bot: BotUnderTest) -> None:
    inspector = inspector_of(bot, PlainStrategy())
    assert await inspector.release_at(await _site(bot, inspector)) is None
    await bot.deploy(V1)
    await bot.deploy(V2)
    site = await _site(bot, inspector)
    assert await inspector.release_at(site) == V2
    assert await inspector.release_at(replace(site, running=V1.id)) == V1
    assert await inspector.release_at(replace(site, running=V3.id)) == Release.by_id(V3.id)


async def test_what_was_only_asked_for_says_nothing_of_what_runs(bot: BotUnderTest) -> None:
    plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V3, servers=())
    await bot.store.write(
        lambda tables: tables.deployments.add(plan, requester=bot.person, reason="", channel=None, now=1.0)
    )
    inspector = inspector_of(bot, PlainStrategy())
    assert await inspector.release_at(await _site(bot, inspector, running=V3.id)) == Release.by_id(V3.id)


async def test_the_row_of_another_server_does_not_count(bot: BotUnderTest) -> None:
    other = replace(V1, ref="other")
    part = ServerPlan(server="web2", steps=())
    plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=other, servers=(part,))

    def put(tables: Tables) -> None:
        made = tables.deployments.add(plan, requester=bot.person, reason="", channel=None, now=1.0)
        tables.running.put(Running("shop", "production", "web2", other, made.number, 1.0, healthy=True))

    await bot.store.write(put)
    inspector = inspector_of(bot, PlainStrategy())
    assert await inspector.release_at(await _site(bot, inspector, running=V1.id)) == Release.by_id(V1.id)
    assert await inspector.release_at(await _site(bot, inspector, "web2", running=V1.id)) == other


async def test_an_environment_runs_what_its_first_server_runs(bot: BotUnderTest) -> None:
    inspector = inspector_of(bot, PlainStrategy())
    assert await inspector.current(bot.app, bot.production) is None
    await bot.deploy(V1, servers=("web2",))
    assert await inspector.current(bot.app, bot.production) == V1
    bot.hosts["web1"].down = "it is off"
    assert await inspector.current(bot.app, bot.production) == V1
    bot.hosts["web2"].down = "it is off"
    with pytest.raises(Unreachable, match="it is off"):
        await inspector.current(bot.app, bot.production)


async def test_images_are_reported_by_id_and_digest(bot: BotUnderTest) -> None:
    engine = FakeEngine("web1")
    engine.all_images = [
        Image(id="sha256:1", tags=("a:1",), digests=("a@sha256:d",)),
        Image(id="sha256:2", tags=("b:1",)),
    ]
    servers = FakeServers([FakeHost("web1")], {"web1": engine})
    inspector = Inspector(store=bot.store, servers=servers, refs=bot.refs, strategies={"files": PlainStrategy()})
    site = await _site(bot, inspector)
    found = await inspector.images(site, {"web": "a:1", "db": "b:1"})
    assert found == {"web": ("sha256:1", "a@sha256:d"), "db": ("sha256:2", "")}
    with pytest.raises(UserError, match="web has no image c:1 on web1") as caught:
        await inspector.images(site, {"web": "c:1"})
    assert caught.value.hint == "Deploy again to build it."


def test_secrets_are_given_to_a_step_that_names_them(bot: BotUnderTest) -> None:
    step = Step(name="a", script="a", env=(("A", "1"),), secrets=("TOKEN", "GONE"))
    assert step_values(bot.app, bot.production, step) == {"A": "1", "TOKEN": SECRET}
    assert step_values(bot.app, bot.production, replace(step, secrets=())) == {"A": "1"}


async def test_projects_of_other_servers_are_not_known_here(bot: BotUnderTest) -> None:
    apps = {bot.app.name: bot.app}
    strategies = {"files": PlainStrategy()}
    inspector = Inspector(store=bot.store, servers=bot.hosts, refs=bot.refs, strategies=strategies, apps=apps)
    assert (await _site(bot, inspector, "web1")).projects == {"shop-production", "shop-staging"}
    assert (await _site(bot, inspector, "web2")).projects == {"shop-production"}
