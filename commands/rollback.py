"""Roll back to an earlier release: `rollback shop`, `rollback shop from production to #41`."""

from __future__ import annotations

from deploybot import App, Card, Code, Context, Environment, Release, UserError, command


@command(
    "rollback <app> [from <env>] [to <release>] [--break-glass] [code <code>]",
    needs="deploy",
    within=600,
    examples=(
        "rollback shop from production",
        "rollback shop",
        "rollback shop from production to #41",
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
    break_glass: bool = False,
    code: Code = Code(""),  # noqa: B008 - a text
) -> Card:
    """Roll back to an app's last good release, or to the one you name.

    Name a release by its ref, or by the number of the deployment that deployed it. Its images come back with it. If the
    servers run different releases, the bot rolls all of them back to the last good release before the newest one that
    runs. `refs`, `signed` and `after` do not block a release that ran well there before. With `--break-glass`, an admin
    bypasses approvals and locks; see `help deploy`.
    """
    running = await ctx.releases.running(app, env)
    current = [one for one in running.values() if one is not None]
    target = release or await ctx.releases.last_good(app, env, before=current)
    if target is not None and [one.id for one in current] == [target.id] * len(env.servers):
        raise UserError(
            f"{app.name}/{env.name} already runs {target}.", hint=f"Pick another release: history {app.name}"
        )
    if target is None:
        runs = f"has only ever run {current[0]} in {env.name}" if current else f"has not run in {env.name} yet"
        raise UserError(
            f"{app.name} {runs}, so there is no release to roll back to.", hint=f"See `history {app.name}`."
        )
    return await ctx.deployments.request(ctx, app, env, target, rollback=True, break_glass=break_glass, code=code)
