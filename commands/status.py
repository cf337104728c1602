"""Show what runs: `status`, `status shop`, `status shop production`."""

from __future__ import annotations

from deploybot import App, Card, Context, Environment, command


@command(
    "status [<app>] [<env>]",
    needs="view",
    examples=("status", "status shop", "status shop production"),
)
async def status(ctx: Context, app: App | None = None, env: Environment | None = None) -> Card:
    """Show what runs where, and whether it is healthy.

    Without an app: one line per server for all targets that you may see. With an app: all details.
    """
    visible = await ctx.people.visible(ctx)
    if app is None:
        return await ctx.status.board(visible, ctx.reply)
    wanted = [env.name] if env else list(app.environments)
    return await ctx.status.detail(app, [one for of, one in visible if of == app and one.name in wanted])
