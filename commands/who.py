"""List who has access: `who`, `who shop`."""

from __future__ import annotations

from deploybot import App, Card, Context, command


@command("who [<app>]", needs="view", examples=("who", "who shop"))
async def who(ctx: Context, app: App | None = None) -> Card:
    """List people with their roles and accounts.

    The list shows since when a person has each role and account, who gave it, and when it ends. It covers the targets
    that you may view.
    """
    return await ctx.people.who(ctx, app.name if app else "")
