"""The stages of a server's plan: each is a row, which a bot that was killed in between takes up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from deploybot.card import Tone
from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.deployment_card import deployment_card
from deploybot.deployments.health_gate import HealthGate
from deploybot.deployments.release_verification import Verifier
from deploybot.deployments.stage_runner import StageRunner
from deploybot.deployments.step_execution import Executor
from deploybot.deployments.step_logs import Journal
from deploybot.deployments.step_runner import StepRunner
from deploybot.deployments.target_inspection import Inspector
from deploybot.domain import (
    Container,
    Deployment,
    Gate,
    Identity,
    Kind,
    Manifest,
    ManifestRow,
    Phase,
    Plan,
    ServerPlan,
    ServiceImage,
    StageKind,
    State,
    Step,
    StepRow,
    StepState,
)
from deploybot.errors import Cancelled, Unhealthy
from deploybot.masking import Redactor
from deploybot.ports import Tables
from deploybot.settings import Settings
from deploybot.store.database import Database
from deploybot.strategies import STRATEGIES
from deploybot.testing import FakeClock, FakeEngine, FakeHost, FakeRefs, FakeServers, memory_store
from tests.deployments.conftest import V2, PausingStop

PROJECT = "shop-production"
IMAGE = "sha256:" + "1" * 64
WEB = Container(id="w1", name="shop-web-1", service="web", image="web", state="running", started=10.0, image_id=IMAGE)
MANIFEST = Manifest(services=(ServiceImage(service="web", image=IMAGE),))
PART = ServerPlan(
    server="web1", steps=(Step(name="up", script="compose_up"),), gate=Gate(kind="docker", target=PROJECT), verify=True
)
VERIFY, GATE, WATCH = 1, 2, 3


class Killed(Exception):
    """The bot is killed here."""


class Moments(PausingStop):
    """Pauses pass on the clock; `then` says what happens in each of the next ones."""

    def __init__(self, clock: FakeClock, then: list[Callable[[], None]]) -> None:
        super().__init__(clock)
        self.then = then

    async def pause(self, seconds: float) -> None:
        await super().pause(seconds)
        if self.then:
            self.then.pop(0)()


@dataclass
class StageBench:
    """A server in memory, and a bot that may be killed."""

    store: Database
    folder: Path
    settings: Settings
    clock: FakeClock = field(default_factory=FakeClock)
    engine: FakeEngine = field(default_factory=lambda: FakeEngine("web1"))
    deployment: Deployment = field(init=False)

    def runner(self) -> StageRunner:
        """One of a bot that was just started."""
        servers = FakeServers([FakeHost("web1")], {"web1": self.engine})
        refs, store, clock = FakeRefs(self.folder), self.store, self.clock
        inspector = Inspector(store=store, servers=servers, refs=refs, strategies=STRATEGIES)
        journal = Journal(self.folder / "logs", Redactor(), limit=100_000)
        steps = StepRunner(store=store, servers=servers, refs=refs, journal=journal, clock=clock, tell=_silence)
        executor = Executor(
            settings=self.settings, store=store, steps=steps, inspector=inspector, strategies=STRATEGIES, clock=clock
        )
        gate = HealthGate(servers, clock)
        return StageRunner(
            store=store,
            executor=executor,
            gate=gate,
            verifier=Verifier(servers, gate, clock),
            journal=journal,
            clock=clock,
            tell=_silence,
        )

    async def begin(self) -> None:
        """Store a deployment that runs, and what its release is."""
        plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V2, servers=(PART,))

        def add(tables: Tables) -> Deployment:
            ana = tables.people.add("ana", Identity("console", "1"))
            made = tables.deployments.add(plan, requester=ana, reason="", place=None, now=1.0)
            return tables.deployments.move(made.number, State.RUNNING, now=1.0)

        self.deployment = await self.store.write(add)
        self.engine.all[PROJECT] = (WEB,)
        await self.record(MANIFEST)

    async def record(self, manifest: Manifest) -> None:
        """Store what the release runs on the server."""
        row = ManifestRow(
            app="shop",
            environment="production",
            server="web1",
            release=V2.id,
            manifest=manifest,
            at=1.0,
            verified=False,
        )
        await self.store.write(lambda tables: tables.manifests.put(row))

    async def pass_stage(self, position: int, *then: Callable[[], None], stop: CancellationWatch | None = None) -> None:
        """Run a stage with a bot that has just started."""
        numbered = (position, PART.stages[position])
        stop = stop or Moments(self.clock, list(then))
        await self.runner().run(self.deployment, Phase.FORWARD, PART, numbered, stop)

    async def row(self) -> StepRow:
        """The only row there is."""
        (row,) = await self.store.read(lambda tables: tables.deployments.steps(1))
        return row

    def kill(self) -> None:
        """End the bot."""
        raise Killed

    def run(self, *there: Container) -> None:
        """Change what runs."""
        self.engine.all[PROJECT] = there


def _silence(tables: Tables, number: int) -> None:
    del tables, number


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[StageBench]:
    settings = Settings.model_validate(
        {
            "bot": {"data": str(tmp_path / "data")},
            "servers": {"web1": {"name": "web1", "ssh": "deploy@web1"}},
            "apps": {
                "shop": {
                    "name": "shop",
                    "repo": "git@example.com:acme/shop.git",
                    "strategy": "compose",
                    "directory": "/srv/shop",
                    "stable": "10s",
                    "compose": {"wait": "30s"},
                    "environments": {"production": {"name": "production", "app": "shop", "servers": ["web1"]}},
                }
            },
        }
    )
    async with memory_store() as store:
        made = StageBench(store, tmp_path, settings)
        await made.begin()
        yield made


def test_a_plan_is_its_steps_and_then_its_checks() -> None:
    kinds = [StageKind.RUN, StageKind.VERIFY, StageKind.GATE, StageKind.WATCH]
    assert [one.kind for one in PART.stages] == kinds
    assert PART.restore_stages == ()
    back = replace(PART, restore=(Step(name="restore", script="compose_up"),))
    assert [one.kind for one in back.restore_stages] == kinds
    assert [one.kind for one in replace(PART, verify=False, gate=None).stages] == [StageKind.RUN]


@pytest.mark.parametrize(("position", "kind"), [(VERIFY, StageKind.VERIFY), (GATE, StageKind.GATE)])
async def test_a_check_has_its_time_from_its_first_begin(bench: StageBench, position: int, kind: StageKind) -> None:
    bench.run(replace(WEB, health="starting"))
    with pytest.raises(Killed):
        await bench.pass_stage(position, bench.kill)
    began = (await bench.row()).started
    assert ((await bench.row()).kind, (await bench.row()).state) == (kind, StepState.STARTED)
    bench.clock.advance(25.0)
    with pytest.raises(Unhealthy, match="starting"):
        await bench.pass_stage(position)
    limit = {VERIFY: 30.0, GATE: 60.0}[position]
    assert limit - 3 < (await bench.row()).finished - began <= limit
    assert ((await bench.row()).started, (await bench.row()).state) == (began, StepState.FAILED)


@pytest.mark.parametrize("position", [VERIFY, GATE])
async def test_what_came_up_while_the_bot_was_away_is_healthy_however_late_it_looks(
    bench: StageBench, position: int
) -> None:
    bench.run(replace(WEB, health="starting"))
    with pytest.raises(Killed):
        await bench.pass_stage(position, bench.kill)
    bench.clock.advance(3600.0)
    bench.run(WEB)
    await bench.pass_stage(position)
    assert (await bench.row()).state is StepState.DONE


async def test_a_check_that_has_passed_is_not_made_again(bench: StageBench) -> None:
    await bench.pass_stage(GATE)
    bench.run()
    await bench.pass_stage(GATE)
    assert (await bench.row()).state is StepState.DONE


async def test_a_check_that_has_failed_fails_again_with_the_same_words(bench: StageBench) -> None:
    bench.run(replace(WEB, state="exited", exit_code=3))
    bench.engine.chunks["w1"] = [b"2027-01-01T00:00:00Z no such table\n"]
    with pytest.raises(Unhealthy, match="web exited with code 3") as first:
        await bench.pass_stage(VERIFY)
    bench.run(WEB)
    with pytest.raises(Unhealthy) as second:
        await bench.pass_stage(VERIFY)
    assert (second.value.why, second.value.tail) == (first.value.why, ("web | no such table",))


async def test_a_watch_goes_on_where_it_was(bench: StageBench) -> None:
    with pytest.raises(Killed):
        await bench.pass_stage(WATCH, lambda: None, bench.kill)
    before = bench.clock.now()
    await bench.pass_stage(WATCH)
    assert bench.clock.now() - before == pytest.approx(6.0)
    row = await bench.row()
    assert row.state is StepState.DONE
    assert row.finished - row.started == pytest.approx(10.0)


async def test_a_restart_while_the_bot_was_away_is_seen_however_late_it_looks(bench: StageBench) -> None:
    with pytest.raises(Killed):
        await bench.pass_stage(WATCH, bench.kill)
    bench.clock.advance(3600.0)
    bench.run(replace(WEB, restarts=1, started=20.0))
    with pytest.raises(Unhealthy, match="web restarted"):
        await bench.pass_stage(WATCH)


async def test_nothing_is_stored_where_there_is_nothing_to_watch(bench: StageBench) -> None:
    await bench.record(Manifest())
    await bench.pass_stage(WATCH)
    assert await bench.store.read(lambda tables: tables.deployments.steps(1)) == ()


async def test_a_cancelled_check_is_stored_as_such(bench: StageBench) -> None:
    stop = Moments(bench.clock, [])
    stop.then = [lambda: stop.set(Cancelled("ana"))]
    bench.run(replace(WEB, health="starting"))
    with pytest.raises(Cancelled):
        await bench.pass_stage(VERIFY, stop=stop)
    assert (await bench.row()).state is StepState.CANCELLED
    with pytest.raises(Cancelled, match="ana"):
        await bench.pass_stage(VERIFY)


async def test_a_cancelled_deployment_begins_no_check(bench: StageBench) -> None:
    stop = CancellationWatch()
    stop.set(Cancelled("ana"))
    with pytest.raises(Cancelled):
        await bench.pass_stage(GATE, stop=stop)
    assert await bench.store.read(lambda tables: tables.deployments.steps(1)) == ()


async def test_the_card_names_a_check_that_goes_on_or_has_failed(bench: StageBench) -> None:
    with pytest.raises(Killed):
        await bench.pass_stage(WATCH, bench.kill)
    card = deployment_card(bench.deployment, [await bench.row()])
    assert [(line.text, line.tone) for line in card.lines] == [("checking health", Tone.BUSY)]
    bench.run()
    with pytest.raises(Unhealthy):
        await bench.pass_stage(WATCH)
    card = deployment_card(bench.deployment, [await bench.row()])
    assert [(line.text, line.tone) for line in card.lines] == [("watch failed after 4.0 s", Tone.BAD)]
