"""Whether a rollback goes back: to what ran well in its target earlier, on each server older than what it replaces.

Otherwise `rollback` would be a name under which anything is deployed with the approvals of an emergency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from deploybot.deployments.past_releases import LOOK_BACK, good_ways, past_ids
from deploybot.domain import Changes, Kind, Plan, Release
from deploybot.policy import RollbackTerms
from deploybot.ports import Tables
from deploybot.settings import Environment


def terms_of_plan(tables: Tables, environment: Environment, plan: Plan) -> RollbackTerms | None:
    """Return the approvals that a planned rollback needs; None if a rollback there needs as many as a deployment."""
    if plan.kind is not Kind.ROLLBACK or not _is_eased(environment):
        return None
    replaced = [(part.server, part.replaces) for part in plan.servers]
    runs = tables.deployments.past(environment.app, environment.name, LOOK_BACK)
    forward = _forward(tables, environment, plan.release, replaced, runs) or _other_settings(tables, environment, plan)
    changes = plan.changes
    is_newer = changes.known and bool(changes.total) and not changes.removed
    old = plan.servers[0].replaces if plan.servers else None
    return _terms(environment, forward or _by_commits(old, runs, is_newer=is_newer))


def terms_of_release(
    tables: Tables,
    environment: Environment,
    release: Release | None,
    *,
    observed: Mapping[str, Release | None] = MappingProxyType({}),
    lost: Changes | None = None,
) -> RollbackTerms | None:
    """Return the same for a rollback without a plan, by what the bot last put on each server. No release: unknown.

    `observed` is what servers were seen to run, and `lost` what a rollback would take away, if that is known.
    """
    if not _is_eased(environment):
        return None
    if release is None:
        return _terms(environment, "", is_known=False)
    rows = {row.server: row.release for row in tables.running.get(environment.app, environment.name)} | {**observed}
    there = [(server, rows.get(server)) for server in environment.servers]
    runs = tables.deployments.past(environment.app, environment.name, LOOK_BACK)
    forward = _forward(tables, environment, release, there, runs)
    is_newer = lost is not None and lost.known and bool(lost.removed) and not lost.total
    return _terms(environment, forward or _by_commits(there[0][1], runs, is_newer=is_newer))


def _is_eased(environment: Environment) -> bool:
    """Return whether a rollback there may need fewer approvals than a deployment."""
    return environment.rollback_approvals is not None and environment.rollback_approvals < environment.approvals


def _terms(environment: Environment, forward: str, *, is_known: bool = True) -> RollbackTerms:
    back = environment.approvals if environment.rollback_approvals is None else environment.rollback_approvals
    return RollbackTerms(usual=environment.approvals, back=back, forward=forward, is_known=is_known)


def _forward(
    tables: Tables,
    environment: Environment,
    release: Release,
    replaced: Sequence[tuple[str, Release | None]],
    runs: Sequence[tuple[Kind, str]],
) -> str:
    """Return why a release is no way back from what servers run; empty if it is one on each of them.

    `runs` are the last successes there, oldest first.
    """
    ran = [*dict.fromkeys(one for _, one in runs)]
    order = past_ids(runs)
    if release.id not in order:
        return "it was rolled back from" if release.id in ran else "it is not known to have run well there"
    ids = {release.id, *(old.id for _, old in replaced if old is not None)}
    healthy = tables.deployments.healthy_pairs(environment.app, environment.name, ids)
    for server, old in replaced:
        if why := _earlier(order, ran, release, server, old):
            return why
        if (server, release.id) not in healthy:
            return f"it has not run well on {server}"
        if old is not None and old.id not in ran and (server, old.id) in healthy:
            return f"{server} runs one that is too old to compare"
    return ""


def _other_settings(tables: Tables, environment: Environment, plan: Plan) -> str:
    """Return that a release would not run with settings that it ran well with; empty if it would.

    A person may have edited the files of a server since, and its copy of the settings may be gone.
    """
    now = plan.configurations.items()
    if not now:
        return ""
    rows = tables.deployments.succeeded(environment.app, environment.name, LOOK_BACK)
    ran = [one.settings for one in good_ways(reversed(rows)) if one.release.id == plan.release.id]
    return "" if any(now <= one.items() for one in ran) else "it has not run well with these settings there"


def _earlier(order: Sequence[str], ran: Sequence[str], release: Release, server: str, old: Release | None) -> str:
    """Return that what a server runs ran earlier than the release; empty if it did not.

    What is not known to have run well there is compared like the last good release.
    """
    known = old is not None and old.id in ran
    base = old.id if old is not None and known else order[-1]
    # An old release may have been deployed again, not rolled back to: then it ran last, but also first.
    if not any(base in row and row.index(base) < row.index(release.id) for row in (order, ran)):
        return ""
    return f"{server} runs an earlier one" if known else "the last good release is an earlier one"


def _by_commits(old: Release | None, runs: Sequence[tuple[Kind, str]], *, is_newer: bool) -> str:
    """Return that the commit comes after the one that runs, whichever ran first there; empty if it does not.

    `old` is what the first server runs. If that never ran well there, such as a failed release, its commit says
    nothing.
    """
    is_known = old is not None and old.id in {one for _, one in runs}
    return "its commit is newer than what runs" if is_newer and is_known else ""
