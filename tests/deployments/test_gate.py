"""The health gate alone: what each kind of it asks, what it calls healthy, and when it gives up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from deploybot.deployments.health_gate import HealthGate
from deploybot.deployments.timeouts import TIMEOUTS, Timeouts
from deploybot.domain import Container, Gate
from deploybot.errors import Cancelled, Unhealthy
from deploybot.testing import FakeClock, FakeEngine, FakeHost, FakeServers
from tests.deployments.conftest import PausingStop

URL = "http://127.0.0.1:8000/healthz"
HTTP = Gate(kind="http", target=URL, within=0.3)
DOCKER = Gate(kind="docker", target="shop", within=0.3)


class SlowHost(FakeHost):
    """A server on which every check takes half a second; `statuses` are those that it gave, `coming` the next ones."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__("web1")
        self.clock = clock
        self.statuses: list[int] = []
        self.coming: list[int] = []

    async def http_status(self, url: str, *, timeout: float) -> tuple[int, str]:
        assert timeout == 5.0
        self.clock.advance(0.5)
        status, text = await super().http_status(url, timeout=timeout)
        self.statuses.append(self.coming.pop(0) if self.coming else status)
        return self.statuses[-1], text

    async def tcp_open(self, host: str, port: int, *, timeout: float) -> None:
        assert timeout == 5.0
        self.clock.advance(0.5)
        await super().tcp_open(host, port, timeout=timeout)


class SlowEngine(FakeEngine):
    """An Engine that takes half a second to tell its containers."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__("web1")
        self.clock = clock

    async def containers(self, project: str) -> tuple[Container, ...]:
        self.clock.advance(0.5)
        return await super().containers(project)


def container(service: str = "web", state: str = "running", **more: object) -> Container:
    """A container of the shop's."""
    return Container(id=f"id-{service}", name=f"shop-{service}-1", service=service, image="shop", state=state, **more)  # type: ignore[arg-type]


