"""Promote what runs healthy in the environment before: `promote shop`, `promote shop to production`."""

from __future__ import annotations

import datetime as dt

from deploybot import App, Card, Code, Context, Day, Duration, Environment, command, start_time


@command(
    "promote <app> [to <env>] [--dry-run] [--at <when>] [<time>] [--in <delay>] [--break-glass] [code <code>]",
    needs="deploy",
    within=600,
    after=True,
    examples=(
        "promote shop to production",
        "promote shop to production --dry-run",
        "promote shop to production because the new cart was tested",
        "promote shop to production --at 18:00",
    ),
)
async def promote(
    ctx: Context,
    app: App,
    env: Environment,
    *,
    dry_run: bool = False,
    when: Day | dt.time | None = None,
    time: dt.time | None = None,
    delay: Duration = Duration(0),  # noqa: B008 - a number under another name
    break_glass: bool = False,
    code: Code = Code(""),  # noqa: B008 - a text
) -> Card:
    """Deploy exactly what runs healthy in the environment before, such as staging.

    `after` in bot.toml names the environment before. The bot asks its servers now and takes the commit and the image
    digests that run there, even if the branch or a tag has moved since. It refuses if a server does not answer, is not
    healthy, runs another release than the others, or was changed by hand. Without an environment, it promotes to the
    only one of the app that has `after`.

    A promotion is a deployment: approvals, `refs`, `signed`, locks and freezes apply. The options are those of
    `deploy`; see `help deploy`.
    """
    return await ctx.deployments.promote(
        ctx, app, env, dry_run=dry_run, at=start_time(when, time, delay), break_glass=break_glass, code=code
    )
