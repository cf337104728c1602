"""The board and the table of servers as cards. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from deploybot.card import MARKS, Card, Line, Table, Tone, narrow_rows
from deploybot.domain import Observed, ServerFacts
from deploybot.errors import DeploybotError, Unreachable
from deploybot.observed_state import Judgement, judge
from deploybot.settings import App, Environment, project_name
from deploybot.status import status_text
from deploybot.status.server_look import ServerLook
from deploybot.status.status_text import Record, Word, advice, joined, trouble, worst
from deploybot.units import show_size

_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An app on a server of an environment: what is recorded, and what was found."""

    app: App
    environment: Environment
    record: Record
    look: ServerLook

    @property
    def server(self) -> str:
        """Return the server's name."""
        return self.look.server

    def observed(self, now: float) -> Observed | None:
        """Return what was observed; None if the server did not answer."""
        return self.look.observed(project_name(self.app, self.environment), now)

    def judged(self, now: float) -> Judgement | None:
        """Return what runs, compared with the record; None if the server did not answer."""
        observed = self.observed(now)
        return judge(observed, self.record.running, self.record.manifest) if observed else None

    @property
    def name(self) -> str:
        """Return `shop/production`."""
        return f"{self.app.name}/{self.environment.name}"


def board_card(entries: Sequence[Entry], now: float) -> Card:
    """Return one line per entry; the entries of a server that answers for none of them share one red line."""
    if not entries:
        return Card(title="You have no permission to see any app here.")
    answering = {entry.server for entry in entries if not isinstance(entry.look.facts, DeploybotError)}
    silent = {entry.server for entry in entries} - answering
    lines = [_silent(server, [entry for entry in entries if entry.server == server]) for server in sorted(silent)]
    lines += [_line(entry, now) for entry in entries if entry.server not in silent]
    unhealthy = sum(line.tone in {Tone.BAD, Tone.UNKNOWN} for line in lines[len(silent) :])
    return Card(
        title=_title(len(entries), len(silent), unhealthy),
        tone=worst(line.tone for line in lines),
        lines=tuple(lines),
        hint=advice(part for entry in entries for part in (entry.look.facts, entry.look.containers)),
    )


def early_card(entries: Sequence[Entry], late: Sequence[str], now: float) -> Card:
    """Return the board so far, while the servers `late` have not answered yet."""
    card = board_card(entries, now)
    waiting = tuple(Line(server, "no answer yet", Tone.BUSY) for server in late)
    title = f"Waiting for {len(late)} server{'s' if len(late) > 1 else ''}. {card.title} so far"
    return replace(card, title=title, tone=Tone.BUSY, lines=(*waiting, *card.lines), final=False)


def _title(count: int, silent: int, unhealthy: int) -> str:
    parts = [
        f"{silent} server{'s do' if silent > 1 else ' does'} not answer" if silent else "",
        f"{unhealthy} need{'s' if unhealthy == 1 else ''} attention" if unhealthy else "",
    ]
    counts = " and ".join(filter(None, parts))
    return f"{count} target{'s' if count > 1 else ''}: {counts or 'all OK'}"


def _silent(server: str, entries: Sequence[Entry]) -> Line:
    """Return the line of a server that does not answer, with what should run there."""
    problem = entries[0].look.facts
    problem_text = trouble(problem, server) if isinstance(problem, DeploybotError) else ""
    should = ", ".join(f"{entry.name} {entry.record.running.release}" for entry in entries if entry.record.running)
    return Line(server, f"{problem_text}; last known: {should}" if should else problem_text, Tone.BAD)


def _line(entry: Entry, now: float) -> Line:
    words = summary(entry, now)
    if isinstance(entry.look.facts, DeploybotError):
        words.insert(1, _unread(entry, entry.look.facts))
    return Line(f"{entry.name} {entry.server}", joined(words), worst(word.tone for word in words))


def _unread(entry: Entry, problem: DeploybotError) -> Word:
    """Return why an app is unknown on a server that answers for others: its folder may be on a disk that hangs."""
    why = problem.why if isinstance(problem, Unreachable) else trouble(problem, entry.server)
    return Word(f"{entry.app.at(entry.environment).bot_folder} could not be read: {why}", Tone.BAD)


def summary(entry: Entry, now: float) -> list[Word]:
    """Return all that is known about one entry, the most important first."""
    look, record, judged = entry.look, entry.record, entry.judged(now)
    free = [] if isinstance(look.facts, DeploybotError) else [status_text.disk(look.facts)]
    return [
        *status_text.release(look, record, judged),
        *status_text.since(record, now),
        status_text.health(look, record, judged, checked=bool(entry.environment.health or entry.app.health)),
        *status_text.restarts(look, judged),
        *status_text.load(look),
        *free,
        *status_text.going_on(record, now),
    ]


def servers_card(found: Mapping[str, ServerFacts | DeploybotError]) -> Card:
    """Return a table with one row per server."""
    if not found:
        return Card(title="You have no permission to see any server here.")
    rows = {name: _row(facts) for name, facts in found.items()}
    silent = sum(isinstance(facts, DeploybotError) for facts in found.values())
    tones = tuple(tone for _, tone in rows.values())
    answer = f"{len(found) - silent} of {len(found)} answer" if silent else "all answer"
    return Card(
        title=f"{len(found)} server{'s' if len(found) > 1 else ''}: {answer}",
        tone=worst(tones),
        table=Table(
            ("server", "answers", "system", "Docker", "Compose", "disk free", "memory free"),
            tuple((name, *cells) for name, (cells, _) in rows.items()),
            tones,
            _narrow(found, tones),
        ),
        hint=advice(found.values()),
        lines=tuple(
            Line(name, trouble(facts, name), Tone.BAD)
            for name, facts in found.items()
            if isinstance(facts, DeploybotError)
        ),
    )


def _narrow(found: Mapping[str, ServerFacts | DeploybotError], tones: Sequence[Tone]) -> tuple[str, ...]:
    """Return a line for each server with its free disk and memory, for phones."""
    rows = [[" ", "server", "disk free", "memory"]]
    for (name, facts), tone in zip(found.items(), tones, strict=True):
        free = (
            ("no answer", "")
            if isinstance(facts, DeploybotError)
            else (show_size(facts.disk_free), show_size(facts.memory_available))
        )
        rows.append([MARKS[tone], name, *free])
    return tuple(narrow_rows(rows))


def _row(facts: ServerFacts | DeploybotError) -> tuple[tuple[str, ...], Tone]:
    if isinstance(facts, DeploybotError):
        return ("no", *(_UNKNOWN,) * 5), Tone.BAD
    total = f" of {show_size(facts.disk_total)}" if facts.disk_total > 0 else ""
    cells = (
        f"as {facts.user}" if facts.user else "yes",
        facts.system or _UNKNOWN,
        facts.docker or "none",
        facts.compose_version or "none",
        show_size(facts.disk_free) + total,
        show_size(facts.memory_available),
    )
    return cells, Tone.WARN if status_text.disk(facts).tone is Tone.WARN else Tone.GOOD