class GatedServer:
    """One server with an Engine, and a gate before it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.host, self.engine = SlowHost(self.clock), SlowEngine(self.clock)
        self.wait()
        self.stop = PausingStop(self.clock)

    def wait(self, timeouts: Timeouts = TIMEOUTS) -> None:
        """Make the gate, with other timeouts."""
        self.gate = HealthGate(FakeServers([self.host], {"web1": self.engine}), self.clock, timeouts)

    async def open(self, gate: Gate, *services: str) -> None:
        """Go through it, or raise what it raises; ten seconds at most."""
        async with asyncio.timeout(10):
            await self.gate.pass_through("web1", gate, self.stop, since=self.clock.now(), services=services)

    async def refusal(self, gate: Gate, *services: str) -> Unhealthy:
        """What it says of a release that does not come up."""
        with pytest.raises(Unhealthy) as caught:
            await self.open(gate, *services)
        assert caught.value.server == "web1"
        return caught.value


@pytest.fixture
def server() -> GatedServer:
    return GatedServer()


@pytest.mark.parametrize("status", [200, 204, 299])
async def test_any_2xx_is_healthy(server: GatedServer, status: int) -> None:
    server.host.http[URL] = (status, "")
    await server.open(HTTP)


@pytest.mark.parametrize("status", [199, 300, 302, 404])
async def test_any_other_status_is_not(server: GatedServer, status: int) -> None:
    server.host.http[URL] = (status, "")
    assert (await server.refusal(HTTP)).why == f"{URL} answers {status}"


async def test_a_status_that_is_asked_for_is_the_only_healthy_one(server: GatedServer) -> None:
    gate = Gate(kind="http", target=URL, within=0.3, status=401)
    server.host.http[URL] = (401, "")
    await server.open(gate)
    server.host.http[URL] = (200, "")
    assert (await server.refusal(gate)).why == f"{URL} answers 200"


async def test_the_first_line_of_an_answer_is_reported_and_cut(server: GatedServer) -> None:
    server.host.http[URL] = (503, f"\n{'x' * 200}\nsecond line\n")
    refusal = await server.refusal(HTTP)
    assert refusal.why == f"{URL} answers 503: {'x' * 120}"
    assert refusal.tail == ()


async def test_a_port_that_takes_connections_is_healthy(server: GatedServer) -> None:
    server.host.closed = {("10.0.0.1", 8000), ("::1", 8000), ("XENON", 8000)}
    await server.open(Gate(kind="tcp", target="10.0.0.1:8001", within=0.3))
    await server.open(Gate(kind="tcp", target="[::1]:8001", within=0.3))
    for target in ("10.0.0.1:8000", "[::1]:8000", "XENON:8000"):
        refusal = await server.refusal(Gate(kind="tcp", target=target, within=0.3))
        assert refusal.why == f"{target.translate({91: None, 93: None})} cannot be reached: the connection was refused"


@pytest.mark.parametrize(
    "well",
    [container(), container(health="healthy"), container(state="exited"), container(state="dead", oneoff=True)],
)
async def test_containers_that_run_or_ended_well_are_healthy(server: GatedServer, well: Container) -> None:
    server.engine.all["shop"] = [well, container("other")]
    await server.open(DOCKER)


@pytest.mark.parametrize(
    ("ill", "why"),
    [
        (container(health="starting"), "web is starting"),
        (container(health="unhealthy"), "web is unhealthy"),
        (container(state="exited", exit_code=3), "web exited with code 3"),
        (container(state="restarting"), "web is restarting"),
        (container("", state="paused"), "shop--1 is paused"),
    ],
)
async def test_containers_that_do_not_run_well_are_named(server: GatedServer, ill: Container, why: str) -> None:
    server.engine.all["shop"] = [ill, container("other")]
    server.engine.chunks[ill.id] = []
    assert (await server.refusal(DOCKER)).why == why


async def test_every_container_that_is_not_well_is_named(server: GatedServer) -> None:
    server.engine.all["shop"] = [container("web", "dead"), container("db", "created")]
    assert (await server.refusal(DOCKER)).why == "web is dead, db is created"


async def test_a_project_without_containers_is_not_healthy(server: GatedServer) -> None:
    server.engine.all["shop"] = [container(state="running", oneoff=True)]
    assert (await server.refusal(DOCKER)).why == "no container of shop exists"


async def test_what_a_person_left_in_the_project_is_no_part_of_the_release(server: GatedServer) -> None:
    """Such as the service of another profile that was run once by hand, and failed."""
    left = container("backup", "exited", exit_code=1)
    server.engine.all["shop"] = [container(), left]
    await server.open(DOCKER, "web", "worker")
    assert (await server.refusal(DOCKER)).why == "backup exited with code 1"
    server.engine.all["shop"] = [container(state="dead"), left]
    server.engine.chunks["id-web"] = [b"2027-01-15T08:00:00Z no database\n"]
    server.engine.chunks["id-backup"] = [b"2027-01-15T08:00:00Z no tape\n"]
    refusal = await server.refusal(DOCKER, "web")
    assert (refusal.why, refusal.tail) == ("web is dead", ("web | no database",))


async def test_a_release_without_containers_is_not_healthy_whatever_was_left(server: GatedServer) -> None:
    server.engine.all["shop"] = [container("backup")]
    assert (await server.refusal(DOCKER, "web")).why == "no container of shop exists"


async def test_a_docker_gate_without_an_engine_says_what_is_missing(server: GatedServer) -> None:
    server.gate = HealthGate(FakeServers([server.host]), server.clock)
    why = (await server.refusal(DOCKER)).why
    assert why == "bot.toml sets no `docker` for web1, so its health cannot be checked"


async def test_the_last_words_are_those_of_containers_that_are_not_well(server: GatedServer) -> None:
    server.engine.all["shop"] = [
        container("web", "exited", exit_code=1),
        container("db"),
        container("migrate", "dead", oneoff=True),
        container("", "dead"),
    ]
    lines = [f"2027-01-15T08:00:00Z line {number} {'y' * 400}\n".encode() for number in range(20)]
    # Chunks end anywhere, in the middle of lines, too.
    server.engine.chunks["id-web"] = [b"".join(lines)[:25], b"".join(lines)[25:]]
    server.engine.chunks["id-"] = [b"2027-01-15T08:00:00Z it \xff broke\n"]
    server.engine.chunks["id-db"] = server.engine.chunks["id-migrate"] = [b"2027-01-15T08:00:00Z all is well\n"]
    tail = (await server.refusal(DOCKER)).tail
    assert len(tail) == 16
    assert tail[0] == f"web | line 5 {'y' * 293}"
    assert tail[14].startswith("web | line 19 yyy")
    assert tail[15] == "shop--1 | it � broke"


async def test_logs_that_cannot_be_read_are_no_second_failure(server: GatedServer) -> None:
    server.engine.all["shop"] = [container(state="dead")]
    refusal = await server.refusal(DOCKER)
    assert refusal.why == "web is dead"
    assert refusal.tail == ("(the containers' logs could not be read: there is no container id-web)",)


async def test_only_a_docker_gate_has_last_words(server: GatedServer) -> None:
    server.engine.all["shop"] = [container(state="dead")]
    server.engine.chunks["id-web"] = [b"2027-01-15T08:00:00Z broken\n"]
    server.host.http[URL] = (500, "")
    server.engine.all[URL] = server.engine.all["shop"]
    assert (await server.refusal(HTTP)).tail == ()
    server.gate = HealthGate(FakeServers([server.host]), server.clock)
    assert (await server.refusal(HTTP)).tail == ()


async def test_what_cannot_be_asked_is_not_healthy_and_is_asked_again(server: GatedServer) -> None:
    server.engine.down = "the connection broke"
    refusal = await server.refusal(DOCKER)
    assert "the connection broke" in refusal.why
    server.engine.down = ""
    server.engine.all["shop"] = [container()]
    await server.open(DOCKER)


async def test_a_release_may_come_up_until_its_time_is_over(server: GatedServer) -> None:
    server.host.coming = [503, 503, 503, 200]
    await server.open(Gate(kind="http", target=URL, within=3.0))
    assert server.host.statuses == [503, 503, 503, 200]


@pytest.mark.parametrize(("within", "checks"), [(0.5, 1), (0.6, 2), (0.7, 2), (2.0, 3)])
async def test_it_gives_up_when_the_next_check_would_come_too_late(
    server: GatedServer, within: float, checks: int
) -> None:
    """A check takes half a second, and the pauses after it are 0.1, 0.16, 0.256, … seconds."""
    server.host.http[URL] = (503, "")
    await server.refusal(Gate(kind="http", target=URL, within=within))
    assert server.host.statuses == [503] * checks


async def test_pauses_between_checks_grow_up_to_two_seconds(server: GatedServer) -> None:
    server.host.http[URL] = (503, "")
    await server.refusal(Gate(kind="http", target=URL, within=15.0))
    growing = [0.1, 0.16, 0.256, 0.4096, 0.65536, 1.048576, 1.6777216]
    assert server.stop.pauses == pytest.approx([*growing, 2.0, 2.0])


async def test_a_wish_to_stop_ends_it_at_once_and_is_what_is_raised(server: GatedServer) -> None:
    server.host.http[URL] = (503, "")
    server.stop.set(Cancelled("ana"))
    with pytest.raises(Cancelled):
        await server.open(HTTP)
    assert server.host.statuses == [503]


async def test_who_is_healthy_before_anybody_wishes_to_stop_is_healthy(server: GatedServer) -> None:
    server.stop.set(Cancelled("ana"))
    await server.open(HTTP)


async def test_a_check_that_hangs_is_not_healthy(server: GatedServer) -> None:
    server.wait(Timeouts(gate_answer=0.05))
    began: list[float] = []

    async def hang(url: str, *, timeout: float) -> tuple[int, str]:
        began.append(asyncio.get_running_loop().time())
        await asyncio.Event().wait()
        return 200, f"{url} {timeout}"

    server.host.http_status = hang  # type: ignore[method-assign]
    await server.refusal(Gate(kind="http", target=URL, within=0.0))
    assert asyncio.get_running_loop().time() - began[0] >= 0.09, "a check gets its time"


async def test_a_check_that_gets_no_answer_says_how_long_it_waited(server: GatedServer) -> None:
    async def no_answer(url: str, *, timeout: float) -> tuple[int, str]:
        raise TimeoutError(url, timeout)

    server.host.http_status = no_answer  # type: ignore[method-assign]
    assert (await server.refusal(HTTP)).why == "no answer within 10 s"


async def test_logs_that_hang_do_not_hold_it_up(server: GatedServer) -> None:
    server.wait(Timeouts(gate_logs=0.01))
    server.engine.all["shop"] = [container(state="dead")]

    async def hang(container: str, *, tail: int | None) -> AsyncIterator[bytes]:
        assert (container, tail) == ("id-web", 15)
        await asyncio.Event().wait()
        yield b""

    server.engine.logs = hang  # type: ignore[method-assign,assignment]
    tail = (await server.refusal(DOCKER)).tail
    assert len(tail) == 1
    assert tail[0].startswith("(the containers' logs could not be read: ")
