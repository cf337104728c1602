"""The history of a build or push: fold failures in a row into one sentence, and find overtaken pushes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from deploybot.domain import Build, BuildState, Push
from deploybot.notifications.event_cards import CardContext
from deploybot.notifications.event_subjects import push_series
from deploybot.ports import EventPart

LOOK_BACK: Final = 60
"""The number of builds of a workflow and branch that are read. More failures are shown as `60 times or more`."""
PUSHES: Final = 8
"""The number of pushes of a branch that are read to see whether one came after another."""
_TELL: Final = (BuildState.PASSED, BuildState.FAILED)


@dataclass(frozen=True, slots=True)
class Streak:
    """The failures in a row before a build, the first of them at `since`.

    `known` is False if no earlier build passed or failed.
    """

    failures: int = 0
    since: float = 0.0
    known: bool = False


def before(part: EventPart, series: Iterable[EventPart]) -> Streak:
    """Return the failures in a row before a build. `series` has the newest first.

    Builds that were cancelled or skipped, or are still running, are ignored.
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
        failures, since = failures + 1, ended(event, one.arrived_at)
    return Streak(failures, since, known)


def ended(event: Build, arrived_at: float) -> float:
    """Return when a build ended, or the best known time for that."""
    return event.finished or event.at or event.started or arrived_at


def overtaken(context: CardContext, branch: str, commit: str, since: float) -> bool:
    """Return whether something newer was pushed to the branch of a commit that was first reported at `since`.

    Pushes name the commit that they came after. If that leaves a doubt, their times decide.
    """
    found = context.series(push_series(branch), PUSHES) if branch else ()
    pushes = [(one, one.event) for one in found if isinstance(one.event, Push)]
    if not pushes:
        return False
    left = {event.before for _, event in pushes if event.before != event.after}
    heads = [pair for pair in pushes if pair[1].after not in left] or pushes
    newest, head = max(heads, key=lambda pair: (pair[0].position, pair[0].thing))
    known = any(event.after.lower() == commit.lower() for _, event in pushes)
    return head.after.lower() != commit.lower() and (known or newest.arrived_at > since)
