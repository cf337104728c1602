"""What came before a thing and after it: failures in a row folded into one sentence, and what was overtaken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from deploybot.domain import Build, BuildState, Push
from deploybot.notifications.event_cards import Scene
from deploybot.notifications.event_subjects import push_series
from deploybot.ports import EventPart

LOOK_BACK: Final = 60
"""So many builds of a workflow and branch are looked at; what is more is called `60 times or more`."""
PUSHES: Final = 8
"""So many pushes of a branch are looked at for whether one came after another."""
_TELL: Final = (BuildState.PASSED, BuildState.FAILED)


@dataclass(frozen=True, slots=True)
class Streak:
    """The failures in a row before a build, the first of them at `since`; `known` is False where none came before."""

    failures: int = 0
    since: float = 0.0
    known: bool = False


def before(part: EventPart, series: Iterable[EventPart]) -> Streak:
    """What came before a build in its series, which is given with the newest first.

    Builds that were cancelled or skipped, or are still running, tell nothing.
    """
    failures, since, known = 0, 0.0, False
    for one in series:
        event = one.event
        earlier = (one.position, one.part) < (part.position, part.part)
        if not earlier or not isinstance(event, Build) or event.state not in _TELL:
            continue
        known = True
        if event.state is BuildState.PASSED:
            break
        failures, since = failures + 1, ended(event, one.heard)
    return Streak(failures, since, known)


def ended(event: Build, heard: float) -> float:
    """When a build ended, as well as that is known."""
    return event.finished or event.at or event.started or heard


def overtaken(scene: Scene, branch: str, commit: str, since: float) -> bool:
    """Whether something newer was pushed to the branch of a commit, which was heard of first at `since`.

    Pushes say which commit they came after; where that leaves a doubt, their times decide.
    """
    found = scene.series(push_series(branch), PUSHES) if branch else ()
    pushes = [(one, one.event) for one in found if isinstance(one.event, Push)]
    if not pushes:
        return False
    left = {event.before for _, event in pushes if event.before != event.after}
    heads = [pair for pair in pushes if pair[1].after not in left] or pushes
    newest, head = max(heads, key=lambda pair: (pair[0].position, pair[0].thing))
    known = any(event.after.lower() == commit.lower() for _, event in pushes)
    return head.after.lower() != commit.lower() and (known or newest.heard > since)
