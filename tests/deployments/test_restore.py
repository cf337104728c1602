"""Going back: attempts with pauses until what ran before serves, or a stated time is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from deploybot.deployments.health_gate import HealthGate
from deploybot.deployments.release_verification import Verifier
from deploybot.deployments.restore import Restored, Restorer, is_restorable
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
    JobState,
    Kind,
    Manifest,
    Phase,
    Plan,
    ServerPlan,
    ServiceImage,
    State,
    Step,
    StepRow,
    StepState,
)
from deploybot.masking import Redactor
from deploybot.ports import Tables
from deploybot.settings import Settings
from deploybot.store.database import Database
from deploybot.strategies import STRATEGIES
from deploybot.testing import (
    FakeClock,
    FakeEngine,
    FakeHost,
    FakeRefs,
    FakeServers,
    Outcome,
    memory_store,
)
from tests.kit.bot import V1, V2
from tests.kit.settings import bot_settings
from tests.kit.watches import watch_of

PROJECT = "shop-production"
ONE = "sha256:" + "1" * 64
BEFORE = Manifest(services=(ServiceImage(service="web", image=ONE),))
WEB = Container(id="w1", name="web-1", service="web", image="shop", state="running", image_id=ONE, started=1.0)
FIND = Step(name="find images", script="compose_images")
UP = Step(name="restore", script="compose_up", switches=True)
PART = ServerPlan(server="web1", steps=(), replaces=V1, restore=(FIND, UP), before=BEFORE, verify=True)
GONE = 3


@dataclass
class RestoreBench:
    """A restorer on a server in memory. `pauses` are those between attempts; the clock passes with them."""

    store: Database
    folder: Path
    settings: Settings
    clock: FakeClock = field(default_factory=FakeClock)
    host: FakeHost = field(default_factory=lambda: FakeHost("web1"))
    engine: FakeEngine = field(default_factory=lambda: FakeEngine("web1"))
    pauses: list[float] = field(default_factory=list)
    in_pause: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.engine.all[PROJECT] = [WEB]

    def restorer(self) -> Restorer:
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
        verifier = Verifier(servers, gate, clock)
        stages = StageRunner(
            store=store,
            executor=executor,
            gate=gate,
            verifier=verifier,
            watch=watch_of(store, executor, servers, clock),
            journal=journal,
            clock=clock,
            queue_card=_silence,
        )
        return Restorer(
            store=store, executor=executor, stages=stages, verifier=verifier, clock=clock, pause=self._pause
        )

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.advance(seconds)
        self.in_pause()

    async def failed(self, part: ServerPlan = PART) -> Deployment:
        """A deployment that failed and goes back."""
        plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V2, servers=(part,))

        def add(tables: Tables) -> Deployment:
            ana = tables.people.of(Identity("console", "1")) or tables.people.add("ana", Identity("console", "1"))
            made = tables.deployments.add(plan, requester=ana, reason="", channel=None, now=1.0)
            tables.deployments.move(made.number, State.RUNNING, now=1.0)
            return tables.deployments.move(made.number, State.RESTORING, now=1.0)

        return await self.store.write(add)

    async def restore(self, part: ServerPlan = PART) -> Restored:
        async with asyncio.timeout(20):
            return await self.restorer().restore(await self.failed(part), part)

    async def names(self) -> list[str]:
        """The names of the steps, in their order."""
        rows = await self.store.read(lambda tables: tables.deployments.steps(1))
        return [row.name for row in sorted(rows, key=lambda row: row.position)]


def _silence(tables: Tables, number: int) -> None:
    del tables, number


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[RestoreBench]:
    shop = {"strategy": "compose", "stable": "0s", "restore_within": "5m"}
    settings = bot_settings(tmp_path / "data", apps={"shop": shop})
    async with memory_store() as store:
        yield RestoreBench(store, tmp_path, settings)


async def test_what_holds_at_once_is_one_attempt(bench: RestoreBench) -> None:
    restored = await bench.restore()
    assert restored == Restored("web1: v1 (1111111111) was restored and is healthy.", good=True)
    assert (await bench.names(), bench.pauses) == (["find images", "restore", "verify"], [])
    assert [one.script for one in bench.host.started] == ["compose_images", "compose_up"]


async def test_attempts_go_on_with_longer_pauses_until_one_holds(bench: RestoreBench) -> None:
    bench.host.script("compose_up", *[Outcome(code=1, log=b"name is in use\n")] * 2, Outcome())
    restored = await bench.restore()
    assert restored == Restored("web1: v1 (1111111111) was restored at attempt 3 and is healthy.", good=True)
    assert bench.pauses == [2.0, 4.0]
    assert await bench.names() == [
        *("find images", "restore"),
        *("find images (2)", "restore (2)"),
        *("find images (3)", "restore (3)", "verify (3)"),
    ]


async def test_attempts_end_with_the_stated_time(bench: RestoreBench) -> None:
    bench.host.script("compose_up", Outcome(code=1, log=b"no space left on device\n"))
    restored = await bench.restore()
    assert bench.pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert not restored.good
    assert restored.words.startswith("web1: v1 (1111111111) could not be restored after 9 attempts: step `restore (9)`")
    assert "no space left on device" in restored.words


async def test_a_port_that_docker_lost_track_of_is_named_with_the_way_out(bench: RestoreBench) -> None:
    log = b"Error response from daemon: Bind for 0.0.0.0:8001 failed: port is already allocated\n"
    bench.host.script("compose_up", Outcome(code=1, log=log))
    restored = await bench.restore()
    assert "failed on web1: Bind for 0.0.0.0:8001 failed: port is already allocated" in restored.words
    assert restored.words.endswith("restart Docker there (sudo systemctl restart docker) and try again.")


async def test_images_that_are_gone_for_good_are_not_asked_for_again(bench: RestoreBench) -> None:
    bench.host.script("compose_images", Outcome(code=GONE, log=b"The images of web are not here any more\n"))
    restored = await bench.restore()
    assert (restored.good, bench.pauses) == (False, [])
    assert restored.words.startswith("web1: v1 (1111111111) could not be restored: step `find images`")
    assert "The images of web are not here any more" in restored.words
    assert await bench.names() == ["find images"]


async def test_images_may_be_gone_at_a_later_attempt_only(bench: RestoreBench) -> None:
    bench.host.script("compose_images", Outcome(code=1), Outcome(code=GONE))
    restored = await bench.restore()
    assert (restored.good, bench.pauses) == (False, [2.0])
    assert "could not be restored after 2 attempts" in restored.words


async def test_the_same_code_of_another_step_is_no_reason_to_give_up(bench: RestoreBench) -> None:
    bench.host.script("compose_up", Outcome(code=GONE), Outcome())
    assert (await bench.restore()).good


async def test_what_came_up_and_is_not_healthy_is_tried_again(bench: RestoreBench) -> None:
    bench.engine.all[PROJECT] = [replace(WEB, state="exited", exit_code=7)]

    def heal() -> None:
        bench.engine.all[PROJECT] = [WEB]

    bench.in_pause = heal
    restored = await bench.restore()
    assert restored.words == "web1: v1 (1111111111) was restored at attempt 2 and is healthy."


@pytest.mark.parametrize("ill", [{"health": "unhealthy"}, {"state": "exited", "exit_code": 7}])
async def test_what_was_unhealthy_before_is_not_tried_again(bench: RestoreBench, ill: dict[str, Any]) -> None:
    bench.engine.all[PROJECT] = [replace(WEB, **ill)]
    before = Manifest(services=(replace(BEFORE.services[0], unwell=True),))
    restored = await bench.restore(replace(PART, before=before))
    assert "v1 (1111111111) was restored and is as unhealthy as before: web " in restored.words
    assert (restored.good, bench.pauses) == (False, [])


async def test_what_was_healthy_before_is_tried_again_beside_what_was_not(bench: RestoreBench) -> None:
    cache = replace(WEB, id="c1", service="cache", health="unhealthy")
    bench.engine.all[PROJECT] = [replace(WEB, state="exited", exit_code=7), cache]
    known = (BEFORE.services[0], ServiceImage(service="cache", image=ONE, unwell=True))

    def heal() -> None:
        bench.engine.all[PROJECT] = [WEB, cache]

    bench.in_pause = heal
    restored = await bench.restore(replace(PART, before=Manifest(services=known)))
    assert restored.words.endswith("as unhealthy as before: cache is unhealthy.")
    assert len(bench.pauses) == 1


async def test_a_step_that_fails_is_tried_again_also_where_something_was_unhealthy_before(bench: RestoreBench) -> None:
    bench.engine.all[PROJECT] = [replace(WEB, health="unhealthy")]
    bench.host.script("compose_up", Outcome(code=1, log=b"name is in use\n"), Outcome())
    before = Manifest(services=(replace(BEFORE.services[0], unwell=True),))
    restored = await bench.restore(replace(PART, before=before))
    assert (restored.words.endswith("as unhealthy as before: web is unhealthy."), bench.pauses) == (True, [2.0])


async def test_the_last_attempt_may_begin_when_the_time_is_just_over(bench: RestoreBench) -> None:
    bench.settings.apps["shop"] = bench.settings.apps["shop"].model_copy(update={"restore_within": 2.0})
    bench.host.script("compose_up", Outcome(code=1, log=b"name is in use\n"))
    restored = await bench.restore()
    assert bench.pauses == [2.0]
    assert restored.words == (
        "web1: v1 (1111111111) could not be restored after 2 attempts: "
        "step `restore (2)` failed on web1: name is in use (exit code 1)."
    )


async def test_a_job_that_is_lost_says_that_its_end_is_unknown(bench: RestoreBench) -> None:
    bench.settings.apps["shop"] = bench.settings.apps["shop"].model_copy(update={"restore_within": 1.0})
    bench.host.script("compose_up", Outcome(state=JobState.LOST))
    restored = await bench.restore()
    assert restored.words.startswith("web1: v1 (1111111111) could not be restored: ")
    assert restored.words.endswith("the server was restarted, or the job's files are gone.")


async def test_a_gate_that_stays_shut_is_named_also_without_a_record_of_containers(bench: RestoreBench) -> None:
    bench.settings.apps["shop"] = bench.settings.apps["shop"].model_copy(update={"restore_within": 1.0})
    url = "http://127.0.0.1:8000/healthz"
    bench.host.http[url] = (500, "no database")
    bench.clock = LookedAt()
    part = replace(PART, before=None, verify=False, gate=Gate(kind="http", target=url, within=0.05))
    restored = await bench.restore(part)
    why = f"{url} answers 500: no database"
    assert restored == Restored(f"web1: v1 (1111111111) was restored but is not healthy: {why}.", good=False)


async def test_another_image_under_the_old_name_is_no_restore(bench: RestoreBench) -> None:
    bench.engine.all[PROJECT] = [replace(WEB, image_id="sha256:" + "2" * 64)]
    restored = await bench.restore()
    assert not restored.good
    assert restored.words == (
        "web1: v1 (1111111111) was restored but is not healthy after 9 attempts: "
        "web runs image 222222222222 instead of 111111111111."
    )


async def test_what_does_not_stay_up_is_no_restore(bench: RestoreBench) -> None:
    app = bench.settings.apps["shop"]
    bench.settings.apps["shop"] = app.model_copy(update={"stable": 0.01, "restore_within": 1.0})

    def crash(host: FakeHost, env: Mapping[str, str]) -> None:
        del host, env
        bench.engine.all[PROJECT] = Crashing([WEB])

    bench.host.script("compose_up", Outcome(effect=crash))
    bench.clock = LookedAt()
    restored = await bench.restore()
    assert (restored.good, "web restarted" in restored.words) == (False, True)


class LookedAt(FakeClock):
    """A clock on which a moment passes whenever somebody looks at it."""

    def now(self) -> float:
        self.advance(0.001)
        return super().now()


class Crashing(list[Container]):
    """Containers that have restarted whenever somebody looks."""

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - as the list's
        self[0] = replace(self[0], restarts=self[0].restarts + 1)
        return super().__iter__()


async def test_a_gate_has_to_open_as_well(bench: RestoreBench) -> None:
    url = "http://127.0.0.1:8000/healthz"
    bench.host.http[url] = (500, "no database")
    bench.in_pause = bench.host.http.clear
    bench.clock = LookedAt()
    part = replace(PART, gate=Gate(kind="http", target=url, within=0.1))
    restored = await bench.restore(part)
    assert restored.words == "web1: v1 (1111111111) was restored at attempt 2 and is healthy."


async def test_an_engine_that_is_down_is_waited_for(bench: RestoreBench) -> None:
    app = bench.settings.apps["shop"]
    compose = app.compose.model_copy(update={"wait": 0.1})
    bench.settings.apps["shop"] = app.model_copy(update={"compose": compose})
    bench.clock = LookedAt()
    bench.engine.down = "it restarts"

    def answer() -> None:
        bench.engine.down = ""

    bench.in_pause = answer
    assert (await bench.restore()).words == "web1: v1 (1111111111) was restored at attempt 2 and is healthy."


async def test_what_ran_before_the_bot_came_has_no_name(bench: RestoreBench) -> None:
    restored = await bench.restore(replace(PART, replaces=None))
    assert restored.words == "web1: what ran before was restored and is healthy."


async def test_a_link_that_is_not_restored_at_once_is_tried_again(bench: RestoreBench) -> None:
    bench.host.script("compose_up", Outcome(code=1, log=b"no room\n"), Outcome())
    restored = await bench.restore(replace(PART, before=None))
    words = "web1: v1 (1111111111) was restored at attempt 2: `current` leads to it again. Its health is unknown."
    assert (restored, bench.pauses) == (Restored(words, good=True), [2.0])


async def test_a_release_without_containers_has_no_record(bench: RestoreBench) -> None:
    restored = await bench.restore(replace(PART, before=None, verify=False))
    assert restored.words == "web1: v1 (1111111111) was restored and is healthy."


async def test_where_nothing_can_be_restored_nothing_is_tried(bench: RestoreBench) -> None:
    nothing = replace(PART, replaces=None, before=None, restore=())
    assert await bench.restore(nothing) == Restored(
        "web1: nothing ran before, so there is nothing to restore.", good=False
    )
    idle = replace(PART, restore=())
    gone = replace(idle, verify=False)
    for part, why in ((idle, "did not serve before"), (gone, "is no longer on the server")):
        restored = await bench.restorer().restore(await bench.failed(part), part)
        assert restored == Restored(f"web1: v1 (1111111111) {why} and was not restored.", good=False)
    assert (bench.host.started, is_restorable(gone), is_restorable(nothing)) == ([], False, False)
    assert is_restorable(PART)
    assert is_restorable(replace(PART, replaces=None))
    assert is_restorable(replace(PART, before=None))
    assert not is_restorable(replace(PART, replaces=None, before=None))


async def begun(bench: RestoreBench, *rows: tuple[int, str, StepState, int]) -> Deployment:
    """A restore that a killed bot left, by position, name, state and exit code of its steps."""
    deployment = await bench.failed()
    for position, name, state, code in rows:
        row = StepRow(
            deployment=1,
            phase=Phase.RESTORE,
            server="web1",
            position=position,
            name=name,
            job=f"job-{position}",
            state=StepState.PENDING,
            started=bench.clock.now(),
        )

        def write(tables: Tables, row: StepRow = row, state: StepState = state, code: int = code) -> None:
            tables.deployments.begin(row)
            if state is StepState.STARTED:
                tables.deployments.progress(row.job, offset=0, size=0)
            else:
                tables.deployments.end(row.job, state, code=code, now=2.0)

        await bench.store.write(write)
    return deployment


async def test_a_restart_of_the_bot_goes_on_with_the_attempt_that_was_under_way(bench: RestoreBench) -> None:
    deployment = await begun(
        bench,
        (0, "find images", StepState.DONE, 0),
        (1, "restore", StepState.DONE, 0),
        (100, "find images (2)", StepState.DONE, 0),
        (101, "restore (2)", StepState.STARTED, -1),
    )
    # What runs looks well already, but the second attempt is not over.
    bench.host.script("compose_up", Outcome(hold=True))
    await bench.host.start("job-101", "compose_up", {}, deadline=60.0)
    restoring = asyncio.create_task(bench.restorer().restore(deployment, PART))
    await asyncio.wait([restoring], timeout=0.2)
    assert not restoring.done()
    bench.host.finish("job-101")
    async with asyncio.timeout(10):
        restored = await restoring
    assert restored == Restored("web1: v1 (1111111111) was restored at attempt 2 and is healthy.", good=True)
    assert [one.job for one in bench.host.started] == ["job-101"]
    assert (await bench.host.poll("job-101", 0)).status.state is JobState.DONE


async def test_what_waits_for_its_turn_hears_of_a_failed_attempt_at_once_after_a_restart(bench: RestoreBench) -> None:
    heard: list[int] = []
    deployment = await begun(bench, (0, "find images", StepState.DONE, 0), (101, "restore (2)", StepState.FAILED, 1))
    restored = await bench.restorer().restore(
        deployment, PART, failed_once=lambda: heard.append(len(bench.host.started))
    )
    assert (restored.good, heard[0]) == (True, 0)


async def test_a_failed_attempt_is_heard_of_before_the_pause(bench: RestoreBench) -> None:
    heard: list[int] = []
    bench.host.script("compose_up", Outcome(code=1), Outcome())
    deployment = await bench.failed()
    await bench.restorer().restore(deployment, PART, failed_once=lambda: heard.append(len(bench.pauses)))
    assert (heard, bench.pauses) == ([0], [2.0])


async def test_a_restart_of_the_bot_gives_no_more_time(bench: RestoreBench) -> None:
    deployment = await begun(bench, (0, "find images", StepState.DONE, 0), (1, "restore", StepState.FAILED, 1))
    bench.clock.advance(299)
    restored = await bench.restorer().restore(deployment, PART)
    assert (restored.good, bench.pauses, bench.host.started) == (False, [], [])
    bench.clock.advance(-299)
    assert (await bench.restorer().restore(deployment, PART)).good
    assert bench.pauses == [2.0]


async def test_rows_of_other_servers_and_of_the_way_there_do_not_count(bench: RestoreBench) -> None:
    deployment = await bench.failed()
    for server, phase in (("web2", Phase.RESTORE), ("web1", Phase.FORWARD)):
        row = StepRow(
            deployment=1,
            phase=phase,
            server=server,
            position=300,
            name="up",
            job=f"job-{server}",
            state=StepState.PENDING,
            started=1.0,
        )
        await bench.store.write(lambda tables, row=row: tables.deployments.begin(row))  # type: ignore[misc]
    bench.host.script("compose_up", Outcome(code=1), Outcome())
    assert (await bench.restorer().restore(deployment, PART)).words.endswith("at attempt 2 and is healthy.")
