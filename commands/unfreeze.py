"""End a freeze: `unfreeze shop production`."""

from __future__ import annotations

from deploybot import App, Card, Context, Environment, command


@command("unfreeze <app> <env>", needs="deploy", examples=("unfreeze shop production",))
async def unfreeze(ctx: Context, app: App, env: Environment) -> Card:
    """End your freeze of an environment; an admin may end anybody's. What waits for its end then starts.

    A freeze of bot.toml ends only at its time.
    """
    return await ctx.freezes.unfreeze(ctx, app, env)
