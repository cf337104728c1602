"""Keep others from deploying: `lock shop production for 2h because we are measuring`."""

from __future__ import annotations

from deploybot import App, Card, Context, Duration, Environment, command, show_time


@command(
    "lock <app> <env> [for <duration>] because …",
    needs="deploy",
    examples=(
        "lock shop production for 2h because we are measuring",
        "lock shop staging because the migration runs by hand",
    ),
)
async def lock(
    ctx: Context,
    app: App,
    env: Environment,
    duration: Duration = Duration(0),  # noqa: B008 - a number under another name
) -> Card:
    """Stop everybody else from deploying, rolling back, restarting or running tasks in an environment.

    People who try to deploy see your reason. Without `for`, the lock stays until somebody unlocks it.
    """
    held = await ctx.locks.take(ctx, app, env, duration)
    until = f"until {show_time(held.until)}" if held.until else "until somebody unlocks it"
    return Card(
        title=f"{app.name}/{env.name} is locked by {held.holder} {until}: “{held.reason}”.",
        hint=f"`unlock {app.name} {env.name}` removes the lock.",
    )
