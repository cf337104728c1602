"""Looks at a server for the watch: containers, the log and the health check; a look that fails is no evidence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from deploybot.applogs import log_samples
from deploybot.applogs.log_samples import MOST_LINES, SETTLES, SETTLES_ELSEWHERE, ErrorSamples
from deploybot.deployments.timeouts import Timeouts
from deploybot.deployments.watch_looks import WatchedTarget, WatchLooks
from deploybot.domain import Container, Gate, Manifest, ServerFacts, ServerSeen, ServiceImage
from deploybot.errors import ServerDown, Unreachable
from deploybot.masking import Redactor
from deploybot.settings import Logs
from deploybot.testing import FakeClock, FakeEngine, FakeHost, FakeServers
from tests.kit.settings import bot_settings

PROJECT = "shop-production"
URL = "http://127.0.0.1:8000/healthz"
WEB = Container(id="w1", name="shop-web-1", service="web", image="web", state="running", started=10.0, created=10.0)
MANIFEST = Manifest(services=(ServiceImage(service="web", image="", ends=False),))


class AnsweringHost(FakeHost):
    """A server whose health check gives these answers in turn, then the last one."""

    answers: Sequence[int | Exception] = (200,)

    async def http_status(self, url: str, *, timeout: float) -> tuple[int, str]:
        await self._reach(timeout)
        first, *rest = self.answers
        self.answers = rest or [first]
        if isinstance(first, Exception):
            raise first
        return first, url


@dataclass
class LookBench:
    """A server in memory with an app in containers."""

    strategy: str = "compose"
    host: AnsweringHost = field(default_factory=lambda: AnsweringHost("web1"))
    engine: FakeEngine = field(default_factory=lambda: FakeEngine("web1"))
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.engine.all[PROJECT] = [WEB]
        self.engine.chunks["w1"] = []
        more = {"script": "a.sh"} if self.strategy == "script" else {}
        settings = bot_settings(apps={"shop": {"strategy": self.strategy, **more}})
        app = settings.apps["shop"]
        gate = Gate(kind="http", target=URL)
        self.target = WatchedTarget(
            app=app, environment=app.environments["production"], server="web1", gate=gate, manifest=MANIFEST
        )
        self.servers = FakeServers([self.host], {"web1": self.engine})
        self.logs = ErrorSamples(self.servers, self.clock, Redactor())
        self.looks = WatchLooks(self.servers, self.logs, self.clock, Timeouts(gate_answer=0.01, watch_before=0.0))
        self.seen = ServerSeen(server="web1", log_from=self.clock.now())

    async def look(self, **changes: object) -> ServerSeen:
        """Look, ten seconds later, at a container with these changes."""
        if changes:
            self.engine.all[PROJECT] = [replace(WEB, **changes)]  # type: ignore[arg-type]  # its fields
        self.clock.advance(10)
        self.seen = await self.looks.look(self.target, self.seen)
        return self.seen

    async def restarts(self, **changes: object) -> int:
        seen = (await self.look(**changes)).containers
        assert seen is not None
        return seen.restarts

    def write(self, *lines: str, ago: float = 5.0) -> None:
        """Let the container have written lines some seconds before the next look."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime(self.clock.now() + 10 - ago))
        self.engine.chunks["w1"] = [f"{at} {line}\n".encode() for line in lines]


async def test_restarts_and_exits_are_counted_once() -> None:
    bench = LookBench()
    assert await bench.restarts() == 0
    assert await bench.restarts(restarts=2) == 2
    assert await bench.restarts(restarts=2, started=20.0) == 3
    assert await bench.restarts(restarts=2, started=20.0, state="exited", exit_code=1) == 4
    assert await bench.restarts(restarts=2, started=20.0, state="exited", exit_code=1) == 4


async def test_a_service_that_is_no_job_must_not_end_and_a_job_may() -> None:
    bench = LookBench()
    assert await bench.restarts() == 0
    assert await bench.restarts(state="exited") == 1
    job = LookBench()
    job.target = replace(job.target, manifest=Manifest(services=(ServiceImage(service="web", image="", ends=True),)))
    assert await job.restarts() == 0
    assert await job.restarts(state="exited") == 0
    assert job.seen.containers is not None
    assert job.seen.containers.unwell == 0


