"""Stop new deployments for a time: `freeze shop production until Mon 08:00 because …`."""

from __future__ import annotations

import datetime as dt

from deploybot import App, Card, Context, Day, Duration, Environment, UserError, command


@command(
    "freeze <app> <env> [until <until>] [<time>] [for <duration>] because …",
    needs="deploy",
    examples=(
        "freeze shop production until Mon 08:00 because it is the weekend",
        "freeze shop production until 18:00 because of the sale",
        "freeze shop production for 2h because we are investigating an error",
    ),
)
async def freeze(
    ctx: Context,
    app: App,
    env: Environment,
    *,
    until: Day | dt.time | None = None,
    time: dt.time | None = None,
    duration: Duration = Duration(0),  # noqa: B008 - a number under another name
) -> Card:
    """Stop new deployments to an environment until a time, for everybody and for automatic deployments.

    A freeze stops deployments and tasks, including yours. Rollbacks to what ran well there and restarts still work, and
    an admin can deploy with `--break-glass`. What waits when the freeze begins starts when it ends. Of the automatic
    deployments, only the newest starts. Times are in the bot's time zone. A day without a time ends the freeze when
    that day begins. `freeze` in bot.toml freezes an environment regularly.
    """
    if (until is None) == (not duration) or (time is not None and not isinstance(until, Day)):
        raise UserError(
            "Say when the freeze ends.",
            hint=f"For example: `freeze {app.name} {env.name} until Mon 08:00 because …`, or `for 2h`.",
        )
    return await ctx.freezes.freeze(ctx, app, env, duration if until is None else until, time)
