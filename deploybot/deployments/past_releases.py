"""The good releases of a target in the order in which they ran: what a rollback goes back through. Pure.

For an app without a repository, a release that ran with other settings counts as another one: most changes by hand are
of settings alone, and going back from them must not go back to older images.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from deploybot.domain import Deployment, Kind, Plan, Release, State

LOOK_BACK = 200
"""How many successful deployments of a target a rollback looks back."""


@dataclass(frozen=True, slots=True)
class WayBack:
    """A release that ran well, with the settings of then.

    `deployment` is the newest one of it. `settings` are the hashes of what Compose read from the files of each server;
    empty if they come with the release.
    """

    deployment: Deployment
    settings: Mapping[str, str]

    @property
    def release(self) -> Release:
        """The release."""
        return self.deployment.plan.release


def good_past(deployments: Iterable[Deployment]) -> list[Release]:
    """Return the good releases to roll back through, oldest first, from deployments oldest first."""
    return [one.release for one in good_ways(deployments)]


def good_ways(deployments: Iterable[Deployment]) -> list[WayBack]:
    """Return the same with the settings; a release is there once for each settings that it ran well with."""
    found: dict[str, WayBack] = {}
    runs: list[tuple[Kind, str]] = []
    for one in deployments:
        if one.state is not State.SUCCEEDED or one.plan.kind not in {Kind.DEPLOY, Kind.ROLLBACK}:
            continue
        key = _known(found, one.plan) or f"{one.plan.release.id} {len(runs)}"
        known = found.pop(key).settings if key in found else {}
        found[key] = WayBack(one, {**known, **one.plan.configurations})
        runs.append((one.plan.kind, key))
    return [found[key] for key in past_ids(runs)]


def _known(found: Mapping[str, WayBack], plan: Plan) -> str:
    """Return the key of the same release with the same settings, where both say which; empty if there is none.

    A rollback whose settings were gone went back to the release all the same.
    """
    same = [(key, one.settings) for key, one in found.items() if one.release.id == plan.release.id]
    now = plan.configurations
    exact = [key for key, was in same if all(now.get(server, one) == one for server, one in was.items())]
    known = exact or ([key for key, _ in same] if plan.kind is Kind.ROLLBACK else [])
    return known[-1] if known else ""


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


def past_before(past: Sequence[WayBack], running: Collection[Release]) -> Sequence[WayBack]:
    """Return the part of the past before what runs; of several releases, the newest counts.

    If one of them was never good, that is the whole past.
    """
    last = {one.release.id: position for position, one in enumerate(past)}
    wanted = {one.id for one in running}
    return past[: max(last[one] for one in wanted)] if wanted and wanted <= {*last} else past
