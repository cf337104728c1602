"""Restart what runs: `restart shop production`."""

from __future__ import annotations

from deploybot import App, Card, Context, Environment, command


@command("restart <app> [<env>]", needs="deploy", within=120, examples=("restart shop production", "restart shop"))
async def restart(ctx: Context, app: App, env: Environment) -> Card:
    """Restart what runs, without changing it, and check its health."""
    return await ctx.deployments.restart(ctx, app, env)
