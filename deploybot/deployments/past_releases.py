"""The good releases of a target in the order in which they ran: what a rollback goes back through. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from deploybot.domain import Deployment, Kind, Release, State

LOOK_BACK = 200
"""How many successful deployments of a target a rollback looks back."""


def good_past(deployments: Iterable[Deployment]) -> list[Release]:
    """Return the good releases to roll back through, oldest first, from deployments oldest first.

    A rollback removes the release that it went back from. So a second one goes further back, not forward.
    """
    past: list[Release] = []
    for one in deployments:
        release = one.plan.release
        if one.state is not State.SUCCEEDED or one.plan.kind not in {Kind.DEPLOY, Kind.ROLLBACK}:
            continue
        if one.plan.kind is Kind.ROLLBACK and any(old.id == release.id for old in past):
            while past[-1].id != release.id:
                past.pop()
        else:
            past = [old for old in past if old.id != release.id]
            past.append(release)
    return past


def past_before(past: Sequence[Release], running: Collection[Release]) -> Sequence[Release]:
    """Return the part of the past before what runs; of several releases, the newest counts.

    If one of them was never good, that is the whole past.
    """
    known = [one.id for one in past]
    wanted = {one.id for one in running}
    return past[: max(map(known.index, wanted))] if wanted and wanted <= {*known} else past
