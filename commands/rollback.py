"""Roll back to an earlier release: `rollback shop`, `rollback shop from production to #41`."""

from __future__ import annotations

from deploybot import App, Card, Code, Context, Environment, Release, UserError, command


@command(
    "rollback <app> [from <env>] [to <release>] [--dry-run] [--break-glass] [code <code>]",
    needs="deploy",
    within=600,
    examples=(
        "rollback shop from production",
        "rollback shop",
        "rollback shop from production to #41",
        "rollback shop from production to #41 --dry-run",
        "rollback shop from production to v1.3 because the cart is empty",
        "rollback shop from production --break-glass because the shop is down",
    ),
)
async def rollback(
    ctx: Context,
    app: App,
    env: Environment,
    release: Release | None = None,
    *,
    dry_run: bool = False,
    break_glass: bool = False,
    code: Code = Code(""),  # noqa: B008 - a text
) -> Card:
    """Roll back to an app's last good release, or to the one you name.

    `rollback` and `rollback shop` alone ask: they show the last good releases, what you would lose with each, and which
    servers still have it. A button shows the plan, and the button of the plan rolls back. With an environment, a
    release or an option, the rollback starts at once. In a script, `rollback shop` starts at once, too.

    Name a release by its ref, or by the number of the deployment that deployed it. Its images come back with it, and if
    the Compose files are the servers' own, the settings of then. If the servers run different releases, the bot rolls
    all of them back to the last good release before the newest one that runs. `refs`, `signed` and `after` do not block
    a release that ran well there before. With `--break-glass`, an admin bypasses approvals and locks; see `help
    deploy`. `--dry-run` shows the plan and changes nothing that runs.
    """
    running = await ctx.releases.running(app, env)
    current = [one for one in running.values() if one is not None]
    target = release or await ctx.releases.last_good(app, env, before=current)
    if target is not None and not target.deployment and [one.id for one in current] == [target.id] * len(env.servers):
        raise UserError(
            f"{app.name}/{env.name} already runs {target}.", hint=f"Pick another release: history {app.name}"
        )
    if target is None:
        runs = f"has only ever run {current[0]} in {env.name}" if current else f"has not run in {env.name} yet"
        raise UserError(
            f"{app.name} {runs}, so there is no release to roll back to.", hint=f"See `history {app.name}`."
        )
    return await ctx.deployments.request(
        ctx, app, env, target, rollback=True, dry_run=dry_run, break_glass=break_glass, code=code
    )
