"""Deploy a release to an app's servers: `deploy shop@v1.4 to production`."""

from __future__ import annotations

import datetime as dt

from deploybot import App, Card, Code, Context, Day, Duration, Environment, Release, Server, command, start_time


@command(
    "deploy <app>[@<ref>] [to <env>[/<servers>]] [--dry-run] [--remove-orphans] [--at <when>] "
    "[<time>] [--in <delay>] [--break-glass] [code <code>]",
    needs="deploy",
    within=600,
    examples=(
        "deploy shop@v1.4 to production",
        "deploy shop",
        "deploy shop@feature/cart to production/web1,web2 --dry-run",
        "deploy shop@v1.4 to production because the new cart is ready",
        "deploy shop@v1.4 to production --at 18:00",
        "deploy shop@v1.4 to production --at Mon 08:00",
        "deploy shop --in 2h",
        "deploy shop@v1.4 to production --break-glass because the shop is down",
    ),
)
async def deploy(
    ctx: Context,
    app: App,
    env: Environment,
    ref: Release,
    servers: tuple[Server, ...] = (),
    *,
    dry_run: bool = False,
    remove_orphans: bool = False,
    when: Day | dt.time | None = None,
    time: dt.time | None = None,
    delay: Duration = Duration(0),  # noqa: B008 - a number under another name
    break_glass: bool = False,
    code: Code = Code(""),  # noqa: B008 - a text
) -> Card:
    """Deploy a release to an app's servers.

    Then the bot checks the app's health. If it does not become healthy, the bot restores what ran before.

    The ref is a branch, a tag, a commit, `:current`, `:previous`, or `#41` for what deployment 41 deployed. The default
    is the newest commit of the branch in bot.toml. Images from bot.toml are pinned again to the current images of their
    tags. The ref can also be an image digest, `sha256:…`, or a tag that only an image has. It then changes only that
    image.

    `--dry-run` shows the plan and changes nothing that runs. `--remove-orphans` removes containers of the Compose
    project that are in no Compose file. Without it, containers that deploybot did not create stay. With `--at`, the
    deployment starts at that time in the bot's time zone: `--at 18:00`, `--at Mon 08:00`, `--at 2026-12-24 06:00`. With
    `--in`, it starts after that much time. The bot resolves the ref at once, and checks everything else again when it
    starts. `queue` shows what is scheduled.

    With `--break-glass` and a reason, an admin deploys at once and bypasses approvals, locks, freezes and `after`.
    Admins who are enrolled for one-time codes add `code 123456`. All other admins are notified. It does not bypass
    `refs`, `signed` or roles.
    """
    names = [server.name for server in servers]
    return await ctx.deployments.request(
        ctx,
        app,
        env,
        ref,
        servers=names,
        dry_run=dry_run,
        at=start_time(when, time, delay),
        remove_orphans=remove_orphans,
        break_glass=break_glass,
        code=code,
    )
