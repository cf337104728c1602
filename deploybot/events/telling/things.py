"""What an event is about: the thing, which of its parts, and which of two events about one part is the newer.

A thing has one message in a channel, which is edited. Each part keeps the newest event about it. `rank` orders all
events about a part, so the same events give the same message in whatever order, and however often, they come.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Final

from deploybot.domain import Alert, Build, Change, Deployed, Event, ImagePushed, Note, Published, Push, Synced, Tagged
from deploybot.events.telling.words import cut, full_sha, subject

COMMITS_SHOWN: Final = 5
_KEPT_TEXT: Final = 2_000
_KEPT_NAMES: Final = 40
_AHEAD: Final = 86400.0
_CHANGES: Final = ("opened", "reopened", "updated", "closed", "merged")


@dataclass(frozen=True, slots=True)
class Spot:
    """Where an event belongs: the thing, the part, and the series with its place there (see `ports.ToldPart`)."""

    thing: str
    part: str = ""
    series: str = ""
    position: float = 0.0


def dated(event: Event, now: float) -> Event:
    """The event with a time. A sender whose clock is days ahead is not believed: nothing could come after it."""
    ahead = event.at > now + _AHEAD
    if isinstance(event, Build | Deployed | Alert):
        return replace(event, at=now) if ahead else event
    return replace(event, at=now) if ahead or not event.at else event


def spot_of(event: Event, delivery: str) -> Spot:  # noqa: C901, PLR0911  one a kind
    """Where an event belongs; `delivery` tells apart what nothing else does."""
    match event:
        case Push():
            key = (event.branch, event.before, event.after, str(int(event.at)))
            return Spot(f"push:{_id(*key)}", series=push_series(event.branch), position=event.at)
        case Change():
            return Spot(f"change:{_id(event.repository, str(event.number))}", f"{event.what} {event.draft}")
        case Tagged() | Published():
            part = "tag" if isinstance(event, Tagged) else "release"
            return Spot(f"tag:{_id(event.repository, event.tag)}", part)
        case Build():
            return _build(event)
        case ImagePushed():
            if event.digest:
                return Spot(f"image:{_id(event.image, event.digest)}", _id(event.tag))
            return Spot(f"image:{_id(event.image, event.tag, str(event.at))}")
        case Deployed():
            return Spot(f"deployed:{_id(event.sender, event.key)}")
        case Synced():
            return Spot(f"sync:{_id(event.application, event.commit)}")
        case Alert():
            return Spot(f"alert:{_id(event.sender, event.key)}", str(int(event.started)))
        case Note(key=key) if key:
            return Spot(f"note:{_id(event.sender, key)}")
    return Spot(f"note:{_id(delivery, repr(event))}")


def commit_of(event: Event) -> str:
    """The full commit that an event is about; empty where it is about none."""
    match event:
        case Push():
            return full_sha(event.after)
        case Build() | Tagged() | Deployed() | Note():
            return full_sha(event.commit)
    return ""


def push_series(branch: str) -> str:
    """The series of all pushes to a branch."""
    return f"push:{_id(branch)}"


def build_thing(commit: str, branch: str) -> str:
    """The thing that all builds of a commit on a branch (or of a tag) are parts of."""
    return f"build:{_id(commit.lower(), branch)}"


def _build(event: Build) -> Spot:
    series = f"build:{_id(event.sender, event.name, event.branch)}" if event.branch else ""
    where = event.branch or event.tag
    thing = build_thing(event.commit, where) if event.commit else f"build:{_id(event.sender, event.key)}"
    position = float(event.number) or event.started or event.at or event.finished
    return Spot(thing, _id(event.sender, event.key), series, position)


def rank(event: Event) -> tuple[object, ...]:
    """Orders the events about one part: the greatest is the newest. Events of one rank are the same."""
    match event:
        case Build():
            return (event.attempt, *_state(event), repr(replace(event, failed=(), number=0)))
        case Deployed():
            return (*_state(event), repr(event))
        case Change():
            return (event.what == "merged", event.at, _CHANGES.index(event.what), repr(event))
        case Alert():
            return (event.started, event.at, not event.firing, repr(event))
    return (event.at, repr(event))


def joined(was: Event | None, event: Event) -> Event:
    """The newer of two events about one part.

    Of a build, too, what only one of them tells: its number, and the failed jobs of an attempt, which some senders tell
    one by one.
    """
    newest = event if was is None else max(was, event, key=rank)
    if not isinstance(was, Build) or not isinstance(event, Build) or not isinstance(newest, Build):
        return newest
    of_it = (one.failed for one in (was, event) if one.attempt == newest.attempt)
    failed = sorted({name for names in of_it for name in names})[:_KEPT_NAMES]
    return replace(newest, failed=tuple(failed), number=max(was.number, event.number))


def _state(event: Build | Deployed) -> tuple[float, int]:
    """When it was so, and how far that is. Of what tells no time, an end is taken for the newest."""
    finished, started = (event.finished, event.started) if isinstance(event, Build) else (0.0, 0.0)
    when = event.at or finished or started or (math.inf if event.state.ended else -math.inf)
    return when, 2 if event.state.ended else 1 if event.state.value == "running" else 0


def kept(event: Event) -> Event:
    """What of an event is worth keeping: a push of 10,000 commits is no larger than one of five."""
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
    """A short name for any texts."""
    told = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(told).hexdigest()[:24]
