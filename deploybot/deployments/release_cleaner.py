"""The clean-up after a deployment: old releases on its servers, and the files of its jobs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from deploybot.deployments.step_execution import Executor
from deploybot.domain import Deployment, StageKind, State, StepRow, StepState
from deploybot.errors import DeploybotError
from deploybot.ports import Servers, Store, Tables

log = logging.getLogger(__name__)

CLEANUP_WITHIN = 300.0
FORGET_BACK = 5


class ReleaseCleaner:
    """Cleans up after deployments. A failure is only logged."""

    def __init__(self, store: Store, servers: Servers, executor: Executor) -> None:
        """Take the ports, and what runs the steps."""
        self._store = store
        self._servers = servers
        self._executor = executor

    async def clean_up(self, deployment: Deployment, *, without: Collection[str]) -> None:
        """Prune old releases after a success, and job files after any end; not on servers that were left out."""
        good = deployment.plan.servers if deployment.state is State.SUCCEEDED else ()
        for part in (one for one in good if one.server not in without):
            try:
                async with asyncio.timeout(CLEANUP_WITHIN):
                    await self._executor.clean_up(deployment, part)
            except (DeploybotError, TimeoutError) as problem:
                log.warning("the clean-up after #%s on %s failed: %s", deployment.number, part.server, problem)
        rows = await self._store.read(lambda tables: _left_behind(tables, deployment))
        for server in {row.server for row in rows if self._executor.has_server(row.server)}:
            mine = (row for row in rows if row.server == server and row.kind is StageKind.RUN)
            jobs = [row.job for row in mine if row.state is not StepState.UNKNOWN]
            try:
                await self._servers.host(server).forget(jobs)
            except (DeploybotError, TimeoutError) as problem:
                log.info("job files of #%s stay on %s: %s", deployment.number, server, problem)


def _left_behind(tables: Tables, deployment: Deployment) -> tuple[StepRow, ...]:
    """Return the steps of a deployment and of some before it: a killed bot left their job files."""
    plan = deployment.plan
    recent = tables.deployments.recent(plan.app, plan.environment, FORGET_BACK)
    return tuple(row for one in recent if one.state.ended for row in tables.deployments.steps(one.number))
