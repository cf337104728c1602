"""The person `deploybot`, who requests automatic deployments. No account can link to it."""

from __future__ import annotations

from deploybot.deployments.auto_targets import is_used
from deploybot.domain import AUTO, BOT_NAME
from deploybot.errors import UserError
from deploybot.ports import Store, Tables
from deploybot.settings import Settings


async def make_itself(store: Store, settings: Settings) -> None:
    """Create that person if bot.toml uses `auto`. Raise UserError if another person already has the name."""
    if is_used(settings):
        await store.write(_make)


def _make(tables: Tables) -> None:
    if tables.people.of(AUTO) is not None:
        return
    if tables.people.named(BOT_NAME) is not None:
        raise UserError(
            f"The allowlist has a person named {BOT_NAME}, but `auto` in bot.toml needs that name for me.",
            hint=f"Give that person another name: `deploybot rename {BOT_NAME} NAME`.",
        )
    tables.people.add(BOT_NAME, AUTO)
