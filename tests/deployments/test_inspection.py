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
from tests.deployments.conftest import SECRET, V1, V2, V3, Shop
from tests.deployments.plain import PlainStrategy, inspector_of

ASKS = "compose_config"


async def _site(shop: Shop, inspector: Inspector, server: str = "web1", **more: object) -> Site:
    return replace(await inspector.site(shop.app, shop.production, server), **more)  # type: ignore[arg-type]


async def test_what_is_observed_and_recorded(shop: Shop) -> None:
    await shop.deploy(V1)
    site = await _site(shop, inspector_of(shop, PlainStrategy()))
    assert (site.running, site.good, site.images, site.remove_orphans) == (V1.id, frozenset({V1.id}), (), False)
    assert site.server == "web1"


async def test_a_strategy_that_asks_nothing_brings_no_files(shop: Shop) -> None:
    strategy = PlainStrategy()
    inspector = inspector_of(shop, strategy)
    site = await _site(shop, inspector)
    assert await inspector.study(site, V1) is site
    assert shop.hosts["web1"].started == []


async def test_files_come_first_then_all_questions_are_asked(shop: Shop) -> None:
    strategy = PlainStrategy(questions=[ASKS, "compose_paths"])
    inspector = inspector_of(shop, strategy)
    host = shop.hosts["web1"]
    host.streams = {ASKS: [b"con", b"fig"], "compose_paths": [b"paths"]}
    site = await inspector.study(await _site(shop, inspector), V1)
    assert site.answers == {ASKS: b"config", "compose_paths": b"paths"}
    assert site.facts.have == (V1.id,)
    assert [one.script for one in host.started] == ["fetch", ASKS, "compose_paths"]
    assert host.started[0].deadline == 30.0
    assert strategy.checked == [V1]
    assert host._jobs == {}, "the job's files are deleted"


async def test_without_git_a_server_has_no_commits(shop: Shop) -> None:
    shop.hosts["web1"].server_facts = replace(shop.hosts["web1"].server_facts, git=False)
    inspector = inspector_of(shop, PlainStrategy(questions=[ASKS]))
    assert (await inspector.study(await _site(shop, inspector), V1)).facts.have == ()


@pytest.mark.parametrize(
    ("running", "again"),
    [("", True), (V1.id, False), (V2.id, True)],
)
async def test_what_serves_is_never_fetched_again(shop: Shop, running: str, again: bool) -> None:
    strategy = PlainStrategy(questions=[ASKS])
    inspector = inspector_of(shop, strategy)
    await inspector.study(await _site(shop, inspector, running=running), V1, again=True)
    await inspector.study(await _site(shop, inspector, running=running), V1, again=False)
    assert strategy.fetches == [again, False]


@pytest.mark.parametrize("fact", ["current", "switching"])
async def test_what_is_linked_or_being_switched_to_is_not_fetched_again(shop: Shop, fact: str) -> None:
    strategy = PlainStrategy(questions=[ASKS])
    inspector = inspector_of(shop, strategy)
    site = await _site(shop, inspector)
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
    shop: Shop, state: State, release: Release, app: str, again: bool
) -> None:
    plan = Plan(kind=Kind.DEPLOY, app=app, environment="production", release=release, servers=())

    def add(tables: Tables) -> None:
        made = tables.deployments.add(plan, requester=shop.person, reason="", place=None, now=1.0)
        if state is not State.WAITING:
            tables.deployments.move(made.number, state, now=1.0)

    await shop.store.write(add)
    strategy = PlainStrategy(questions=[ASKS])
    inspector = inspector_of(shop, strategy)
    await inspector.study(await _site(shop, inspector), V1, again=True)
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
async def test_files_that_cannot_be_brought_there_say_why(shop: Shop, outcome: Outcome, words: str) -> None:
    shop.hosts["web1"].script("fetch", outcome)
    inspector = inspector_of(shop, PlainStrategy(questions=[ASKS]))
    with pytest.raises(UserError, match="The files of v1") as caught:
        await inspector.study(await _site(shop, inspector), V1)
    assert caught.value.sentence.endswith(words)


async def test_a_job_that_is_lost_is_unknown(shop: Shop) -> None:
    shop.hosts["web1"].script("fetch", Outcome(state=JobState.LOST))
    inspector = inspector_of(shop, PlainStrategy(questions=[ASKS]))
    with pytest.raises(StepUnknown, match="lost"):
        await inspector.study(await _site(shop, inspector), V1)


async def test_a_job_that_takes_its_time_is_waited_for(shop: Shop) -> None:
    host = shop.hosts["web1"]
    begun = asyncio.Event()
    host.script("fetch", Outcome(hold=True, effect=lambda *_: begun.set()))
    inspector = inspector_of(shop, PlainStrategy(questions=[ASKS]))
    study = asyncio.create_task(inspector.study(await _site(shop, inspector), V1))
    async with asyncio.timeout(10):
        await begun.wait()
    host.finish(host.started[0].job)
    async with asyncio.timeout(10):
        assert (await study).answers == {ASKS: b""}


