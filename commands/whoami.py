"""Show who you are: `whoami`."""

from __future__ import annotations

from deploybot import Card, Context, command


@command("whoami", needs="anyone", examples=("whoami",))
async def whoami(ctx: Context) -> Card:
    """Show who the bot thinks you are, and what you may do."""
    return await ctx.people.whoami(ctx)
