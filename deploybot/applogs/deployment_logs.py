"""The log of a deployment for people: the output of its steps, in the order in which they ran.

The files hold cleaned and masked lines; they grow while the deployment runs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from deploybot.applogs.log_tail import search
from deploybot.applogs.log_text import LogLines
from deploybot.applogs.log_times import Wanted
from deploybot.card import Button, Card, File, Tone
from deploybot.command import Context
from deploybot.domain import Deployment
from deploybot.domain.log_query import LogQuery
from deploybot.units import show_duration

SHOWN = 1000
"""The most lines in one answer; a request for more is answered with a file."""
LOOK_EVERY = 1.0
"""Seconds between two looks at a log that is followed."""
FOLLOW_WITHIN = 3600.0
"""Seconds after which following ends automatically."""
_LINE = 2000
_PIECE = 1_048_576


class DeploymentFiles(Protocol):
    """What the deployments keep of their logs."""

    async def get(self, number: int) -> Deployment | None:
        """Return one deployment by its number; None if unknown."""

    async def log_parts(self, number: int) -> Sequence[tuple[str, Path]]:
        """Return name (`web1 build`) and file of each step's log, in the order in which the steps began."""

    def log_file(self, number: int) -> str:
        """Write the full log into one file and return its path."""


class DeploymentLogs:
    """Shows the logs of deployments."""

    def __init__(self, files: DeploymentFiles, *, look_every: float = LOOK_EVERY) -> None:
        """Take what is kept of the logs, and the pause between two looks at a log that is followed, in seconds."""
        self._files = files
        self._look_every = look_every

    async def last(self, deployment: Deployment, query: LogQuery) -> Card:
        """Return the last lines, with the name of its step above each part."""
        growth = _Growth(query, min(query.lines, SHOWN))
        lines = await asyncio.to_thread(growth.read, await self._files.log_parts(deployment.number), last=True)
        number = deployment.number
        goes_on = "" if deployment.state.ended else f"`logs #{number} follow` shows what comes next."
        return Card(
            title=f"Log of {_named(deployment)}",
            text="" if lines else _nothing(deployment, query),
            code=lines,
            footer=f"The last {query.lines:,} lines; `logs #{number} file` has all of them."
            if growth.count >= query.lines
            else "",
            hint=goes_on,
        )

    async def file(self, deployment: Deployment) -> Card:
        """Return the full log, as far as it is written, as a file."""
        parts = await self._files.log_parts(deployment.number)
        if not parts:
            return Card(title=f"Log of {_named(deployment)}", text=_nothing(deployment, LogQuery()))
        path = Path(await asyncio.to_thread(self._files.log_file, deployment.number))
        return Card(title=f"Log of {_named(deployment)}", files=(File(str(path), path.name),))

    async def follow(
        self, ctx: Context, deployment: Deployment, query: LogQuery, name: str, stop: asyncio.Event
    ) -> Card:
        """Show new lines until the deployment ends, `stop` is set or the time is over; return the closing card."""
        running = Card(
            title=f"{name}: following the log of #{deployment.number}",
            key=name.replace("-", ":"),
            tone=Tone.BUSY,
            buttons=(Button("Stop", f"cancel {name}"),),
            footer=f"Ends with the deployment, or after {show_duration(FOLLOW_WITHIN)}; `cancel {name}` stops it now.",
            stream=True,
            final=False,
        )
        await ctx.reply(running)
        growth, number = _Growth(query, min(query.lines, SHOWN)), deployment.number
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FOLLOW_WITHIN):
                while not stop.is_set():
                    # The state comes first: what was written before the end is read after it.
                    deployment = await self._files.get(number) or deployment
                    parts = await self._files.log_parts(number)
                    if lines := await asyncio.to_thread(growth.read, parts, last=deployment.state.ended):
                        await ctx.reply(replace(running, code=lines))
                    if deployment.state.ended:
                        return Card(title=f"{name}: {_named(deployment)}", key=running.key, stream=True)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), self._look_every)
        end = "stopped" if stop.is_set() else "ended"
        return Card(title=f"{name}: {end} following the log of #{number}", key=running.key, stream=True)


@dataclass(slots=True)
class _Growth:
    """Reads what was added to some files since the last look.

    The first look returns at most the last `most` wanted lines, later ones all that was added, up to `SHOWN`.
    """

    query: LogQuery
    most: int
    count: int = 0
    _offsets: dict[Path, int] = field(default_factory=dict)
    _lines: dict[Path, LogLines] = field(default_factory=dict)
    _named: str = ""

    def read(self, parts: Iterable[tuple[str, Path]], *, last: bool) -> tuple[str, ...]:
        """Return the new lines, each part under its name. With `last`, a line without its end is one, too."""
        wanted = search(self.query.grep)
        found: deque[tuple[str, str]] = deque(maxlen=self.most)
        for name, path in parts:
            found.extend((name, text) for text in self._added(path, wanted, last=last))
        self.count, self.most = len(found), SHOWN
        return tuple(self._with_names(found))

    def _with_names(self, found: Iterable[tuple[str, str]]) -> Iterator[str]:
        for name, text in found:
            if name != self._named:
                self._named = name
                yield f"== {name} =="
            yield text

    def _added(self, path: Path, wanted: Wanted, *, last: bool) -> Iterator[str]:
        lines = self._lines.setdefault(path, LogLines(_LINE))
        for piece in self._pieces(path):
            yield from _texts(lines.feed(piece), wanted)
        if last:
            yield from _texts(lines.flush(), wanted)

    def _pieces(self, path: Path) -> Iterator[bytes]:
        """Yield what was added to a file. One that became shorter was cut back after a crash: read on at its end."""
        try:
            with path.open("rb") as file:
                file.seek(min(self._offsets.get(path, 0), path.stat().st_size))
                while piece := file.read(_PIECE):
                    yield piece
                self._offsets[path] = file.tell()
        except FileNotFoundError:
            return


def _texts(lines: Iterable[bytes], wanted: Wanted) -> Iterator[str]:
    yield from (text.decode("utf-8", errors="replace") for text in lines if not wanted or wanted((b"", text)))


def _named(deployment: Deployment) -> str:
    """Return `#7 shop/production · running`."""
    plan = deployment.plan
    return f"#{deployment.number} {plan.app}/{plan.environment} · {deployment.word}"


def _nothing(deployment: Deployment, query: LogQuery) -> str:
    if query.grep:
        return f"No line contains “{query.grep}”."
    if deployment.state.ended:
        return "Its steps wrote nothing, or its log was deleted."
    return "No step has written anything yet."
