"""Where an app writes its log: containers, a file, journald or a command, on each server of an environment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import cast

from deploybot.applogs.log_text import LogLines
from deploybot.applogs.log_times import Entry, Stamps, Timer
from deploybot.applogs.time_zones import Zones
from deploybot.domain import Container
from deploybot.errors import DeploybotError, StepFailed, Unreachable, UserError
from deploybot.masking import Redactor, Stream
from deploybot.part_tables import has_containers
from deploybot.ports import Engine, Host, Servers
from deploybot.settings import App, Environment, Logs, project_name
from deploybot.untrusted_input import failure_of

FIND_WITHIN = 5.0
"""Seconds for a server to list its containers."""
_REFUSAL = b"\x1c"
"""The first byte that the packaged scripts print if there is no log."""
_LONGEST_REFUSAL = 500
_CLOCKS_AGREE = 15.0
_AT_ONCE = 32_768
"""How many bytes to mask before other tasks get their turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How to read a source.

    `tail` is how many lines from the end. `now` and `since` are in seconds since the epoch; `since` 0.0 means all.
    `limit` cuts lines, in bytes. Reading ends after `timeout` seconds. Without `times`, a container's lines come
    without the Engine's time.
    """

    tail: int
    now: float
    since: float = 0.0
    follow: bool = False
    times: bool = True
    limit: int
    timeout: float


@dataclass(frozen=True, slots=True)
class Source:
    """One log on one server. `part` distinguishes it from the others there: a service or a container, or empty.

    `id` is the container's id; `live` is whether it may still write. `zone` applies to times that name no zone; None if
    it is unknown. `ahead` is how many seconds the clock of its lines is ahead of the bot's, 0.0 if they about agree;
    `measured` is the same as it was measured, up to a few seconds too low; None if it was not.
    """

    server: str
    part: str
    stamps: Stamps
    open: Callable[[Reading], AsyncIterator[bytes]]
    id: str = ""
    live: bool = True
    zone: tzinfo | None = None
    ahead: float = 0.0
    measured: float | None = None

    def by_its_clock(self, reading: Reading) -> Reading:
        """Return a reading whose times are those of the source's clock."""
        since = reading.since + self.ahead if reading.since else 0.0
        return replace(reading, now=reading.now + self.ahead, since=since)

    @property
    def name(self) -> str:
        """Return `web1/api`, or `web1`."""
        return "/".join(filter(None, (self.server, self.part)))

    def timer(self, reading: Reading) -> Timer:
        """Return the reader for the times of its lines."""
        reading = self.by_its_clock(reading)
        # A followed log continues after `now`.
        until = reading.now + (reading.timeout if reading.follow else 0.0)
        return Timer(
            self.stamps,
            zone=self.zone,
            now=until,
            limit=reading.limit,
            since=reading.since,
            waits=not reading.follow,
        )


def of_app(app: App) -> Logs:
    """Return where an app's log is: as bot.toml says, or in all containers of its Compose project."""
    if app.logs:
        return app.logs
    if has_containers(app.strategy):
        return Logs(docker="*")
    raise UserError(
        f"bot.toml does not say where the log of {app.name} is.",
        hint=f'Add one of `logs = {{ file = "/path" }}`, `{{ journald = "unit" }}`, `{{ docker = "service" }}` or '
        f'`{{ command = "…" }}` to [apps.{app.name}].',
    )


async def find(app: App, environment: Environment, server: str, servers: Servers, zones: Zones) -> list[Source]:
    """Return the logs of an app on one server. Raises UserError, Unreachable or EngineError."""
    logs = of_app(app)
    if logs.docker:
        return await containers_on(app, environment, server, servers, zones.now)
    host = servers.host(server)
    if logs.journald:
        return [_script(host, "logs_journald", Stamps.JOURNAL, {"DEPLOYBOT_UNIT": logs.journald})]
    zone = logs.timezone or await zones.of(server)
    if logs.file:
        return [_script(host, "logs_file", Stamps.FREE, {"DEPLOYBOT_FILE": logs.file}, zone)]
    there = app.at(environment)
    values = {
        "DEPLOYBOT_COMMAND": logs.command or "",
        "DEPLOYBOT_DIRECTORY": there.bot_folder,
        "DEPLOYBOT_FILES": there.server_folder,
    }
    return [_script(host, "logs_command", Stamps.FREE, values, zone)]


async def containers_on(
    app: App, environment: Environment, server: str, servers: Servers, now: Callable[[], float]
) -> list[Source]:
    """Return the logs of an app's containers on one server. `now` is the bot's clock."""
    engine = servers.engine(server)
    if engine is None:
        raise UserError(
            f"The log of {app.name} is in containers, but bot.toml sets no Docker for {server}.",
            hint=f"Set `docker` in [servers.{server}].",
        )
    project, service = project_name(app, environment), of_app(app).docker
    try:
        async with asyncio.timeout(FIND_WITHIN):
            found = await engine.containers(project)
    except TimeoutError:
        raise Unreachable(f"Docker on {server}", f"no answer within {FIND_WITHIN:.0f} s") from None
    mine = [one for one in found if not one.oneoff and service in {"*", one.service}]
    if not mine:
        raise UserError(_nothing(server, project, service or "*", found), hint="Has it been deployed there?")
    at = now()
    return [_timed(_container(engine, server, one, _part(one, mine)), one, at) for one in mine]


