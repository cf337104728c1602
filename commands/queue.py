"""Look at what waits and what runs: `queue`."""

from __future__ import annotations

from deploybot import Card, Context, command


@command("queue", needs="view", examples=("queue",))
async def queue(ctx: Context) -> Card:
    """Show what waits for approval or for its turn, and what runs.

    If you may approve a request, it has buttons.
    """
    return await ctx.deployments.unfinished(ctx, await ctx.people.visible(ctx))
