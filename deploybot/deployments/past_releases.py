"""The good releases of a target in the order in which they ran: what a rollback goes back through. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from deploybot.domain import Deployment, Kind, Release, State

LOOK_BACK = 200
"""How many successful deployments of a target a rollback looks back."""


def good_past(deployments: Iterable[Deployment]) -> list[Release]:
    """Return the good releases to roll back through, oldest first, from deployments oldest first."""
    good = [
        one for one in deployments if one.state is State.SUCCEEDED and one.plan.kind in {Kind.DEPLOY, Kind.ROLLBACK}
    ]
    releases = {one.plan.release.id: one.plan.release for one in good}
    return [releases[one] for one in past_ids([(one.plan.kind, one.plan.release.id) for one in good])]


def past_ids(runs: Iterable[tuple[Kind, str]]) -> list[str]:
    """Return the ids of the good releases to roll back through, oldest first, from successes oldest first.

    A rollback removes the release that it went back from. So a second one goes further back, not forward. If it went
    back to a release from before these successes, it removes all of them.
    """
    runs = [*runs]
    past: list[str] = []
    seen: set[str] = set()
    for kind, release in runs:
        if kind is Kind.ROLLBACK and release in past:
            del past[past.index(release) + 1 :]
        else:
            is_older = kind is Kind.ROLLBACK and release not in seen and len(runs) >= LOOK_BACK
            past = [] if is_older else [old for old in past if old != release]
            past.append(release)
        seen.add(release)
    return past


def past_before(past: Sequence[Release], running: Collection[Release]) -> Sequence[Release]:
    """Return the part of the past before what runs; of several releases, the newest counts.

    If one of them was never good, that is the whole past.
    """
    known = [one.id for one in past]
    wanted = {one.id for one in running}
    return past[: max(map(known.index, wanted))] if wanted and wanted <= {*known} else past
