"""Decide what an event is about: the thing, the part of it, and which of two events about one part is newer.

A thing has one message in a channel, which is edited. Each part keeps its newest event. `rank` orders the events of a
part by what their sender reports, so the message is the same in whatever order they arrive. If two have the same rank,
the later arrival is newer. Builds follow the rule of `events.build_verdicts`.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Final

from deploybot.domain import (
    Alert,
    Build,
    BuildState,
    Change,
    Deployed,
    Event,
    ImagePushed,
    Note,
    Published,
    Push,
    Synced,
    Tagged,
)
from deploybot.events import build_verdicts
from deploybot.notifications.event_text import cut, full_sha, subject

COMMITS_SHOWN: Final = 5
_KEPT_TEXT: Final = 2_000
_KEPT_NAMES: Final = build_verdicts.KEPT_NAMES
_AHEAD: Final = 86400.0
SICK: Final = frozenset({"degraded", "missing", "failed", "error"})
BUSY: Final = frozenset({"running", "progressing", "syncing", "pending", "terminating"})
"""Argo CD's words: SICK for an unhealthy application, BUSY for one that is still changing."""
_CHANGES: Final = ("opened", "reopened", "updated", "closed", "merged")


@dataclass(frozen=True, slots=True)
class EventPosition:
    """Where an event belongs: the thing, the part, the series, and its position there (see `ports.EventPart`)."""

    thing: str
    part: str = ""
    series: str = ""
    position: float = 0.0


def dated(event: Event, now: float) -> Event:
    """Return the event with a time. Times more than a day ahead are not believed: no later event could replace them."""
    if isinstance(event, Build):
        return build_verdicts.dated(event, now)
    ahead = event.at > now + _AHEAD
    if isinstance(event, Deployed):
        return replace(event, at=0.0) if ahead else event
    if isinstance(event, Alert):
        return replace(event, at=now) if ahead else event
    return replace(event, at=now) if ahead or not event.at else event


def position_of(event: Event, delivery: str) -> EventPosition:  # noqa: C901, PLR0911  one case for each kind
    """Return where an event belongs. `delivery` identifies events that have nothing else to identify them."""
    match event:
        case Push():
            key = (event.branch, event.before, event.after, str(int(event.at)))
            return EventPosition(f"push:{_id(*key)}", series=push_series(event.branch), position=event.at)
        case Change():
            return EventPosition(f"change:{_id(event.repository, str(event.number))}", f"{event.what} {event.draft}")
        case Tagged() | Published():
            part = "tag" if isinstance(event, Tagged) else "release"
            return EventPosition(f"tag:{_id(event.repository, event.tag)}", part)
        case Build():
            return _build(event)
        case ImagePushed():
            if event.digest:
                return EventPosition(f"image:{_id(event.image, event.digest)}", _id(event.tag))
            return EventPosition(f"image:{_id(event.image, event.tag, str(event.at))}")
        case Deployed():
            return EventPosition(f"deployed:{_id(event.sender, event.key)}")
        case Synced():
            return EventPosition(f"sync:{_id(event.application, event.commit)}")
        case Alert():
            return EventPosition(f"alert:{_id(event.sender, event.key)}", str(int(event.started)))
        case Note(key=key) if key:
            return EventPosition(f"note:{_id(event.sender, key)}")
    return EventPosition(f"note:{_id(delivery, repr(event))}")


def commit_of(event: Event) -> str:
    """Return the full commit that an event is about, or an empty text."""
    match event:
        case Push():
            return full_sha(event.after)
        case Build() | Tagged() | Deployed() | Note():
            return full_sha(event.commit)
    return ""


def push_series(branch: str) -> str:
    """Return the series of all pushes to a branch."""
    return f"push:{_id(branch)}"


def build_thing(commit: str, branch: str) -> str:
    """Return the thing that contains all builds of a commit on a branch or tag."""
    return f"build:{_id(commit.lower(), branch)}"


def _build(event: Build) -> EventPosition:
    series = f"build:{_id(*build_verdicts.series(event), event.branch)}" if event.branch else ""
    where = event.branch or event.tag
    thing = build_thing(event.commit, where) if event.commit else f"build:{_id(event.sender, event.key)}"
    position = float(event.number) or event.at
    return EventPosition(thing, _id(event.sender, event.key), series, position)


def rank(event: Event) -> tuple[float, ...]:
    """Return the order of events about one part, except builds. If two have the same rank, the later arrival counts."""
    match event:
        case Deployed():
            untimed = math.inf if event.state.ended else -math.inf
            return (event.at or untimed, event.state.ended, event.state is BuildState.RUNNING)
        case Change():
            return (event.what == "merged", event.at, _CHANGES.index(event.what))
        case Published():
            return (event.at, event.gone)
        case Alert():
            return (event.started, event.at, not event.firing)
        case Synced():
            words = {event.state.lower(), event.health.lower()}
            return (event.at, bool(words & SICK) or not words & BUSY)
    return (event.at,)


def joined(was: Event | None, event: Event) -> Event:
    """Return the newer of two events about one part. A build is completed with details that only the older one has."""
    if isinstance(event, Build):
        return build_verdicts.joined(was if isinstance(was, Build) else None, event)
    return was if was is not None and rank(was) > rank(event) else event


def kept(event: Event) -> Event:
    """Return the event cut to the parts that are stored. A push of 10,000 commits is stored like one of five."""
    match event:
        case Push():
            commits = tuple(replace(one, message=subject(one.message)) for one in event.commits[:COMMITS_SHOWN])
            return replace(event, commits=commits, paths=None, total=max(event.total, len(event.commits)))
        case Published() | Alert() | Note() | Deployed() | Synced():
            event = replace(event, text=cut(event.text, _KEPT_TEXT))
    match event:
        case Alert():
            return replace(event, labels=event.labels[:_KEPT_NAMES])
        case Note():
            return replace(event, fields=event.fields[:_KEPT_NAMES])
        case Build():
            failed = tuple(sorted({*event.failed})[:_KEPT_NAMES])
            return replace(event, failed=failed, commit=full_sha(event.commit) or event.commit)
    return event


def _id(*parts: str) -> str:
    """Return a short digest of any texts."""
    content = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).hexdigest()[:24]
