"""End a freeze: `unfreeze shop production`."""

from __future__ import annotations

from deploybot import App, Card, Context, Environment, command


@command("unfreeze <app> <env>", needs="deploy", examples=("unfreeze shop production",))
async def unfreeze(ctx: Context, app: App, env: Environment) -> Card:
    """End your freeze of an environment; an admin may end anybody's. What waits for its end then starts.

    A freeze of bot.toml ends only at its time.
    """
    ended = await ctx.freezes.unfreeze(ctx, app, env)
    rest = f" bot.toml freezes it {', '.join(one.text for one in env.freeze)}." if env.freeze else ""
    if ended is None:
        return Card(title=f"Nobody froze {app.name}/{env.name}.{rest}")
    whose = "" if ctx.person and ended.person == ctx.person.id else f" It was {ended.holder}'s: “{ended.reason}”."
    return Card(title=f"The freeze of {app.name}/{env.name} is over.{whose}{rest}")
