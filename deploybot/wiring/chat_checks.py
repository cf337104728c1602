"""The checks of `deploybot check` for chats, report targets and the audit's sinks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from deploybot.chat.chat_port import chat_parts
from deploybot.deployments.planner import DryPlan
from deploybot.domain import Plan
from deploybot.part_tables import CHAT_TABLE
from deploybot.ports import ChatFinding
from deploybot.reporting.report_targets import tries
from deploybot.settings import App, Environment, Settings
from deploybot.store.database import Database
from deploybot.wiring.deployment_wiring import planner
from deploybot.wiring.infrastructure import Adapters


def chat_checks(settings: Settings) -> dict[str, AsyncIterator[ChatFinding]]:
    """Return the checks of the chats, by name."""
    return {CHAT_TABLE[name].title: chat.probe(settings) for name, chat in chat_parts(settings)}


@asynccontextmanager
async def dry_plans(settings: Settings, world: Adapters) -> AsyncIterator[DryPlan]:
    """Yield the function that plans deployments for `deploybot check`.

    It uses the bot's own database if this user owns it, and an empty one otherwise.
    """
    async with AsyncExitStack() as stack:
        path = world.database.path
        if not path.exists() or path.stat().st_uid != os.geteuid():
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="deploybot-check-"))
            path = Path(folder) / path.name
        store = await stack.enter_async_context(Database(path))
        plan = planner(settings, replace(world, store=store))

        async def make(app: App, environment: Environment) -> Plan:
            release = await plan.releases.resolve(app, environment, "")
            return await plan.deploy(app, environment, replace(release, typed=None))

        yield make


def other_checks(settings: Settings, world: Adapters) -> dict[str, AsyncIterator[ChatFinding]]:
    """Return the checks of the report targets and the audit's sinks, by name."""
    checks = tries(settings, world.store)
    if settings.audit is not None:
        from deploybot.reporting.audit_sinks.sink_table import sink_checks  # noqa: PLC0415  see `adapters.audit_export`

        checks |= sink_checks(settings.audit)
    return checks
