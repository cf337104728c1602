"""The record of what a server was seen to run after a deployment: what a rollback and a restore bring back."""

from __future__ import annotations

from deploybot.deployments.step_execution import recorded
from deploybot.domain import Deployment, ManifestRow, Phase, Running, StageKind, State, StepState
from deploybot.ports import Tables

MOST_RECORDS = 200
"""Records of releases to keep for a server: as many as a rollback looks back."""


def keep_manifest(tables: Tables, deployment: Deployment, row: Running, now: float) -> None:
    """Store what a server was seen to run, so that the bot's own record is enough to go back to it."""
    if not row.healthy:
        return
    part = next(one for one in deployment.plan.servers if one.server == row.server)
    if deployment.state is State.SUCCEEDED:
        kept = recorded(tables, deployment.plan, part)
        manifest = kept.manifest if kept else None
    elif _was_verified(tables, deployment, row.server):
        kept = tables.manifests.get(row.app, row.environment, row.server, row.release.id, attempt=True)
        manifest = kept.manifest if kept else part.before
    else:
        manifest = part.before
    if manifest is not None:
        tables.manifests.put(
            ManifestRow(
                app=row.app,
                environment=row.environment,
                server=row.server,
                release=row.release.id,
                manifest=manifest,
                at=now,
                verified=True,
            )
        )
        known = tables.manifests.of_target(row.app, row.environment, row.server)
        if len(known) > MOST_RECORDS:
            keep = {one.release for one in known[:MOST_RECORDS]}
            tables.manifests.prune(row.app, row.environment, row.server, keep)


def _was_verified(tables: Tables, deployment: Deployment, server: str) -> bool:
    """Return whether what ran before was restored on a server, and what was seen there was recorded."""
    rows = tables.deployments.steps(deployment.number)
    mine = (row for row in rows if row.phase is Phase.RESTORE and row.server == server)
    return any(row.kind is StageKind.VERIFY and row.state is StepState.DONE for row in mine)