async def test_looks_in_which_a_container_is_not_up_are_counted_in_a_row() -> None:
    bench = LookBench()
    found = []
    for health in ("unhealthy", "unhealthy", "healthy", "starting"):
        containers = (await bench.look(health=health)).containers
        assert containers is not None
        found.append((containers.unwell, containers.words))
    assert found == [(1, "web is unhealthy"), (2, "web is unhealthy"), (0, "web is unhealthy"), (1, "web is starting")]
    bench.engine.all[PROJECT] = []
    gone = (await bench.look()).containers
    assert gone is not None
    assert (gone.unwell, gone.words) == (2, "web has no container")


async def test_only_the_services_of_the_release_count() -> None:
    bench = LookBench()
    other = replace(WEB, id="o1", service="other", state="exited", exit_code=1)
    bench.engine.all[PROJECT] = [WEB, other, replace(other, service="web", oneoff=True)]
    bench.engine.chunks["o1"] = []
    assert await bench.restarts() == 0
    assert bench.seen.containers is not None
    assert bench.seen.containers.unwell == 0


async def test_error_lines_since_the_last_look_are_counted_once() -> None:
    bench = LookBench()
    bench.write("ERROR no", "fine", "ERROR no", ago=7.0)
    first = await bench.look()
    assert first.log is not None
    assert (first.log.errors, first.log.fine, first.log.total) == (2, 1, 1)
    again = await bench.look()
    assert again.log is not None
    assert (again.log.errors, again.log.total) == (2, 3)
    assert again.log_from == first.log_from + 10


def entry(at: float, line: str) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z ", time.gmtime(at)).encode() + line.encode() + b"\n"


async def test_of_a_log_with_more_than_is_read_the_newest_part_counts() -> None:
    bench = LookBench()
    begin = bench.clock.now() - 3600
    old = [entry(begin + 3000 + at / 20, "x" * 300) for at in range(MOST_LINES - 600)]
    bench.engine.chunks["w1"] = [*old, *(entry(begin + 3540 + at / 10, "ERROR no") for at in range(600))]
    log = (await bench.looks.before(bench.target)).log
    assert log is not None
    assert (log.total, log.recent[-3:-1]) == (119, (50, 50)), "600 s; what was before is unknown"


async def test_a_busy_log_that_begins_late_was_rotated_and_a_quiet_one_was_not() -> None:
    bench = LookBench()
    late = bench.clock.now() - 300
    bench.engine.chunks["w1"] = [entry(late + at, "fine") for at in range(100)]
    busy = (await bench.looks.before(bench.target)).log
    bench.engine.chunks["w1"] = bench.engine.chunks["w1"][1:]
    quiet = (await bench.looks.before(bench.target)).log
    assert busy is not None
    assert quiet is not None
    assert (busy.total, quiet.total) == (59, 719)


async def test_more_text_than_its_lines_can_have_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_samples, "MOST_BYTES", 100)
    bench = LookBench()
    bench.write(*["x" * 60] * 2)
    seen = await bench.look()
    assert (seen.log, seen.trouble) == (None, "web1: the log has more text than is read")


async def test_a_source_that_cannot_be_read_is_not_one_without_errors() -> None:
    bench = LookBench()
    bench.engine.all[PROJECT] = [WEB, replace(WEB, id="c1", service="cache")]
    seen = await bench.look()
    assert (seen.log, seen.trouble, seen.log_from) == (None, "there is no container c1", bench.clock.now() - 10)
    bench.engine.chunks["c1"] = []
    seen = await bench.look()
    assert seen.log is not None
    assert (seen.trouble, seen.log.total) == ("", 3)


async def test_a_container_that_keeps_no_log_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_samples, "_NO_LOG", "there is no container c1")
    bench = LookBench()
    bench.engine.all[PROJECT] = [WEB, replace(WEB, id="c1", service="cache")]
    seen = await bench.look()
    assert (seen.log is None, seen.trouble) == (False, "")


