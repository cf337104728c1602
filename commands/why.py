"""Show what you may do, and which rules decide: `why deploy shop production`."""

from __future__ import annotations

import difflib

from deploybot import App, Card, Context, Environment, Release, UserError, command


@command(
    "why <what> <app>[@<ref>] [<env>]",
    needs="view",
    examples=("why deploy shop production", "why deploy shop@v1.4 production", "why approve shop production"),
)
async def why(ctx: Context, what: str, app: App, env: Environment, ref: Release | None = None) -> Card:
    """Show whether you may use a command on a target, the verdict of each rule, and who is allowed to use it.

    With a ref, it also shows whether that release may be deployed there. For `deploy`, it lists the newest tags that do
    not count for the app's images and for `auto`, and the reason for each.
    """
    name = what.removeprefix("/").lower()
    found = ctx.services.commands.get(name)
    if found is None:
        near = difflib.get_close_matches(name, ctx.services.commands, n=1)
        guess = f", did you mean `{near[0]}`?" if near else "."
        raise UserError(f"There is no command `{what[:40]}`{guess}", hint="`help` lists what I can do.")
    return await ctx.people.why(ctx, found, app, env, ref)
