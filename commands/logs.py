"""Show the log of an app or a deployment: `logs shop`, `logs shop since 15m grep error`, `logs #42 follow`."""

from __future__ import annotations

import datetime as dt

from deploybot import App, Card, Context, Deployment, Duration, Environment, LogQuery, Server, UserError, command

FEW = 50
MANY = 1_000
MOST = 200_000


@command(
    "logs <app> [tail] [<lines>] [follow] [since <since>] [grep <text>] [from <env>[/<server>]] [file]",
    needs="view",
    within=3700,
    examples=(
        "logs shop tail 200 from production/web1",
        "logs shop",
        "logs shop follow",
        'logs shop since 15m grep "payment failed"',
        "logs shop since 14:30",
        "logs shop since 2h file",
        "logs #42",
        "logs #42 follow",
    ),
)
async def logs(
    ctx: Context,
    app: App | Deployment,
    env: Environment | None,
    *,
    lines: int | None = None,
    since: Duration | dt.time | None = None,
    text: str = "",
    server: Server | None = None,
    tail: bool = False,
    follow: bool = False,
    file: bool = False,
) -> Card:
    """Show the last lines of an app's log, or with `#42` the log of a deployment.

    Lines come from all servers of the environment, sorted by time, or only from the server you name. `follow` shows new
    lines until you stop it, for an hour at most. `since` takes 90s, 15m, 2h or 1d, or a time of day such as 14:30 in
    the bot's time zone. `grep` keeps lines that contain a text. `file` sends a compressed file instead of a message.

    The log of a deployment has the output of its steps. `follow` shows it while the deployment runs.

    You can follow or download five logs at a time. At most one of them per server can come from a file, journald or a
    command, because each of these needs an SSH session, and a server allows only a few.
    """
    name = app.name if isinstance(app, App) else f"#{app.number}"
    if lines == 0:
        raise UserError("`tail 0` shows no lines.", hint=f"Give a number of lines, as in `logs {name} tail {FEW}`.")
    if lines and lines > MOST:
        raise UserError(
            f"I can show at most {MOST:,} lines.", hint=f"Try `logs {name} {'since 1h ' if env else ''}file`."
        )
    searched = since is not None or text
    usual = MOST if file else MANY if searched and not tail else FEW
    query = LogQuery(
        lines=lines or usual,
        since=0.0 if since is None or isinstance(since, dt.time) else since,
        since_time=since if isinstance(since, dt.time) else None,
        grep=text,
        server=server.name if server else "",
        follow=follow,
        file=file,
    )
    if isinstance(app, Deployment) or env is None:
        return await _of_deployment(ctx, app, query)
    return await ctx.logs.show(ctx, app, env, query)


async def _of_deployment(ctx: Context, deployment: App | Deployment, query: LogQuery) -> Card:
    assert isinstance(deployment, Deployment)  # noqa: S101  only a deployment has no environment of its own
    if query.since or query.since_time:
        hint = f"`logs #{deployment.number}` shows its end, `logs #{deployment.number} file` all of it."
        raise UserError("The log of a deployment has no times, so `since` cannot select its lines.", hint=hint)
    return await ctx.logs.of_deployment(ctx, deployment, query)
