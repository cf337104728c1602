"""Remove a lock: `unlock shop production`."""

from __future__ import annotations

from deploybot import App, Card, Context, Environment, command


@command("unlock <app> <env>", needs="deploy", examples=("unlock shop production",))
async def unlock(ctx: Context, app: App, env: Environment) -> Card:
    """Remove your lock on an environment; an admin may remove anybody's."""
    held = await ctx.locks.release(ctx, app, env)
    if held is None:
        return Card(title=f"{app.name}/{env.name} is not locked.")
    whose = "" if ctx.person and held.person == ctx.person.id else f" It was {held.holder}'s: “{held.reason}”."
    return Card(title=f"{app.name}/{env.name} is unlocked.{whose}")
