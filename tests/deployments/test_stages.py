"""The stages of a server's plan: each is a row, which a bot that was killed in between takes up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import pytest

from deploybot.card import Tone
from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.deployment_card import deployment_card
from deploybot.deployments.health_gate import HealthGate
from deploybot.deployments.planner import HEALTH_SCRIPT
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
    Stage,
    StageKind,
    State,
    Step,
    StepRow,
    StepState,
)
from deploybot.errors import Cancelled, StepFailed, StoreError, Unhealthy
from deploybot.masking import Redactor
from deploybot.ports import Store, Tables
from deploybot.settings import Settings
from deploybot.strategies import STRATEGIES
from deploybot.testing import FakeClock, FakeEngine, FakeHost, FakeRefs, FakeServers, Outcome, memory_store
from tests.deployments.conftest import PausingStop
from tests.kit.bot import V2, V3
from tests.kit.settings import bot_settings
from tests.kit.watches import watch_of

T = TypeVar("T")
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


class FullStore:
    """A database whose disk is full at one of its next writes, counted from 1."""

    def __init__(self, store: Store, *, fails_at: int) -> None:
        self.store = store
        self.left = fails_at

    @property
    def problem(self) -> str:
        return self.store.problem

    async def read(self, work: Callable[[Tables], T]) -> T:
        return await self.store.read(work)

    async def write(self, work: Callable[[Tables], T]) -> T:
        self.left -= 1
        if self.left == 0:
            raise StoreError("the disk is full")
        return await self.store.write(work)


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

    store: Store
    folder: Path
    settings: Settings
    clock: FakeClock = field(default_factory=FakeClock)
    host: FakeHost = field(default_factory=lambda: FakeHost("web1"))
    engine: FakeEngine = field(default_factory=lambda: FakeEngine("web1"))
    deployment: Deployment = field(init=False)
    told: list[int] = field(default_factory=list)

    def runner(self) -> StageRunner:
        """One of a bot that was just started."""
        servers = FakeServers([self.host], {"web1": self.engine})
        refs, store, clock = FakeRefs(self.folder), self.store, self.clock
        inspector = Inspector(store=store, servers=servers, refs=refs, strategies=STRATEGIES)
        journal = Journal(self.folder / "logs", Redactor(), limit=100_000)
        steps = StepRunner(store=store, servers=servers, refs=refs, journal=journal, clock=clock, queue_card=_silence)
        executor = Executor(
            settings=self.settings, store=store, steps=steps, inspector=inspector, strategies=STRATEGIES, clock=clock
        )
        gate = HealthGate(servers, clock)
        return StageRunner(
            store=store,
            executor=executor,
            gate=gate,
            verifier=Verifier(servers, gate, clock),
            watch=watch_of(store, executor, servers, clock),
            journal=journal,
            clock=clock,
            queue_card=self._tell,
        )

    def _tell(self, tables: Tables, number: int) -> None:
        """Note whose card is to be edited."""
        del tables
        self.told.append(number)

    async def begin(self) -> None:
        """Store a deployment that runs, and what its release is."""
        plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V2, servers=(PART,))

        def add(tables: Tables) -> Deployment:
            ana = tables.people.add("ana", Identity("console", "1"))
            made = tables.deployments.add(plan, requester=ana, reason="", channel=None, now=1.0)
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
        stop = stop or Moments(self.clock, list(then))
        await self.run_stage(Phase.FORWARD, PART, (position, PART.stages[position]), stop)

    async def run_stage(
        self, phase: Phase, part: ServerPlan, numbered: tuple[int, Stage], stop: CancellationWatch
    ) -> None:
        """Run a stage of any plan."""
        await self.runner().run(self.deployment, phase, part, numbered, stop)

    async def recorded(self) -> Manifest:
        """What the release is recorded to run on the server now."""
        where = ("shop", "production", "web1", V2.id)
        found = await self.store.read(lambda tables: tables.manifests.get(*where))
        assert found is not None
        return found.manifest

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
    shop = {"strategy": "compose", "stable": "10s", "compose": {"wait": "30s"}}
    settings = bot_settings(tmp_path / "data", apps={"shop": shop})
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


LEFT = Container(
    id="b1", name="shop-backup-1", service="backup", image="backup", state="exited", exit_code=1, image_id=IMAGE
)


@pytest.mark.parametrize("phase", [Phase.FORWARD, Phase.RESTORE])
@pytest.mark.parametrize("position", [VERIFY, GATE, WATCH])
async def test_no_check_asks_for_what_is_no_part_of_the_release(bench: StageBench, phase: Phase, position: int) -> None:
    """A service of another profile, run once by hand: it stays as it is, and fails no deployment and no restore."""
    bench.run(WEB, LEFT)
    part = replace(PART, before=MANIFEST)
    await bench.run_stage(phase, part, (position, PART.stages[position]), PausingStop(bench.clock))
    assert (await bench.row()).state is StepState.DONE


@pytest.mark.parametrize("position", [VERIFY, GATE])
async def test_the_last_words_are_those_of_the_release(bench: StageBench, position: int) -> None:
    bench.run(replace(WEB, state="exited", exit_code=1), LEFT)
    bench.engine.chunks["w1"] = [b"2027-01-15T08:00:00Z no database\n"]
    bench.engine.chunks["b1"] = [b"2027-01-15T08:00:00Z no tape\n"]
    with pytest.raises(Unhealthy) as caught:
        await bench.pass_stage(position)
    assert caught.value.tail == ("web | no database",)


async def test_a_cancelled_check_is_stored_as_such(bench: StageBench) -> None:
    stop = Moments(bench.clock, [])
    stop.then = [lambda: stop.set(Cancelled("ana"))]
    bench.run(replace(WEB, health="starting"))
    with pytest.raises(Cancelled):
        await bench.pass_stage(VERIFY, stop=stop)
    assert (await bench.row()).state is StepState.CANCELLED
    with pytest.raises(Cancelled, match=r"^cancelled by ana$"):
        await bench.pass_stage(VERIFY, stop=stop)


async def test_a_check_that_another_server_stopped_is_not_recorded_as_failed(bench: StageBench) -> None:
    stop = Moments(bench.clock, [])
    stop.then = [lambda: stop.set(Unhealthy("web2", "db is dead", ("db | no disk",)))]
    bench.run(replace(WEB, health="starting"))
    with pytest.raises(Unhealthy):
        await bench.pass_stage(VERIFY, stop=stop)
    row = await bench.row()
    assert (row.state, row.detail, row.size) == (StepState.CANCELLED, "not healthy on web2: db is dead", 0)
    with pytest.raises(Cancelled, match="not healthy on web2: db is dead"):
        await bench.pass_stage(VERIFY)


async def test_a_check_whose_rows_cannot_be_stored_has_not_ended(bench: StageBench, tmp_path: Path) -> None:
    bench.run(replace(WEB, state="exited", exit_code=3))
    bench.engine.chunks["w1"] = [b"2027-01-01T00:00:00Z no such table\n"]
    (tmp_path / "logs").write_text("in the way")
    with pytest.raises(StoreError):
        await bench.pass_stage(VERIFY)
    assert (await bench.row()).state is StepState.STARTED
    (tmp_path / "logs").unlink()
    with pytest.raises(Unhealthy, match="web exited with code 3"):
        await bench.pass_stage(VERIFY)


async def test_a_baseline_that_cannot_be_stored_fails_no_release(bench: StageBench) -> None:
    store = bench.store
    bench.store = FullStore(store, fails_at=2)
    with pytest.raises(StoreError):
        await bench.pass_stage(WATCH)
    bench.store = store
    assert (await bench.row()).state is StepState.STARTED
    await bench.pass_stage(WATCH)
    assert (await bench.row()).state is StepState.DONE


async def test_a_cancellation_says_nothing_of_a_check_that_has_passed(bench: StageBench) -> None:
    await bench.pass_stage(GATE)
    stop = CancellationWatch()
    stop.set(Cancelled("ana"))
    await bench.pass_stage(GATE, stop=stop)
    assert (await bench.row()).state is StepState.DONE


async def test_a_check_has_an_id_of_its_place_and_its_begin_and_end_are_shown(bench: StageBench) -> None:
    await bench.pass_stage(GATE)
    row = await bench.row()
    assert row.job.startswith("1-f-web1-2-")
    assert (row.detail, row.code) == ("", -1)
    assert bench.told == [1, 1]
    await bench.pass_stage(GATE)
    assert bench.told == [1, 1]


async def test_what_failed_containers_said_is_kept_line_by_line(bench: StageBench) -> None:
    bench.run(replace(WEB, state="exited", exit_code=3))
    bench.engine.chunks["w1"] = [b"2027-01-01T00:00:00Z no such table\n2027-01-01T00:00:00Z bye\n"]
    for _ in range(2):
        with pytest.raises(Unhealthy) as caught:
            await bench.pass_stage(VERIFY)
        assert (caught.value.server, caught.value.tail) == ("web1", ("web | no such table", "web | bye"))
    row = await bench.row()
    assert (row.offset, row.size) == (len(b"web | no such table\nweb | bye"),) * 2


async def test_an_engine_that_restarts_is_waited_for_before_a_watch_begins(bench: StageBench) -> None:
    bench.engine.down = "it restarts"

    def answer() -> None:
        bench.engine.down = ""

    await bench.pass_stage(WATCH, answer)
    assert (await bench.row()).state is StepState.DONE


async def test_what_ends_during_a_restore_is_not_noted_for_the_new_release(bench: StageBench) -> None:
    bench.run(replace(WEB, state="exited"))
    await bench.pass_stage(VERIFY)
    ended = await bench.recorded()
    assert ended.services[0].ended
    await bench.record(MANIFEST)
    back = replace(PART, before=ended, restore=PART.steps)
    await bench.run_stage(Phase.RESTORE, back, (VERIFY, back.restore_stages[VERIFY]), CancellationWatch())
    assert await bench.recorded() == MANIFEST


async def test_a_release_without_a_record_gets_none_by_being_verified(bench: StageBench) -> None:
    bench.deployment = replace(bench.deployment, plan=replace(bench.deployment.plan, release=V3))
    await bench.pass_stage(VERIFY)
    assert (await bench.row()).state is StepState.DONE
    where = ("shop", "production", "web1", V3.id)
    assert await bench.store.read(lambda tables: tables.manifests.get(*where)) is None


async def test_without_a_record_of_what_ran_before_nothing_is_compared(bench: StageBench) -> None:
    back = replace(PART, before=None, restore=PART.steps)
    bench.run()
    await bench.run_stage(Phase.RESTORE, back, (VERIFY, back.restore_stages[VERIFY]), CancellationWatch())
    assert (await bench.row()).state is StepState.DONE


@pytest.mark.parametrize(("script", "problem"), [(HEALTH_SCRIPT, Unhealthy), ("migrate", StepFailed)])
async def test_a_health_command_that_fails_is_a_release_that_is_not_healthy(
    bench: StageBench, script: str, problem: type[Unhealthy | StepFailed]
) -> None:
    bench.host.script(script, Outcome(code=1, log=b"no database\n"))
    stage = Stage(kind=StageKind.RUN, name="check", step=Step(name="check", script=script))
    with pytest.raises(problem) as caught:
        await bench.run_stage(Phase.FORWARD, PART, (0, stage), CancellationWatch())
    assert type(caught.value) is problem
    assert (caught.value.server, caught.value.tail) == ("web1", ("no database",))
    if isinstance(caught.value, Unhealthy):
        assert caught.value.why == "the health command failed"


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