async def test_a_job_without_an_end_is_left_after_its_time(shop: Shop) -> None:
    shop.hosts["web1"].script("fetch", Outcome(hold=True))

    class QuickStrategy(PlainStrategy):
        def fetch(self, site: Site, release: Release, *, again: bool) -> Step:
            return replace(super().fetch(site, release, again=again), timeout=0.01)

    inspector = inspector_of(shop, QuickStrategy(questions=[ASKS]), grace=0.01)
    with pytest.raises(Unreachable, match="step `fetch` takes longer than 0 s"):
        await inspector.study(await _site(shop, inspector), V1)


async def test_an_answer_without_an_end_is_cut_off(shop: Shop) -> None:
    host = shop.hosts["web1"]
    host.streams = {ASKS: [b"x" * (1 << 20)] * 9}
    inspector = inspector_of(shop, PlainStrategy(questions=[ASKS]))
    with pytest.raises(Unreachable, match="compose_config prints more than 8 MiB"):
        await inspector.ask(await _site(shop, inspector), V1)
    host.streams = {ASKS: [b"x" * (1 << 20)] * 8}
    assert len((await inspector.ask(await _site(shop, inspector), V1)).answers[ASKS]) == 8 << 20


async def test_an_answer_that_does_not_come_is_given_up(shop: Shop) -> None:
    class SilentHost(FakeHost):
        async def stream(self, script: str, env: Mapping[str, str], *, timeout: float) -> AsyncIterator[bytes]:
            del script, env, timeout
            await asyncio.Event().wait()
            yield b""

    servers = FakeServers([SilentHost("web1")])
    strategy = PlainStrategy(questions=[ASKS])
    inspector = Inspector(
        store=shop.store,
        servers=servers,
        refs=shop.refs,
        strategies={"files": strategy},
        ask_within=0.01,
        grace=0.01,
    )
    with pytest.raises(Unreachable, match="compose_config takes longer than 0 s"):
        await inspector.ask(await _site(shop, inspector), V1)


async def test_the_release_that_runs_is_known_by_what_was_said_of_it(shop: Shop) -> None:
    inspector = inspector_of(shop, PlainStrategy())
    assert await inspector.release_at(await _site(shop, inspector)) is None
    await shop.deploy(V1)
    await shop.deploy(V2)
    site = await _site(shop, inspector)
    assert await inspector.release_at(site) == V2
    assert await inspector.release_at(replace(site, running=V1.id)) == V1
    assert await inspector.release_at(replace(site, running=V3.id)) == Release.by_id(V3.id)


async def test_what_was_only_asked_for_says_nothing_of_what_runs(shop: Shop) -> None:
    plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V3, servers=())
    await shop.store.write(
        lambda tables: tables.deployments.add(plan, requester=shop.person, reason="", place=None, now=1.0)
    )
    inspector = inspector_of(shop, PlainStrategy())
    assert await inspector.release_at(await _site(shop, inspector, running=V3.id)) == Release.by_id(V3.id)


async def test_the_row_of_another_server_does_not_count(shop: Shop) -> None:
    other = replace(V1, ref="other")
    part = ServerPlan(server="web2", steps=())
    plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=other, servers=(part,))

    def put(tables: Tables) -> None:
        made = tables.deployments.add(plan, requester=shop.person, reason="", place=None, now=1.0)
        tables.running.put(Running("shop", "production", "web2", other, made.number, 1.0, healthy=True))

    await shop.store.write(put)
    inspector = inspector_of(shop, PlainStrategy())
    assert await inspector.release_at(await _site(shop, inspector, running=V1.id)) == Release.by_id(V1.id)
    assert await inspector.release_at(await _site(shop, inspector, "web2", running=V1.id)) == other


async def test_an_environment_runs_what_its_first_server_runs(shop: Shop) -> None:
    inspector = inspector_of(shop, PlainStrategy())
    assert await inspector.current(shop.app, shop.production) is None
    await shop.deploy(V1, servers=("web2",))
    assert await inspector.current(shop.app, shop.production) == V1
    shop.hosts["web1"].down = "it is off"
    assert await inspector.current(shop.app, shop.production) == V1
    shop.hosts["web2"].down = "it is off"
    with pytest.raises(Unreachable, match="it is off"):
        await inspector.current(shop.app, shop.production)


async def test_images_are_told_by_id_and_digest(shop: Shop) -> None:
    engine = FakeEngine("web1")
    engine.all_images = [
        Image(id="sha256:1", tags=("a:1",), digests=("a@sha256:d",)),
        Image(id="sha256:2", tags=("b:1",)),
    ]
    servers = FakeServers([FakeHost("web1")], {"web1": engine})
    inspector = Inspector(store=shop.store, servers=servers, refs=shop.refs, strategies={"files": PlainStrategy()})
    site = await _site(shop, inspector)
    found = await inspector.images(site, {"web": "a:1", "db": "b:1"})
    assert found == {"web": ("sha256:1", "a@sha256:d"), "db": ("sha256:2", "")}
    with pytest.raises(UserError, match="web has no image c:1 on web1") as caught:
        await inspector.images(site, {"web": "c:1"})
    assert caught.value.hint == "Deploy again to build it."


def test_secrets_are_given_to_a_step_that_names_them(shop: Shop) -> None:
    step = Step(name="a", script="a", env=(("A", "1"),), secrets=("TOKEN", "GONE"))
    assert step_values(shop.app, shop.production, step) == {"A": "1", "TOKEN": SECRET}
    assert step_values(shop.app, shop.production, replace(step, secrets=())) == {"A": "1"}
