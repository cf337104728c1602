"""Holds what came of a forge's calls to what the forge has said: deliveries, what was told of them, deployments."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from deploybot.card import Card
from deploybot.domain import TriggerState
from deploybot.notifications.event_subjects import build_thing
from deploybot.store.codec import decode
from tests.chaos.app import There
from tests.chaos.findings import Findings
from tests.chaos.hooks.forge import BRANCH, Commit, Delivery

_BUSY_SECONDS = 10.0


def settled(data: Path, head: str) -> bool:
    """Whether nothing waits any more, and what was pushed last is there or wanted no more."""
    with closing(_open(data)) as connection:
        counts = (
            "SELECT count(*) FROM deliveries WHERE fate = 'waiting'",
            "SELECT count(*) FROM outbox WHERE state = 'waiting'",
            "SELECT count(*) FROM triggers WHERE state IN ('open', 'asked') OR (shown <> '' AND shown <> state)",
            "SELECT count(*) FROM deployments WHERE state IN ('waiting', 'running', 'restoring')",
        )
        waits = sum(int(connection.execute(sql).fetchone()[0]) for sql in counts)
        wanted = connection.execute("SELECT count(*) FROM triggers WHERE release = ?", (head,)).fetchone()[0]
    return not waits and bool(wanted)


def judge(
    data: Path, commits: Sequence[Commit], deliveries: Sequence[Delivery], there: Mapping[str, There]
) -> Findings:
    """Everything that does not fit."""
    found = Findings()
    with closing(_open(data)) as connection:
        _check_deliveries(connection, deliveries, found)
        _check_messages(connection, commits, found)
        _check_deployments(connection, commits, found)
    for name, one in there.items():
        if one.served != commits[-1].sha:
            found.lost.append(f"{name} serves {one.served}, but {commits[-1].sha} was pushed last, and is green")
    return found


def _check_deliveries(connection: sqlite3.Connection, deliveries: Sequence[Delivery], found: Findings) -> None:
    """What was answered 2xx is kept, once, and was heard."""
    for one in deliveries:
        rows = connection.execute("SELECT fate, made FROM deliveries WHERE delivery = ?", (one.id,)).fetchall()
        if one.answers.count("kept") > 1 or len(rows) > 1:
            found.doubled.append(f"{one.event} {one.id} was kept {len(rows)} times, answered {one.answers}")
        if not rows:
            found.lost.append(f"{one.event} {one.id} was answered {one.answers}, and is not there")
        found.lost.extend(f"{one.event} {one.id} is {fate}: {made}" for fate, made in rows if fate != "done")


def _check_messages(connection: sqlite3.Connection, commits: Sequence[Commit], found: Findings) -> None:
    """Every push and the builds of every commit have one message each, or a line of a storm, which tells how it is."""
    cards = [(key, decode(Card, card)) for key, card in connection.execute("SELECT key, card FROM outbox")]
    for commit in commits:
        builds = [card for key, card in cards if build_thing(commit.sha, BRANCH) in key]
        pushes = [card for key, card in cards if ":push:" in key and commit.sha[:7] in f"{card}"]
        stormy_builds, stormy_pushes = (_lines(cards, word, commit) for word in (" build", " push"))
        for what, said in (("builds", [*builds, *stormy_builds]), ("push", [*pushes, *stormy_pushes])):
            if not said:
                found.lost.append(f"nobody was told of the {what} of {commit.sha}")
            if len(said) > 1:
                found.doubled.append(f"the {what} of {commit.sha} have {len(said)} messages")
        found.untrue.extend(_untruths(commit, builds))
        found.untrue.extend(f"{commit.sha}: {text}" for text in stormy_builds if _word(commit) not in text)
    _check_triggers(connection, dict(cards), found)


def _lines(cards: Sequence[tuple[str, Card]], what: str, commit: Commit) -> list[str]:
    """What messages about much at once say of a commit; runs that follow each other within a minute make some."""
    storms = (card for key, card in cards if key.startswith("event:storm:") and what in card.title)
    return [line.text for card in storms for line in card.lines if commit.sha[:10] in line.text]


def _word(commit: Commit) -> str:
    return "green" if commit.green else "red"


def _untruths(commit: Commit, builds: Sequence[Card]) -> Iterator[str]:
    word = _word(commit)
    for card in builds:
        if word not in card.title or not card.final:
            yield f"the builds of {commit.sha} are {word}, but the message says: {card.title}"


def _check_triggers(connection: sqlite3.Connection, cards: Mapping[str, Card], found: Findings) -> None:
    """The message of a trigger, where it has one, says what became of it."""
    for number, state, shown in connection.execute("SELECT number, state, shown FROM triggers"):
        card = cards.get(f"event:auto:{number}")
        if shown and (card is None or card.final != TriggerState(state).ended):
            found.untrue.append(f"trigger {number} is {state}, but its message says: {card.title if card else None}")


def _check_deployments(connection: sqlite3.Connection, commits: Sequence[Commit], found: Findings) -> None:
    """No commit is deployed twice, and none that is not green."""
    made = Counter(str(commit) for (commit,) in connection.execute("SELECT commit_id FROM deployments"))
    found.doubled.extend(f"{sha} was deployed {count} times" for sha, count in made.items() if count > 1)
    wanted = connection.execute("SELECT count(*) FROM triggers WHERE deployment <> 0").fetchone()[0]
    if made.total() != wanted:
        found.doubled.append(f"there are {made.total()} deployments, and {wanted} were wanted")
    found.untrue.extend(f"{one.sha} is red, and was deployed" for one in commits if not one.green and made[one.sha])


def _open(data: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{(data / 'deploybot.db').as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
