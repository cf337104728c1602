"""Put a release on an app's servers: `deploy shop@v1.4 to production`."""

from __future__ import annotations

import datetime as dt

from deploybot import App, Card, Code, Context, Environment, Release, Server, command


@command(
    "deploy <app>[@<ref>] [to <env>[/<servers>]] [--dry-run] [--remove-orphans] [--at <time>] "
    "[--break-glass] [code <code>]",
    needs="deploy",
    within=600,
    examples=(
        "deploy shop@v1.4 to production",
        "deploy shop",
        "deploy shop@feature/cart to production/web1,web2 --dry-run",
        "deploy shop@v1.4 to production because the new cart is ready",
        "deploy shop@v1.4 to production --at 18:00",
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
    time: dt.time | None = None,
    break_glass: bool = False,
    code: Code = Code(""),  # noqa: B008 - a text
) -> Card:
    """Put a release on an app's servers.

    Its health is checked, and what ran before is restored if it does not come up. The ref is a branch, a tag, a
    commit, `:current`, `:previous`, or `#41` for what deployment 41 deployed; without one it is the newest
    commit of the app's branch. Images that bot.toml has are pinned again, to what their tags mean now; a ref that is
    an image's digest, `sha256:…`, or a tag that only an image has, changes that image and nothing else. `--dry-run`
    shows the plan and changes nothing that runs. `--remove-orphans` removes containers of the Compose project that are
    in no Compose file; without it, those that deploybot did not make stay. With `--at` it begins at that time of day,
    in the bot's time zone: what a ref means is settled now, everything else is looked at again then.

    With `--break-glass` an admin deploys past approvals, locks and `after`, at once and with a reason; who has enrolled
    for one-time codes adds `code 123456`. All other admins are notified. It does not pass `refs`, `signed` or roles.
    """
    names = [server.name for server in servers]
    return await ctx.deployments.request(
        ctx,
        app,
        env,
        ref,
        servers=names,
        dry_run=dry_run,
        at=time,
        remove_orphans=remove_orphans,
        break_glass=break_glass,
        code=code,
    )