async def test_of_a_long_gap_the_last_hour_counts() -> None:
    bench = LookBench()
    for since in (0.0, bench.clock.now() - 86_400 * 365):
        seen = await bench.looks.look(bench.target, ServerSeen(server="web1", log_from=since))
        assert seen.log is not None
        assert seen.log.total == 720
        assert abs(seen.log_from - bench.clock.now()) < 10


async def test_after_the_clock_went_back_the_log_counts_from_now() -> None:
    bench = LookBench()
    ahead = ServerSeen(server="web1", log_from=bench.clock.now() + 86_400)
    assert (await bench.looks.look(bench.target, ahead)).log_from == bench.clock.now() - SETTLES


async def test_the_hour_before_has_what_the_old_release_did() -> None:
    bench = LookBench()
    bench.write("ERROR no", ago=1000.0)
    bench.engine.all[PROJECT] = [replace(WEB, restarts=3, created=bench.clock.now() - 7200, started=0.0)]
    before = await bench.looks.before(bench.target)
    assert before.log is not None
    assert before.answers is not None
    assert before.containers is not None
    assert (before.log.errors, before.log.total, before.answers.asked) == (1, 719, 30)
    assert (before.containers.restarts, before.containers.unwell) == (2, 0)


async def test_the_health_check_is_asked_evenly_before_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, slept = LookBench(), list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    bench.looks = WatchLooks(bench.servers, bench.logs, bench.clock, Timeouts(gate_answer=0.01, watch_before=290.0))
    with monkeypatch.context() as patch:
        patch.setattr("deploybot.deployments.watch_looks.asyncio.sleep", sleep)
        before = await bench.looks.before(bench.target)
    assert before.answers is not None
    assert (before.answers.asked, len(before.answers.medians)) == (300, 30)
    pauses = [one for one in slept if one > 5]
    assert len(pauses) == 29
    assert max(pauses) <= 10.0


async def test_the_old_release_is_asked_for_some_seconds_at_most() -> None:
    bench = LookBench()
    bench.looks = WatchLooks(bench.servers, bench.logs, bench.clock, Timeouts(gate_answer=0.01, watch_before=0.0))
    before = await bench.looks.before(bench.target)
    assert before.answers is not None
    assert before.answers.asked == 30


async def test_which_services_the_old_release_does_not_keep_up() -> None:
    bench = LookBench()
    bench.engine.all[PROJECT] = [WEB, replace(WEB, id="c1", service="cache", name="c", health="unhealthy")]
    bench.engine.chunks["c1"] = []
    bench.target = replace(bench.target, manifest=Manifest())
    before = await bench.looks.before(bench.target)
    assert before.containers is not None
    assert [(one.service, one.looks) for one in before.containers.services] == [("cache", 1)]
    for looks in (1, 2):
        seen = (await bench.look()).containers
        assert seen is not None
        assert [(one.service, one.looks, one.words) for one in seen.services] == [
            ("cache", looks, "cache is unhealthy")
        ]
    bench.engine.all[PROJECT] = [WEB]
    seen = (await bench.look()).containers
    assert seen is not None
    assert seen.services == ()


@pytest.mark.parametrize("skew", [-12, -9, -6, -3, 0, 3, 14, 40])
async def test_no_line_is_missed_if_the_clock_of_a_server_differs(skew: int) -> None:
    bench = LookBench()
    start = bench.clock.now()
    for look in range(1, 7):
        # The Engine's clock has full seconds, and an answer takes its time.
        bench.engine.all[PROJECT] = [replace(WEB, asked=start + look * 10 + skew - (0.5 if look % 2 else 0.0))]
        lines = range(look * 10)
        bench.engine.chunks["w1"] = [entry(start + second + skew, "ERROR no") for second in lines]
        await bench.look()
    assert bench.seen.log is not None
    assert bench.seen.log.errors >= bench.seen.log.total * 5 - 3
    assert bench.seen.log.total == 11


