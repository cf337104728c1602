"""`deploybot check`: try every server, repository and chat of bot.toml, all at once, each within a deadline.

It depends only on ports. Each check becomes a `Row`. A failed row shows how to fix it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from deploybot.autodeploy.event_hints import autos
from deploybot.check.app_checks import branches_of, images_of, try_auto, try_image, try_plan, try_repository
from deploybot.check.check_results import CheckState, Row
from deploybot.check.files import try_files
from deploybot.check.server_checks import ServerLinks, try_server
from deploybot.deployments.planner import DryPlan
from deploybot.events.forge_accounts import ForgeAccounts
from deploybot.part_tables import SENDER_TABLE, has_containers
from deploybot.ports import ChatFinding, Images, RefSource
from deploybot.settings import Settings
from deploybot.units import show_duration
from deploybot.untrusted_input import failure_of

__all__ = ["CheckState", "Row", "ServerLinks", "check"]

WITHIN = 30.0


async def check(
    settings: Settings,
    links: ServerLinks,
    refs: RefSource,
    *,
    images: Images | None = None,
    chats: Mapping[str, AsyncIterator[ChatFinding]] = MappingProxyType({}),
    plans: DryPlan | None = None,
    mask: Callable[[str], str] = str,
    within: float = WITHIN,
) -> tuple[Row, ...]:
    """Run all checks at once.

    Each server, repository, image or chat has `within` seconds. One that hangs costs only its own row. `chats` are the
    checks of the chats, by name. `plans` plans deployments, if that is to be checked too. `mask` removes secrets from
    the messages of other programs.
    """
    tries = [_bounded("bot", _files(settings), within)]
    tries += [
        _bounded(f"server {name}", try_server(server, settings, links), within)
        for name, server in settings.servers.items()
    ]
    tries += [
        _bounded(f"app {name}", try_repository(there.model_copy(update={"artifact": None}), refs, where), within)
        for name, app in settings.apps.items()
        for there, where in branches_of(app)
        if app.repo
    ]
    if images is not None:
        tries += [
            _bounded(f"app {name}", try_image(there, service, images, where), within)
            for name, app in settings.apps.items()
            for there, service, where in images_of(app)
        ]
    watched = [app for app in settings.apps.values() if autos(app) and app.repo]
    tries += [_bounded(f"app {app.name}", try_auto(app, refs), within) for app in watched]
    tries += [_bounded(name, _chat(name, findings), within) for name, findings in chats.items()]
    found = await asyncio.gather(*tries)
    # The checks above cut connections to servers, so plans come afterwards.
    found += await asyncio.gather(*_plans(settings, plans, within))
    rows = [_data(settings.bot.data), *_accounts(settings), *(row for rows in found for row in rows)]
    return tuple(dataclasses.replace(row, text=mask(row.text), fix=mask(row.fix)) for row in rows)


def _plans(settings: Settings, plans: DryPlan | None, within: float) -> list[Coroutine[None, None, list[Row]]]:
    """Plan a deployment of every app with containers to each of its environments."""
    if plans is None:
        return []
    return [
        _bounded(f"app {app.name}", try_plan(app, environment, plans), within)
        for app in settings.apps.values()
        for environment in app.environments.values()
        if has_containers(app.strategy)
    ]


async def _bounded(subject: str, tries: AsyncIterator[Row], within: float) -> list[Row]:
    """Return the rows that came in time, and one more if time ran out."""
    rows: list[Row] = []
    try:
        async with asyncio.timeout(within):
            async for row in tries:
                rows.append(row)  # noqa: PERF401  rows from before the timeout are kept
    except TimeoutError:
        fix = "Check whether it is overloaded. A firewall that drops packets also looks like this."
        rows.append(Row(subject, "answer", CheckState.FAILED, f"no answer within {show_duration(within)}", fix))
    except Exception as problem:  # noqa: BLE001  any failure of a check is its own row
        error = failure_of(subject, problem)
        rows.append(Row(subject, "answer", CheckState.FAILED, str(error), getattr(error, "hint", "")))
    return rows


def _data(folder: Path) -> Row:
    """Check whether the bot can store data here. Nothing is created."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Row(
            "bot", "data folder", CheckState.OK, f"{folder}" if there == folder else f"{folder}, created at the start"
        )
    fix = f"Create it for the bot's user: `install -d -m 700 -o USER {folder}`."
    return Row("bot", "data folder", CheckState.FAILED, f"this user cannot write to {folder}", fix)


def _accounts(settings: Settings) -> Iterator[Row]:
    """Yield a row for each kind of forge of which bot.toml has several, with what a bare account means there."""
    accounts = ForgeAccounts(settings)
    if accounts.unclear:
        yield Row("bot", "forge accounts", CheckState.OK, f"{accounts.warning}. {accounts.fix}")
    for kind, hosts in accounts.several.items():
        public = SENDER_TABLE[kind].host
        own = [host for host in hosts if host != public]
        bare = f"only on {public}" if public in hosts else "on none of them"
        text = f"{', '.join(hosts)}: an account without a host, such as {kind}:3, counts {bare}"
        form = " or ".join(f"`{kind}:{host}/ID:NAME`" for host in own)
        yield Row("bot", f"{kind} accounts", CheckState.OK, f"{text}. Link the others as {form}")


async def _files(settings: Settings) -> AsyncIterator[Row]:
    for row in await asyncio.to_thread(try_files, settings):
        yield row


async def _chat(name: str, findings: AsyncIterator[ChatFinding]) -> AsyncIterator[Row]:
    async for found in findings:
        yield Row(name, found.what, CheckState.FAILED if found.fix else CheckState.OK, found.text, found.fix)
