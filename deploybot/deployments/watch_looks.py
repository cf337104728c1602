"""Look at a server for the watch of a release: its containers, its log and the answers of its health check."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections import Counter
from collections.abc import Collection, Sequence
from statistics import median
from typing import Self

from deploybot.deployments.server_answers import any_answers
from deploybot.deployments.timeouts import TIMEOUTS, Timeouts
from deploybot.domain import (
    AnswersSeen,
    Container,
    ContainerMark,
    ContainersSeen,
    DownService,
    Gate,
    LogSeen,
    Manifest,
    ServerSeen,
    UrlLook,
)
from deploybot.errors import ServerDown, Unreachable
from deploybot.observed_state import has_stopped, name_of, not_up, runs_containers
from deploybot.ports import Clock, LogSamples, Servers
from deploybot.settings import App, Environment, project_name
from deploybot.untrusted_input import failure_of

ASKS = 10
"""How often the health URL is asked in one look."""
BEFORE = 3600.0
"""Seconds of the log before the switch that count as what the old release does."""
_ROUNDS_BEFORE = 30
_FEWEST_ROUNDS = 3
_ASKS_A_SECOND = 100.0
_LOOK_WITHIN = 20.0
_BEFORE_WITHIN = 60.0
_PART = 0.9
"""The share of a look's time that each of its parts has. What is left is for a last sign of life of the server."""
_SOON = 0.1
"""After this share of a look's time the server is asked whether it answers at all, unless the look is done."""
_COUNTS = 0.4
"""For this share of a look's time an answer counts."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WatchedTarget:
    """What is looked at: a target on a server, its health check, and what must run there."""

    app: App
    environment: Environment
    server: str
    gate: Gate | None = None
    manifest: Manifest = dataclasses.field(default_factory=Manifest)


class _SignOfLife:
    """Asks a server whether it answers at all, beside the parts of a long look: after these it would be too late."""

    def __init__(self, servers: Servers, server: str, within: float) -> None:
        """Take how long the look may take. It asks when a tenth of that is over, or a part of the look wants to know.

        An answer counts for a while only: the server may be gone since.
        """
        self._servers = servers
        self._server = server
        self._within = within
        self._answered = asyncio.Event()
        self._until = 0.0
        self._asks: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin soon."""
        self._end = asyncio.get_running_loop().time() + self._within * (1 + _PART) / 2
        self._timer = asyncio.get_running_loop().call_later(self._within * _SOON, self._begin)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop asking."""
        self._timer.cancel()
        if self._asks is not None:
            self._asks.cancel()
            await asyncio.gather(self._asks, return_exceptions=True)

    def _begin(self) -> None:
        self._asks = self._asks or asyncio.ensure_future(self._ask())

    async def _ask(self) -> None:
        while True:
            there = await any_answers(self._servers, {self._server})
            self._until = asyncio.get_running_loop().time() + self._within * _COUNTS if there else 0.0
            self._answered.set()
            await asyncio.sleep(self._within * _SOON)

    async def is_there(self) -> bool:
        """Return whether the server answers. A look that has time left waits for that: a busy server is slow."""
        self._begin()
        now = asyncio.get_running_loop().time
        if self._until <= now():
            self._answered.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(self._end - now(), self._within * (1 - _PART) / 2)):
                    await self._answered.wait()
        return self._until > now()


class WatchLooks:
    """Looks at servers. A look that fails says so in its `trouble`; it is never evidence against a release."""

    def __init__(self, servers: Servers, logs: LogSamples, clock: Clock, timeouts: Timeouts = TIMEOUTS) -> None:
        """Take the ports."""
        self._servers = servers
        self._logs = logs
        self._clock = clock
        self._timeouts = timeouts
        self._measuring = 0

    async def before(self, target: WatchedTarget) -> ServerSeen:
        """Return what the old release does before the switch: in the last hour of its log, and now."""
        now = self._clock.now()
        found = (await self._found(target))[0] if runs_containers(target.app) else []
        age = min((_age(one, now) for one in found), default=BEFORE)
        start = ServerSeen(server=target.server, log_from=now - min(age, BEFORE))
        asked = dataclasses.replace(target, gate=None)
        self._measuring += 1
        try:
            seen, (answers, trouble) = await asyncio.gather(
                self.look(asked, start, within=_BEFORE_WITHIN), self._usual_answers(target)
            )
        finally:
            self._measuring -= 1
        seen = dataclasses.replace(seen, answers=answers, trouble=seen.trouble or trouble)
        if seen.containers is not None and found:
            often = round(sum(_restarts_an_hour(one, now) for one in found))
            down = tuple(DownService(name, 1, words) for name, words in _not_up(target.manifest, found, now).items())
            seen = dataclasses.replace(
                seen, containers=ContainersSeen(restarts=often, unwell=int(bool(down)), services=down)
            )
        return seen

    async def _usual_answers(self, target: WatchedTarget) -> tuple[AnswersSeen | None, str]:
        """Ask the health URL for some seconds, evenly, so that a bad moment does not count as usual.

        If several servers are measured at the same time, each is asked less often.
        """
        seen: AnswersSeen | None = None
        trouble = ""
        if target.gate is None or target.gate.kind != "http":
            return seen, trouble
        loop, within = asyncio.get_running_loop(), self._timeouts.watch_before
        end = loop.time() + within
        for round_ in range(1, _ROUNDS_BEFORE + 1):
            began = loop.time()
            async with _SignOfLife(self._servers, target.server, self._timeouts.watch_look) as life:
                seen, now_trouble = await self._url(target, seen, self._timeouts.watch_look * _PART, life)
            if trouble and now_trouble:
                break
            trouble = now_trouble
            busy = min(ASKS * self._measuring / _ASKS_A_SECOND, within / (_FEWEST_ROUNDS - 1))
            pause = max(began + max(within / (_ROUNDS_BEFORE - 1), busy) - loop.time(), 0.0)
            if round_ == _ROUNDS_BEFORE or (round_ >= _FEWEST_ROUNDS and loop.time() + pause > end):
                break
            await asyncio.sleep(pause)
        return seen, trouble

    async def any_answers(self, servers: Collection[str]) -> bool:
        """Return whether at least one of some servers answers now."""
        return await any_answers(self._servers, servers)

    async def look(self, target: WatchedTarget, seen: ServerSeen, *, within: float | None = None) -> ServerSeen:
        """Return what was seen, with one more look. It takes `within` seconds at most, by default a look's time.

        What is not there in time is left out.
        """
        whole = within or self._timeouts.watch_look
        limit = whole * _PART
        async with _SignOfLife(self._servers, target.server, whole) as life:
            (containers, one), (log, log_from, two), (answers, three) = await asyncio.gather(
                self._containers(target, seen.containers, limit),
                self._log(target, seen, limit),
                self._url(target, seen.answers, self._timeouts.watch_look * _PART, life),
            )
            silent = bool(one or three) or bool(two and not await life.is_there())
        return ServerSeen(
            server=seen.server,
            looks=seen.looks + 1,
            counts_from=seen.counts_from,
            log_from=log_from,
            log=log,
            answers=answers,
            containers=containers,
            trouble=one or three or two,
            silent=silent,
        )

    async def _containers(
        self, target: WatchedTarget, seen: ContainersSeen | None, within: float
    ) -> tuple[ContainersSeen | None, str]:
        if not runs_containers(target.app):
            return seen, ""
        found, trouble = await self._found(target, within)
        if trouble:
            return seen, trouble
        seen = seen or ContainersSeen()
        before = {one.id: one for one in seen.marks}
        restarts = sum(_restarts(before[one.id], one, target.manifest) for one in found if one.id in before)
        looks = {one.service: one.looks for one in seen.services}
        down = tuple(
            DownService(name, looks.get(name, 0) + 1, words)
            for name, words in _not_up(target.manifest, found, self._clock.now()).items()
        )
        words = down[0].words if down else ""
        return ContainersSeen(
            restarts=seen.restarts + restarts,
            unwell=seen.unwell + 1 if words else 0,
            down=sum(bool(not_up(one, now=self._clock.now())) for one in found) + _lacking(target.manifest, found),
            words=words or seen.words,
            services=down,
            marks=tuple(ContainerMark(one.id, one.state, one.restarts, one.started) for one in found),
        ), ""

    async def _found(self, target: WatchedTarget, within: float = _LOOK_WITHIN) -> tuple[list[Container], str]:
        """Return the containers of the release, or why they could not be listed."""
        engine = self._servers.engine(target.server)
        if engine is None:
            return [], f"bot.toml sets no `docker` for {target.server}"
        try:
            async with asyncio.timeout(within):
                found = await engine.containers(project_name(target.app, target.environment))
        except TimeoutError:
            return [], f"Docker on {target.server} did not answer within {within:.0f} s"
        except Exception as problem:  # noqa: BLE001  an error of one server must not affect others
            return [], str(failure_of(f"Docker on {target.server}", problem))
        services = {one.service for one in target.manifest.services}
        return [one for one in found if not one.oneoff and (not services or one.service in services)], ""

    async def _log(self, target: WatchedTarget, seen: ServerSeen, within: float) -> tuple[LogSeen | None, float, str]:
        if not self._logs.has_log(target.app):
            return None, seen.log_from, ""
        try:
            async with asyncio.timeout(within):
                counts = await self._logs.count(target.app, target.environment, target.server, since=seen.log_from)
        except TimeoutError:
            return seen.log, seen.log_from, f"reading the log took longer than {within:.0f} s"
        if counts.trouble:
            return seen.log, seen.log_from, counts.trouble
        return (seen.log or LogSeen()).add(counts), counts.end, ""

    async def _url(
        self, target: WatchedTarget, seen: AnswersSeen | None, within: float, life: _SignOfLife
    ) -> tuple[AnswersSeen | None, str]:
        """Ask the health URL some times. An answer that takes long does not keep the others from being asked for."""
        if target.gate is None or target.gate.kind != "http":
            return seen, ""
        end, asks = time.perf_counter() + within, []
        apart = max(within * _PART - self._timeouts.gate_answer, 0.0) / ASKS
        try:
            for _ in range(ASKS):
                asks.append(asyncio.ensure_future(self._answer(target, target.gate)))
                await asyncio.wait(asks[-1:], timeout=apart)
                if asks[-1].done() and isinstance(asks[-1].exception(), ServerDown):
                    break
            await asyncio.wait(asks, timeout=max(end - time.perf_counter(), 0.0))
        finally:
            late = [one for one in asks if not one.done()]
            for one in late:
                one.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        found = [one for one in asks if not one.cancelled()]
        down = next((str(why) for one in found if isinstance(why := one.exception(), ServerDown)), "")
        if down or not found:
            return seen, down or f"{target.server} does not answer"
        answers = [one.result() for one in found]
        broken = [problem for problem, took in answers if problem and not took]
        if broken and not await life.is_there():
            return seen, f"{target.server} does not answer"
        took = [seconds for _, seconds in answers if seconds]
        problems = [problem for problem, _ in answers if problem]
        last = problems[-1] if problems else ""
        look = UrlLook(asked=len(answers), failed=len(problems), why=last, median=median(took) if took else 0.0)
        return (seen or AnswersSeen()).add(look), ""

    async def _answer(self, target: WatchedTarget, gate: Gate) -> tuple[str, float]:
        """Ask once; return why the answer is a failure, or an empty text, and its time, 0.0 if none came.

        Raises ServerDown.
        """
        began = time.perf_counter()
        try:
            problem = await self._ask(target, gate)
        except ServerDown:
            raise
        except Exception as error:  # noqa: BLE001  an error of one server must not affect others
            known = failure_of(target.server, error)
            return known.why if isinstance(known, Unreachable) else str(known), 0.0
        return problem, time.perf_counter() - began

    async def _ask(self, target: WatchedTarget, gate: Gate) -> str:
        """Ask once; return why the answer is a failure, or an empty text."""
        within = self._timeouts.gate_answer
        async with asyncio.timeout(within * 2):
            status, _ = await self._servers.host(target.server).http_status(gate.target, timeout=within)
        good = status == gate.status or (not gate.status and 200 <= status < 300)  # noqa: PLR2004  any 2xx
        return "" if good else f"answers {status}"


def _lacking(manifest: Manifest, found: Sequence[Container]) -> int:
    """Return how many containers of services do not exist."""
    there = Counter(container.service for container in found)
    return sum(max(one.replicas - there[one.service], 0) for one in manifest.services)


def _not_up(manifest: Manifest, found: Sequence[Container], now: float) -> dict[str, str]:
    """Return the services that are not up, each with why: first those with fewer containers than they should have."""
    down = {
        one.service: f"{one.service} has no container" if one.replicas == 1 else f"{one.service} lacks containers"
        for one in manifest.services
        if sum(container.service == one.service for container in found) < one.replicas
    }
    for one in found:
        if text := not_up(one, now=now):
            down.setdefault(one.service or one.name, f"{name_of(one)} {text}")
    return down


def _restarts(before: ContainerMark, now: Container, manifest: Manifest) -> int:
    """Return how often a container restarted or exited since a look."""
    if now.restarts > before.restarts:
        return now.restarts - before.restarts
    if before.started and now.started != before.started and now.state == "running":
        return 1
    expected = manifest.of(now.service)
    ended = now.exit_code != 0 or (expected is not None and has_stopped(now, expected))
    return int(before.state == "running" and now.state in {"exited", "dead"} and ended)


def _age(one: Container, now: float) -> float:
    """Return for how many seconds a container has existed; very long if that is unknown."""
    return max((one.asked or now) - one.created, 0.0)


def _restarts_an_hour(one: Container, now: float) -> float:
    """Return how often a container restarts in an hour; at least once if it did in the last hour."""
    if not one.restarts:
        return 0.0
    hours = _age(one, now) / BEFORE if one.created else 0.0
    recent = 1.0 if one.up_for(now) < BEFORE else 0.0
    return max(one.restarts / max(hours, 1.0), recent)