async def test_a_file_whose_server_is_behind_is_read_late() -> None:
    bench = LookBench("script")
    logs = bench.logs
    app = bench.target.app.model_copy(update={"logs": Logs(file="/var/log/shop")})
    now = bench.clock.now()
    found = await logs.count(app, bench.target.environment, "web1", since=now - 16)
    assert found.end == now - 16
    assert SETTLES_ELSEWHERE == 15


@pytest.mark.parametrize(
    ("restarts", "hours", "up", "often"), [(0, 9, 1, 0), (1, 48, 60, 1), (1, 48, 7200, 0), (9, 0.5, 7200, 9)]
)
async def test_how_often_the_old_release_restarts_in_an_hour(
    restarts: int, hours: float, up: float, often: int
) -> None:
    bench = LookBench()
    now = bench.clock.now()
    bench.engine.all[PROJECT] = [replace(WEB, restarts=restarts, created=now - hours * 3600, started=now - up)]
    before = await bench.looks.before(bench.target)
    assert before.containers is not None
    assert before.containers.restarts == often


async def test_answers_and_their_time() -> None:
    bench = LookBench()
    bench.host.answers = [500, 200, 503, *[204] * 7]
    answers = (await bench.look()).answers
    assert answers is not None
    assert (answers.asked, answers.failed, answers.bad, answers.why) == (10, 2, 0, "answers 503")
    assert len(answers.medians) == 1
    bench.host.answers = [Unreachable("it", "the connection was refused")]
    answers = (await bench.look()).answers
    assert answers is not None
    assert (answers.asked, answers.failed, answers.bad) == (20, 12, 1)
    assert (answers.why, len(answers.medians)) == ("the connection was refused", 1)


async def test_another_status_may_be_the_good_one() -> None:
    bench = LookBench()
    bench.target = replace(bench.target, gate=Gate(kind="http", target=URL, status=401))
    bench.host.answers = [401]
    answers = (await bench.look()).answers
    assert answers is not None
    assert answers.failed == 0


async def test_a_server_that_is_down_is_no_evidence() -> None:
    bench = LookBench()
    before = await bench.look()
    bench.host.down = bench.engine.down = "no route to it"
    seen = await bench.look()
    assert seen.trouble == "web1 cannot be reached: no route to it"
    assert (seen.answers, seen.containers, seen.log) == (before.answers, before.containers, before.log)
    assert seen.log_from == before.log_from
    bench.host.down = bench.engine.down = ""
    seen = await bench.look()
    assert (seen.trouble, seen.log_from) == ("", before.log_from + 20)


class BusyHost(AnsweringHost):
    """A server that answers, but not at once."""

    async def facts(self, directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:
        await asyncio.sleep(0.4)
        return await super().facts(directory, timeout=timeout, docker=docker)


async def test_a_busy_server_whose_app_refuses_is_not_one_that_does_not_answer() -> None:
    bench = LookBench(host=BusyHost("web1"))
    bench.looks = WatchLooks(bench.servers, bench.logs, bench.clock, Timeouts(gate_answer=0.01, watch_look=4.0))
    bench.host.answers = (Unreachable("web1", "connection refused"),)
    seen = await bench.look()
    assert seen.answers is not None
    assert (seen.silent, seen.answers.failed, seen.answers.bad) == (False, 10, 1)


async def test_an_answer_that_breaks_off_with_the_connection_is_no_evidence() -> None:
    bench = LookBench()
    bench.host.answers = [200, ServerDown("web1", "it broke")]
    seen = await bench.look()
    assert (seen.answers, seen.trouble) == (None, "web1 cannot be reached: it broke")


async def test_a_log_that_cannot_be_read_is_shown() -> None:
    bench = LookBench()
    del bench.engine.chunks["w1"]
    seen = await bench.look()
    assert (seen.log, seen.trouble) == (None, "there is no container w1")


async def test_without_containers_and_a_log_only_the_health_check_is_asked() -> None:
    bench = LookBench("script")
    seen = await bench.look()
    assert (seen.containers, seen.log, seen.trouble) == (None, None, "")
    assert seen.answers is not None
    bench.target = replace(bench.target, gate=Gate(kind="tcp", target="127.0.0.1:80"))
    bench.seen = ServerSeen(server="web1")
    assert (await bench.look()).answers is None
