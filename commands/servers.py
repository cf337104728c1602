"""Look at the servers: `servers`."""

from __future__ import annotations

from deploybot import Card, Context, command


@command("servers", needs="view", examples=("servers",))
async def servers(ctx: Context) -> Card:
    """Show whether the servers answer, and their system, Docker, disk and memory."""
    visible = await ctx.people.visible(ctx)
    names = dict.fromkeys(name for _, environment in visible for name in environment.servers)
    return await ctx.status.servers(tuple(names))
