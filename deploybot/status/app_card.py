"""The full details of one app as a card. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deploybot.card import MARKS, PHONE, Card, Line, Table, Tone, narrow_rows
from deploybot.domain import Container, Deployment, Kind, Release, State, Usage
from deploybot.errors import DeploybotError
from deploybot.settings import App, Environment
from deploybot.status import status_text
from deploybot.status.status_cards import Entry, summary
from deploybot.status.status_text import Word, advice, ago, joined, trouble, worst
from deploybot.units import show_duration, show_size

_UNKNOWN = "unknown"
_NONE = "-"
_TONES = {
    State.SUCCEEDED: Tone.GOOD,
    State.FAILED: Tone.BAD,
    State.UNKNOWN: Tone.UNKNOWN,
    State.RESTORED: Tone.WARN,
    State.CANCELLED: Tone.WARN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One environment: its present state, the last deployments, newest first, and the good release before."""

    environment: Environment
    entries: tuple[Entry, ...]
    history: tuple[Deployment, ...]
    previous: Release | None


def detail_card(app: App, sections: Sequence[Section], now: float) -> Card:
    """Return environments with their servers and last deployments, then all containers as a table."""
    lines = [line for section in sections for line in _section(section, now, named=len(sections) > 1)]
    entries = [entry for section in sections for entry in section.entries]
    rows = [row for entry in entries for row in _rows(entry, now)]
    tones = [line.tone for line in lines if not line.name.startswith("#")]
    names = ", ".join(section.environment.name for section in sections)
    return Card(
        title=f"{app.name} in {names}" if names else f"You have no permission to see {app.name}.",
        tone=worst(tones),
        lines=tuple(lines),
        table=_table(rows),
        hint=advice(part for entry in entries for part in (entry.look.facts, entry.look.containers, entry.look.health)),
    )


def _section(section: Section, now: float, *, named: bool) -> Iterator[Line]:
    record = section.entries[0].record
    doing = status_text.going_on(record, now)
    if doing or named:
        yield Line(section.environment.name, joined(doing), worst(word.tone for word in doing))
    for entry in section.entries:
        yield from _server(entry, now)
    if record.running and len(record.running.release.images) > 1:
        yield Line("images", ", ".join(map(str, record.running.release.images)))
    if section.previous:
        yield Line("before that", str(section.previous))
    for deployment in section.history:
        yield _past(deployment, now)


def _server(entry: Entry, now: float) -> Iterator[Line]:
    """Yield a server's own line, and one more for each part of it that did not answer."""
    look, facts = entry.look, entry.look.facts
    words = summary(entry, now)
    busy = {word.text for word in status_text.going_on(entry.record, now)}
    words = [word for word in words if word.text not in busy]
    if isinstance(facts, DeploybotError):
        yield Line(entry.server, trouble(facts, entry.server), Tone.BAD)
    else:
        memory = [Word(f"memory {show_size(facts.memory_available)} free")] if facts.memory_available >= 0 else []
        kept = [Word(_kept(len(facts.releases)))] if facts.releases else []
        words += [*memory, *kept]
    yield Line(entry.server, joined(words), worst(word.tone for word in words))
    for problem in (look.containers, None if status_text.is_empty(look, entry.record) else look.health):
        if isinstance(problem, DeploybotError) and problem is not facts:
            yield Line(entry.server, trouble(problem, entry.server), Tone.BAD)


def _kept(count: int) -> str:
    return f"{count} release{'s' if count > 1 else ''} kept"


def _past(one: Deployment, now: float) -> Line:
    what = f"run {one.plan.task} on" if one.plan.kind is Kind.TASK else str(one.plan.kind)
    begun = one.started or one.created
    when = ago(one.finished or begun, now) if one.state.ended else f"for {show_duration(max(now - begun, 0.0))}"
    why = f", because {one.reason}" if one.reason else ""
    end = f"; {one.outcome}" if one.outcome and one.state is not State.SUCCEEDED else ""
    text = f"{what} {one.plan.release}: {one.word} {when} by {one.requester_name}{why}{end}"
    return Line(f"#{one.number}", text, _TONES.get(one.state, Tone.BUSY))


def _rows(entry: Entry, now: float) -> Iterator[tuple[tuple[str, ...], Tone]]:
    look = entry.look
    containers = look.containers if isinstance(look.containers, tuple) else ()
    for one in containers:
        state = status_text.state_of(one, containers, now)
        usage = look.usage.get(one.id, Usage())
        yield (entry.server, one.name, state.text, _up(one, now), str(one.restarts), *_load(one, usage)), state.tone


def _up(one: Container, now: float) -> str:
    return show_duration(one.up_for(now)) if one.state == "running" and one.started else _NONE


def _load(one: Container, usage: Usage) -> tuple[str, str]:
    if one.state != "running":
        return _NONE, _NONE
    return f"{usage.cpu:.0f} %" if usage.cpu >= 0 else _UNKNOWN, show_size(usage.memory)


def _table(rows: Sequence[tuple[tuple[str, ...], Tone]]) -> Table | None:
    """Return all containers as a table; without the server column if there is only one server."""
    if not rows:
        return None
    columns = ("server", "container", "state", "up", "restarts", "CPU", "memory")
    first = 0 if len({cells[0] for cells, _ in rows}) > 1 else 1
    shown = tuple(cells[first:] for cells, _ in rows)
    return Table(columns[first:], shown, tuple(tone for _, tone in rows), _narrow(rows, several=not first))


def _narrow(rows: Sequence[tuple[tuple[str, ...], Tone]], *, several: bool) -> tuple[str, ...]:
    """Return a line for each container, below its server if there are several, for phones."""
    essentials = [(*cells[1:4], "" if cells[6] == _UNKNOWN else cells[6]) for cells, _ in rows]
    lines = narrow_rows([(MARKS[tone], *cells) for cells, (_, tone) in zip(essentials, rows, strict=True)])
    servers = [cells[0] for cells, _ in rows]
    made = []
    for text, server, before in zip(lines, servers, ["", *servers], strict=False):
        made += [server[:PHONE], text] if several and server != before else [text]
    return tuple(made)
