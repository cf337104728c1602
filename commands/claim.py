"""Become the first administrator: `claim CODE`."""

from __future__ import annotations

from deploybot import Card, Context, command


@command("claim <code>", needs="anyone", examples=("claim 7KQ2-M9XD",))
async def claim(ctx: Context, code: str) -> Card:
    """Become the first administrator.

    The bot prints the code at startup while there is no administrator.
    """
    return await ctx.people.claim(ctx, code)
