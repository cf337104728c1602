"""The health gate: ask a release on a server whether it is healthy, until it is or the time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from deploybot.backoff import Backoff
from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.timeouts import TIMEOUTS, Timeouts
from deploybot.domain import Container, Gate
from deploybot.errors import Unhealthy
from deploybot.observed_state import name_of, not_up
from deploybot.ports import Clock, Engine, Host, Servers
from deploybot.untrusted_input import failure_of

_PAUSES = Backoff(0.1, 2.0, factor=1.6)
TAIL = 15
LOG_BYTES = 65_536


class HealthGate:
    """Checks health gates. A check that cannot be made counts as unhealthy, with its reason."""

    def __init__(self, servers: Servers, clock: Clock, timeouts: Timeouts = TIMEOUTS) -> None:
        """Take the ports."""
        self._servers = servers
        self._clock = clock
        self._timeouts = timeouts

    async def pass_through(
        self, server: str, gate: Gate, stop: CancellationWatch, *, since: float, services: Collection[str] = ()
    ) -> None:
        """Return once the release is healthy; raise Unhealthy with the last reason `within` seconds after `since`.

        It is asked once at least, even if that time is over. `services` are those of the release, if they are known:
        other containers of the project do not count.
        """
        check = self._check(server, gate, services)
        end = since + gate.within
        pauses = iter(_PAUSES)
        while True:
            why = await stop.before(_ask(check, server, self._timeouts.gate_answer * 2))
            if why == "":
                return
            if why is None or stop.why is not None:
                assert stop.why is not None  # noqa: S101  only a cancellation comes before an answer
                raise stop.why
            pause = next(pauses)
            if self._clock.now() + pause > end:
                raise Unhealthy(server, why, await self.last_words(server, gate, services))
            await stop.pause(pause)

    async def problem(self, server: str, gate: Gate) -> str:
        """Ask once. Return why it is not healthy now, or an empty text."""
        return await _ask(self._check(server, gate, ()), server, self._timeouts.gate_answer * 2)

    def _check(self, server: str, gate: Gate, services: Collection[str]) -> Callable[[], Awaitable[str]]:
        host = self._servers.host(server)
        if gate.kind == "http":
            return lambda: _http(host, gate, self._timeouts.gate_answer)
        if gate.kind == "tcp":
            return lambda: _tcp(host, gate, self._timeouts.gate_answer)
        engine = self._servers.engine(server)
        if engine is None:
            raise Unhealthy(server, f"bot.toml sets no `docker` for {server}, so its health cannot be checked")
        return lambda: _docker(engine, gate, services, self._clock.now())

    async def last_words(self, server: str, gate: Gate, services: Collection[str] = ()) -> tuple[str, ...]:
        """Return the last log lines of the unhealthy containers of `services`; empty if there is no Engine to ask."""
        engine = self._servers.engine(server)
        if engine is None or gate.kind != "docker":
            return ()
        within = self._timeouts.gate_logs
        try:
            async with asyncio.timeout(within):
                return await _words_of(engine, gate, services, self._clock.now(), within)
        except TimeoutError:
            return (f"(reading the containers' logs took longer than {within:.0f} s)",)
        except Exception as problem:  # noqa: BLE001  an error of one server must not affect others
            return (f"(the containers' logs could not be read: {failure_of(f'Docker on {server}', problem)})",)


async def _ask(check: Callable[[], Awaitable[str]], server: str, within: float) -> str:
    """Return why it is not healthy; empty if it is."""
    try:
        async with asyncio.timeout(within):
            return await check()
    except TimeoutError:
        return f"no answer within {within:.0f} s"
    except Exception as problem:  # noqa: BLE001  an error of one server must not affect others
        return str(failure_of(server, problem))


async def _http(host: Host, gate: Gate, within: float) -> str:
    status, body = await host.http_status(gate.target, timeout=within)
    if status == gate.status or (not gate.status and 200 <= status < 300):  # noqa: PLR2004  any 2xx
        return ""
    words = body.strip().splitlines()
    return f"{gate.target} answers {status}" + (f": {words[0][:120]}" if words else "")


async def _tcp(host: Host, gate: Gate, within: float) -> str:
    name, _, port = gate.target.rpartition(":")
    await host.tcp_open(name.strip("[]"), int(port), timeout=within)
    return ""


async def _docker(engine: Engine, gate: Gate, services: Collection[str], now: float) -> str:
    containers = await _containers(engine, gate, services)
    if not containers:
        return f"no container of {gate.target} exists"
    return ", ".join(f"{name_of(one)} {words}" for one in containers if (words := not_up(one, now=now)))


async def _containers(engine: Engine, gate: Gate, services: Collection[str]) -> list[Container]:
    """Return the containers that must be healthy: without those that a person left in the project."""
    found = await engine.containers(gate.target)
    return [one for one in found if not one.oneoff and (not services or one.service in services)]


async def _words_of(
    engine: Engine, gate: Gate, services: Collection[str], now: float, within: float
) -> tuple[str, ...]:
    lines: list[str] = []
    for container in await _containers(engine, gate, services):
        if not not_up(container, now=now):
            continue
        data = b""
        async for chunk in engine.logs(container.id, tail=TAIL, timeout=within):
            data = (data + chunk)[-LOG_BYTES:]
        name = name_of(container)
        lines += [f"{name} | {_text(line)}" for line in data.splitlines()[-TAIL:]]
    return tuple(lines)


def _text(line: bytes) -> str:
    """Return a log line without its time, cut at 300 characters."""
    _, _, text = line.decode("utf-8", errors="replace").partition(" ")
    return text[:300]
