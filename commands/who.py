"""List who has access: `who`, `who shop`."""

from __future__ import annotations

from deploybot import App, Card, Context, command


@command("who [<app>]", needs="view", examples=("who", "who shop"))
async def who(ctx: Context, app: App | None = None) -> Card:
    """List people with their roles and accounts.

    It says since when somebody has a role or an account, by whom, and until when. You see the places that you
    may look at; roles on every app are listed for each.
    """
    return await ctx.people.who(ctx, app.name if app else "")
