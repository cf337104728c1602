"""The board: what runs where and whether it is healthy, by asking every server instead of remembering.

What the bot deployed comes from its database, what is there from the server; if they differ, both are shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from deploybot.card import Card
from deploybot.domain import Deployment, Kind, Manifest, Release, Running, State
from deploybot.errors import Unreachable
from deploybot.observed_state import Serving, runs
from deploybot.policy.active_freezes import active_freeze
from deploybot.ports import Clock, Servers, Store, Tables
from deploybot.settings import App, Environment
from deploybot.status.app_card import Section, detail_card
from deploybot.status.early_answers import some_are_late
from deploybot.status.server_look import ServerLook, ServerLooker, Target
from deploybot.status.status_cards import Entry, board_card, early_card, servers_card
from deploybot.status.status_text import Record
from deploybot.untrusted_input import failure_of

HISTORY = 5
"""How many deployments an app's details show."""

LEFT_BACK = 20
"""How many deployments are searched for the one that left what runs."""

_UTC = ZoneInfo("UTC")
_TargetPart = tuple[App, Environment, str]
_Show = Callable[[Card], Awaitable[None]]


class StatusBoard:
    """Implements `command.StatusService`."""

    def __init__(self, servers: Servers, store: Store, clock: Clock, zone: ZoneInfo = _UTC) -> None:
        """Take the ports."""
        self._servers = servers
        self._store = store
        self._clock = clock
        self._zone = zone
        self._looker = ServerLooker(servers)

    async def board(self, pairs: Sequence[Target], show: _Show | None = None) -> Card:
        """Return one line per server and environment, and a single line for a server that does not answer.

        If some servers are late, `show` first receives the board of the others. The returned card then has the same key
        and replaces it.
        """
        parts = _parts(pairs)
        looks = [asyncio.create_task(self._look(part, quick=True)) for part in parts]
        try:
            records = await self._records(parts)
            key = await self._show_early(parts, records, looks, show) if show else ""
            found = await asyncio.gather(*looks)
        finally:
            for look in looks:
                look.cancel()
        entries = await self._recognised(_entries(parts, records, found))
        return replace(board_card(entries, self._clock.now()), key=key)

    async def _show_early(
        self,
        parts: Sequence[_TargetPart],
        records: Sequence[Record],
        looks: Sequence[asyncio.Task[ServerLook]],
        show: _Show,
    ) -> str:
        """Post what there is if some servers are late; return the key of that card, or an empty string."""
        if not await some_are_late(looks):
            return ""
        come = [
            (part, record, look.result())
            for part, record, look in zip(parts, records, looks, strict=True)
            if look.done()
        ]
        late = {server for (_, _, server), look in zip(parts, looks, strict=True) if not look.done()}
        entries = await self._recognised(_entries(*zip(*come, strict=True)))
        early = early_card(entries, sorted(late), self._clock.now())
        key = f"status:{secrets.token_hex(4)}"
        with contextlib.suppress(Unreachable):
            await show(replace(early, key=key))
        return key

    async def detail(self, app: App, environments: Sequence[Environment]) -> Card:
        """Return the full details of one app."""
        entries, past = await asyncio.gather(
            self._entries([(app, environment) for environment in environments], quick=False),
            self._store.read(lambda tables: [_past(tables, app, environment) for environment in environments]),
        )
        sections = [
            Section(
                environment=environment,
                entries=tuple(entry for entry in entries if entry.environment is environment),
                history=history,
                previous=previous,
            )
            for environment, (history, previous) in zip(environments, past, strict=True)
        ]
        return detail_card(app, sections, self._clock.now())

    async def servers(self, names: Sequence[str]) -> Card:
        """Return all servers: reachable, system, Docker, disk, memory."""
        found = await asyncio.gather(*(self._looker.facts(name) for name in names))
        return servers_card(dict(zip(names, found, strict=True)))

    async def _entries(self, pairs: Sequence[Target], *, quick: bool) -> list[Entry]:
        parts = _parts(pairs)
        looks = asyncio.gather(*(self._look(part, quick=quick) for part in parts))
        records, found = await asyncio.gather(self._records(parts), looks)
        return await self._recognised(_entries(parts, records, found))

    async def _recognised(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return entries that know what a deployment left whose servers could not be asked when it ended."""
        now = self._clock.now()
        judged = [entry.judged(now) for entry in entries]
        if not any(one and one.serving is Serving.FOREIGN for one in judged):
            return list(entries)

        def look(tables: Tables) -> list[Entry]:
            return [
                _left(tables, entry, now) if one and one.serving is Serving.FOREIGN else entry
                for entry, one in zip(entries, judged, strict=True)
            ]

        return await self._store.read(look)

    async def _look(self, part: _TargetPart, *, quick: bool) -> ServerLook:
        app, environment, server = part
        try:
            return await self._looker.look((app, environment), server, quick=quick)
        except Exception as problem:  # noqa: BLE001  any error of one server is shown as its own red line
            return ServerLook(server=server, facts=failure_of(server, problem))

    async def _records(self, parts: Sequence[_TargetPart]) -> list[Record]:
        now = self._clock.now()
        return await self._store.read(lambda tables: _records(tables, parts, now, self._zone))


def _parts(pairs: Sequence[Target]) -> list[_TargetPart]:
    return [(app, environment, server) for app, environment in pairs for server in environment.servers]


def _entries(parts: Sequence[_TargetPart], records: Sequence[Record], found: Sequence[ServerLook]) -> list[Entry]:
    return [
        Entry(app=app, environment=environment, record=record, look=look)
        for (app, environment, _), record, look in zip(parts, records, found, strict=True)
    ]


def _records(tables: Tables, parts: Sequence[_TargetPart], now: float, zone: ZoneInfo) -> list[Record]:
    """Return what the database has about each app, environment and server."""
    running = {(one.app, one.environment, one.server): one for one in tables.running.all()}
    locks = {(one.app, one.environment): one for one in tables.locks.all(now)}
    freezes = {(one.app, one.environment): one for one in tables.freezes.all(now)}
    unfinished = tables.deployments.open()
    people: dict[int, str] = {}

    def record(part: _TargetPart) -> Record:
        app, environment, server = part[0].name, part[1].name, part[2]
        mine = running.get((app, environment, server))
        if mine and mine.deployment not in people:
            found = tables.deployments.get(mine.deployment)
            people[mine.deployment] = found.requester_name if found else ""
        frozen = active_freeze(part[1], freezes.get((app, environment)), now, zone)
        return Record(
            running=mine,
            manifest=_manifest(tables, mine) if mine else None,
            by=people[mine.deployment] if mine else "",
            lock=locks.get((app, environment)),
            frozen=frozen.text if frozen else "",
            open=tuple(one for one in unfinished if (one.plan.app, one.plan.environment) == (app, environment)),
        )

    return [record(part) for part in parts]


def _left(tables: Tables, entry: Entry, now: float) -> Entry:
    """Return an entry with the release that a later deployment left there, if that runs; else the same entry.

    What a person put there is not recognised, even if the bot deployed it before.
    """
    app, environment, record = entry.app, entry.environment, entry.record
    observed = entry.observed(now)
    if observed is None:
        return entry
    last = record.running.deployment if record.running else 0
    for one in tables.deployments.recent(app.name, environment.name, LEFT_BACK):
        if one.number <= last:
            break
        if not _may_have_left(one, entry.server):
            continue
        release = one.plan.release
        rows = tables.manifests.of_target(app.name, environment.name, entry.server)
        records = [(row.release, row.manifest) for row in rows if row.release == release.id]
        found, manifest = runs(observed, records or [(release.id, Manifest())])
        if found == release.id:
            since = one.finished or one.started
            left = Running(app.name, environment.name, entry.server, release, one.number, since, healthy=False)
            return replace(entry, record=replace(record, running=left, manifest=manifest, by=one.requester_name))
    return entry


def _may_have_left(one: Deployment, server: str) -> bool:
    """Return whether a deployment may have left its release on a server without a record of it."""
    ends = {State.UNKNOWN, State.FAILED, State.CANCELLED}
    puts = one.plan.kind in {Kind.DEPLOY, Kind.ROLLBACK} and any(part.server == server for part in one.plan.servers)
    return puts and one.state in ends and bool(one.started)


def _manifest(tables: Tables, running: Running) -> Manifest | None:
    """Return the images that were seen when the release was deployed."""
    where = (running.app, running.environment, running.server, running.release.id)
    found = tables.manifests.get(*where, attempt=not running.healthy)
    return found.manifest if found else None


def _past(tables: Tables, app: App, environment: Environment) -> tuple[tuple[Deployment, ...], Release | None]:
    """Return the last deployments, and the good release before the present one."""
    good = [one.plan.release for one in tables.deployments.good(app.name, environment.name, 2)]
    return tables.deployments.recent(app.name, environment.name, HISTORY), good[1] if good[1:] else None