def _timed(source: Source, one: Container, now: float) -> Source:
    """Return a source with what is known of its Engine's clock; a few seconds are the time that asking took."""
    measured = one.asked - now if one.asked else None
    return replace(source, measured=measured, ahead=measured if measured and abs(measured) > _CLOCKS_AGREE else 0.0)


def _nothing(server: str, project: str, service: str, found: Sequence[Container]) -> str:
    if not found:
        return f"{server} has no container of {project}."
    others = ", ".join(sorted({one.service or one.name for one in found}))
    return f"{server} has no container of the service {service}. It has: {others}."


def _part(one: Container, mine: Sequence[Container]) -> str:
    """Return what distinguishes a container from the others: its service, or its name if a service has several."""
    twins = [other for other in mine if other.service == one.service]
    if len(mine) == 1:
        return ""
    return one.service if len(twins) == 1 and one.service else one.name


def _container(engine: Engine, server: str, one: Container, part: str) -> Source:
    def open_log(reading: Reading) -> AsyncIterator[bytes]:
        return engine.logs(
            one.id,
            tail=reading.tail,
            since=reading.since,
            follow=reading.follow,
            times=reading.times,
            timeout=reading.timeout,
        )

    return Source(server, part, Stamps.DOCKER, open_log, one.id, one.state == "running")


def _script(host: Host, script: str, stamps: Stamps, values: dict[str, str], zone: tzinfo | None = None) -> Source:
    async def open_log(reading: Reading) -> AsyncIterator[bytes]:
        env = values | {
            "DEPLOYBOT_LINES": str(reading.tail),
            "DEPLOYBOT_SINCE": f"{reading.since:.0f}" if reading.since else "",
            "DEPLOYBOT_FOLLOW": "1" if reading.follow else "",
        }
        chunks = cast("AsyncGenerator[bytes, None]", host.stream(script, env, timeout=reading.timeout))
        refusal = b""
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    if refusal or chunk.startswith(_REFUSAL):
                        refusal = (refusal + chunk)[:_LONGEST_REFUSAL]
                        continue
                    yield chunk
        except StepFailed as problem:
            raise UserError(_failed(host.name, problem.code, refusal)) from problem

    return Source(host.name, "", stamps, open_log, zone=zone)


def _failed(server: str, code: int, refusal: bytes) -> str:
    """Return why a script printed no log, or only a part of it."""
    if refusal:
        return f"{server}: {refusal.removeprefix(_REFUSAL).decode(errors='replace').strip()}."
    return f"{server}: the command that reads the log exited with code {code}."


@dataclass(frozen=True, slots=True)
class Labels:
    """What lines begin with: the server, the part of it, both, or nothing if there is only one log."""

    servers: bool
    parts: bool

    @classmethod
    def of(cls, sources: Sequence[Source]) -> Labels:
        """Return labels that distinguish these sources."""
        parts = {source.part for source in sources}
        return cls(len({source.server for source in sources}) > 1, len(parts) > 1)

    def label(self, source: Source) -> str:
        """Return `web1`, `api`, `web1/api` or an empty string."""
        return "/".join(filter(None, (source.server if self.servers else "", source.part if self.parts else "")))

    def prefix(self, source: Source) -> bytes:
        """Return the label as it is written before a line."""
        label = self.label(source)
        return f"{label} | ".encode() if label else b""


async def read(source: Source, reading: Reading, redactor: Redactor, timer: Timer) -> AsyncGenerator[list[Entry], None]:
    """Yield a source's lines in batches as they arrive: clean, masked, timed, and none from before `since`.

    A line whose time is unknown is never left out; `timer` (`source.timer(reading)`) shows whether there were any.
    Errors are raised after the lines before them.
    """
    lines = LogLines(timer.width)
    async with aclosing(_pieces(source, reading, redactor)) as pieces:
        async for piece in pieces:
            batch = timer.entries(lines.flush() if piece is None else lines.feed(piece))
            if batch := batch + timer.flush() if piece is None else batch:
                yield batch


async def read_blocks(source: Source, reading: Reading, redactor: Redactor) -> AsyncGenerator[bytes, None]:
    """Yield a source's lines as they arrive, as blocks of whole lines: clean and masked, and nothing else.

    If single lines are not needed, this is three times as fast.
    """
    lines = LogLines(reading.limit)
    async with aclosing(_pieces(source, reading, redactor)) as pieces:
        async for piece in pieces:
            block = b"".join(line + b"\n" for line in lines.flush()) if piece is None else lines.block(piece)
            if block:
                yield block


async def _pieces(source: Source, reading: Reading, redactor: Redactor) -> AsyncGenerator[bytes | None, None]:
    """Yield the clean and masked text of a source, then None. After that, raise the error of the reading, if any."""
    stream = Stream(redactor)
    chunks = cast("AsyncGenerator[bytes, None]", source.open(source.by_its_clock(reading)))
    failure: DeploybotError | None = None
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                for at in range(0, len(chunk), _AT_ONCE):
                    if at:
                        await asyncio.sleep(0)
                    yield stream.feed(chunk[at : at + _AT_ONCE] if len(chunk) > _AT_ONCE else chunk)
    except Exception as problem:  # noqa: BLE001  an error of one server must not affect others
        failure = failure_of(source.server, problem)
    yield stream.flush()
    yield None
    if failure:
        raise failure
