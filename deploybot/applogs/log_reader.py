"""Logs of apps for people: the last lines, what is written now, or everything as a file.

All servers are asked at the same time. A server that does not answer is reported, and the others are shown. Lines are
cleaned and masked before they are searched or shown: a search must not reveal what was masked.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from operator import itemgetter
from zoneinfo import ZoneInfo

from deploybot.applogs.deployment_logs import SHOWN, DeploymentLogs
from deploybot.applogs.log_export import MOST_BYTES, Export, export
from deploybot.applogs.log_follower import Followed, LogFollower
from deploybot.applogs.log_sources import Labels, Reading, Source, find, of_app
from deploybot.applogs.log_tail import Tail, search
from deploybot.applogs.reader_shares import Shares, person_of
from deploybot.applogs.time_zones import Zones
from deploybot.applogs.whole_log import WholeLog
from deploybot.card import Button, Card, File, Line, Tone
from deploybot.command import Context, Incoming
from deploybot.command_parameters import Follow
from deploybot.domain import Deployment
from deploybot.domain.log_query import LogQuery
from deploybot.errors import DeploybotError
from deploybot.masking import Redactor
from deploybot.ports import Clock, Servers
from deploybot.settings import App, Environment, Settings
from deploybot.status.status_text import advice, trouble
from deploybot.units import show_duration, show_size
from deploybot.untrusted_input import failure_of

SEARCHED = 200_000
"""How many lines of each log `grep` searches, from its end."""
SHOW_WITHIN = 20.0
"""Seconds for a log to return its last lines."""
FILE_WITHIN = 600.0
"""Seconds for all logs of a file."""
FOLLOW_WITHIN = 3600.0
"""Seconds after which following ends automatically."""
ASK_EVERY = 5.0
"""Seconds between two questions whether the reader of a followed log may still read it."""
LINE_SHOWN = 2000
"""The most bytes of a line in a chat."""
LINE_KEPT = 65_536
"""The most bytes of a line in a file."""

MayRead = Callable[[Incoming, Follow], Awaitable[bool]]
"""Returns whether the sender of a message may still read a followed log. Raises StoreError."""

_when = itemgetter(0)


@dataclass(frozen=True, slots=True)
class _Look:
    """What a person wants to see, and what was found: sources by server, and errors by server."""

    app: App
    environment: Environment
    query: LogQuery
    targets: tuple[str, ...]
    found: dict[str, list[Source]]
    troubles: dict[str, DeploybotError] = field(default_factory=dict)

    @property
    def sources(self) -> list[Source]:
        """Return all sources, in the order of bot.toml."""
        return [source for server in self.targets for source in self.found.get(server, ())]

    @property
    def labels(self) -> Labels:
        """Return labels that distinguish all sources, including those of servers that do not answer now."""
        return Labels(len(self.targets) > 1, Labels.of(self.sources).parts)

    @property
    def name(self) -> str:
        """Return `the log of shop in production`."""
        at = f" on {self.query.server}" if self.query.server else ""
        return f"the log of {self.app.name} in {self.environment.name}{at}"


class AppLogs:
    """Implements `command.LogService`."""

    def __init__(
        self,
        settings: Settings,
        servers: Servers,
        clock: Clock,
        redactor: Redactor,
        deployments: DeploymentLogs,
        *,
        may_read: MayRead,
        ask_every: float = ASK_EVERY,
    ) -> None:
        """Take the ports and the logs of deployments; files go to `exports` in the bot's data folder.

        `may_read` is asked every `ask_every` seconds about each followed log.
        """
        self._deployments = deployments
        self._may_read = may_read
        self._ask_every = ask_every
        self._folder = settings.bot.data / "exports"
        self._zone = settings.bot.timezone
        self._zones = Zones(servers, clock)
        self._servers = servers
        self._clock = clock
        self._redactor = redactor
        self._numbers = itertools.count(1)
        self._shares = Shares()
        self._followed: dict[str, tuple[Follow, asyncio.Event]] = {}

    async def show(self, ctx: Context, app: App, environment: Environment, query: LogQuery) -> Card:
        """Return the requested lines; with `follow`, reply with new lines along the way and return the closing card."""
        app = app.at(environment)
        of_app(app)
        if query.since_time:
            query = replace(query, since=seconds_since(query.since_time, self._zone, self._clock.now()))
        look = await self._look(app, environment, query)
        if not look.sources and not (query.follow and len(look.targets) > 1):
            raise next(iter(look.troubles.values()))
        person, servers = person_of(ctx), () if of_app(app).docker else look.targets
        if query.follow:
            with self._shares.lasting(person, servers, f"log-{next(self._numbers)}") as name:
                return await self._follow(ctx, look, name)
        if query.file or query.lines > SHOWN:
            with self._shares.lasting(person, servers, ""):
                return await self._file(look)
        async with self._shares.turn(person, servers):
            return await self._last(look)

    async def of_deployment(self, ctx: Context, deployment: Deployment, query: LogQuery) -> Card:
        """Return the log of a deployment's steps; with `follow`, reply with new lines until the deployment ends."""
        person, plan = person_of(ctx), deployment.plan
        if query.follow:
            name = f"log-{next(self._numbers)}"
            follow = Follow(name, plan.app, plan.environment)
            with self._shares.lasting(person, (), name):
                return await self._while_allowed(
                    ctx, follow, lambda still, stop: self._deployments.follow(still, deployment, query, name, stop)
                )
        if query.file or query.lines > SHOWN:
            return await self._deployments.file(deployment)
        return await self._deployments.last(deployment, query)

    async def _while_allowed(
        self, ctx: Context, follow: Follow, run: Callable[[Context, asyncio.Event], Awaitable[Card]]
    ) -> Card:
        """Follow a log until `run` returns its closing card, and no longer than the reader may read it.

        People can stop it by its name; the event is set then. Raises StoreError if the policy could not be asked.
        """
        stop = asyncio.Event()
        refused = asyncio.create_task(self._refused(ctx, follow))
        refused.add_done_callback(lambda _: stop.set())

        async def reply(card: Card) -> None:
            if not refused.done():
                await ctx.reply(card)

        self._followed[follow.name] = (follow, stop)
        try:
            closing = await run(replace(ctx, reply=reply), stop)
            if not refused.done():
                return closing
            await refused
            return replace(closing, title=f"{follow.name}: you may no longer read this log", code=(), ok=False)
        finally:
            del self._followed[follow.name]
            refused.cancel()
            await asyncio.gather(refused, return_exceptions=True)

    async def _refused(self, ctx: Context, follow: Follow) -> None:
        """Return once the policy no longer lets the reader read a log."""
        while await self._may_read(ctx.incoming, follow):  # noqa: ASYNC110 - a role can end without an event
            await asyncio.sleep(self._ask_every)

    def following(self, name: str) -> Follow | None:
        """Return the followed log with that name; None if there is none, or it has ended."""
        return self._followed[name][0] if name in self._followed else None

    def stop(self, name: str) -> bool:
        """Stop following a log by the name on its card (`log-3`); return False if there is none."""
        if name not in self._followed:
            return False
        self._followed[name][1].set()
        return True

    async def _look(self, app: App, environment: Environment, query: LogQuery) -> _Look:
        targets = (query.server,) if query.server else environment.servers
        found: dict[str, list[Source]] = {}
        troubles: dict[str, DeploybotError] = {}
        answers = await asyncio.gather(
            *(find(app, environment, server, self._servers, self._zones) for server in targets),
            return_exceptions=True,
        )
        for server, answer in zip(targets, answers, strict=True):
            if isinstance(answer, Exception):
                troubles[server] = failure_of(server, answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found[server] = answer
        return _Look(app, environment, query, tuple(targets), found, troubles)

    def _reading(self, query: LogQuery, *, limit: int, timeout: float) -> Reading:
        return Reading(
            tail=SEARCHED if query.grep and not query.follow else query.lines,
            now=self._clock.now(),
            since=self._clock.now() - query.since if query.since else 0.0,
            follow=query.follow,
            limit=limit,
            timeout=timeout,
        )

    async def _last(self, look: _Look) -> Card:
        """Return the last lines of each server, by time."""
        reading = self._reading(look.query, limit=LINE_SHOWN, timeout=SHOW_WITHIN)
        wanted = search(look.query.grep)
        tails = [Tail(source, look.labels.prefix(source), min(look.query.lines, SHOWN)) for source in look.sources]
        await asyncio.gather(*(tail.fill(reading, self._redactor, wanted) for tail in tails))
        by_server = [
            sorted((line for tail in tails if tail.source.server == server for line in tail.lines), key=_when)
            for server in look.targets
        ]
        lines = sorted((line for of_server in by_server for line in of_server[-look.query.lines :]), key=_when)
        shown = lines[-SHOWN:]
        troubles = look.troubles | {tail.source.server: tail.trouble for tail in tails if tail.trouble}
        if troubles and not shown:
            raise next(iter(troubles.values()))
        return Card(
            title=_sentence(look.name),
            tone=Tone.WARN if troubles else Tone.PLAIN,
            text="" if shown else _nothing(look.query, self._zone),
            lines=(*_trouble_lines(troubles), *_doubt_lines({tail.source.name: tail.doubt for tail in tails})),
            code=tuple(text.decode("utf-8", errors="replace") for _, text in shown),
            footer=_footer(look.query, len(shown), self._zone),
            hint=advice(troubles.values()),
            ok=not troubles,
        )

    async def _file(self, look: _Look) -> Card:
        """Return all requested lines, by time, as a file."""
        reading = self._reading(look.query, limit=LINE_KEPT, timeout=FILE_WITHIN)
        whole = WholeLog(look.sources, look.labels, reading, self._redactor, search(look.query.grep))
        made = await export(self._folder / self._file_name(look), whole.blocks(since=look.query.since))
        return _file_card(look, made, look.troubles | whole.troubles, whole.doubts)

    def _file_name(self, look: _Look) -> str:
        now = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y%m%d-%H%M%S")
        return f"{look.app.name}-{look.environment.name}-{now}-{secrets.token_hex(3)}.log.gz"

    async def _follow(self, ctx: Context, look: _Look, name: str) -> Card:
        """Show new lines until it is stopped or its time is over; return the closing card."""
        follow = Follow(name, look.app.name, look.environment.name)
        return await self._while_allowed(ctx, follow, lambda still, stop: self._show_new(still, look, name, stop))

    async def _show_new(self, ctx: Context, look: _Look, name: str, stop: asyncio.Event) -> Card:
        running = Card(
            title=f"{name}: following {look.name}",
            key=name.replace("-", ":"),
            tone=Tone.BUSY,
            buttons=(Button("Stop", f"cancel {name}"),),
            footer=f"Ends after {show_duration(FOLLOW_WITHIN)}; `cancel {name}` stops it now.",
            stream=True,
            final=False,
        )

        async def show(lines: tuple[str, ...]) -> None:
            await ctx.reply(replace(running, code=lines))

        reading = self._reading(look.query, limit=LINE_SHOWN, timeout=FOLLOW_WITHIN)
        follower = LogFollower(
            Followed(
                find=lambda server: find(look.app, look.environment, server, self._servers, self._zones),
                servers=look.targets,
                labels=look.labels,
                reading=reading,
                wanted=search(look.query.grep),
            ),
            redactor=self._redactor,
            clock=self._clock,
            show=show,
        )
        await show(())
        stopped = await follower.run(stop, look.found)
        end = "stopped" if stopped else "ended"
        return Card(title=f"{name}: {end} following {look.name}", key=running.key, stream=True)


def _sentence(name: str) -> str:
    return name[:1].upper() + name[1:]


def _trouble_lines(troubles: Mapping[str, DeploybotError]) -> tuple[Line, ...]:
    return tuple(Line(server, trouble(problem, server), Tone.BAD) for server, problem in troubles.items())


def _doubt_lines(doubts: Mapping[str, str]) -> tuple[Line, ...]:
    """Return a warning for each source whose lines have unknown times."""
    return tuple(Line(name, doubt, Tone.WARN) for name, doubt in doubts.items() if doubt)


def seconds_since(at: time, zone: ZoneInfo, now: float) -> float:
    """Return how many seconds ago it was last that time of day in a zone; the first, if the clock showed it twice."""
    today = datetime.fromtimestamp(now, zone).date()
    moments = (datetime.combine(today - timedelta(days=days), at, zone).timestamp() for days in (0, 1))
    return now - next(moment for moment in moments if moment <= now)


def _nothing(query: LogQuery, zone: ZoneInfo) -> str:
    parts = [
        f"contains “{query.grep}”" if query.grep else "",
        f"was written {_since(query, zone)}" if query.since else "",
    ]
    return f"No line {' and '.join(filter(None, parts))}." if any(parts) else "The log is empty."


def _since(query: LogQuery, zone: ZoneInfo) -> str:
    if query.since_time:
        return f"since {query.since_time:%H:%M} ({zone.key})"
    return f"in the last {show_duration(query.since)}"


def _footer(query: LogQuery, shown: int, zone: ZoneInfo) -> str:
    """Return what was searched, and how to see more."""
    parts = [
        _since(query, zone) if query.since_time else "",
        f"searched the last {SEARCHED:,} lines of each log, ignoring case" if query.grep else "",
        f"the last {query.lines:,} lines of each server; add a number for more, `file` for all of them"
        if shown >= query.lines
        else "",
    ]
    return _sentence("; ".join(filter(None, parts)))


def _file_card(look: _Look, made: Export, troubles: Mapping[str, DeploybotError], doubts: Mapping[str, str]) -> Card:
    size = f"{made.lines:,} lines, {show_size(made.raw)} ({show_size(made.size)} compressed)"
    return Card(
        title=f"{_sentence(look.name)}: {size}",
        tone=Tone.WARN if troubles or not made.whole else Tone.PLAIN,
        text=""
        if made.whole
        else f"The file is cut at {show_size(MOST_BYTES)}. Ask for less with `since` or a number of lines.",
        lines=(*_trouble_lines(troubles), *_doubt_lines(doubts)),
        hint=advice(troubles.values()),
        files=(File(str(made.path), made.path.name),),
        ok=not troubles,
    )
