"""Tell what you may do, and which rules say so: `why deploy shop production`."""

from __future__ import annotations

import difflib

from deploybot import App, Card, Context, Environment, Release, UserError, command


@command(
    "why <what> <app>[@<ref>] [<env>]",
    needs="view",
    examples=("why deploy shop production", "why deploy shop@v1.4 production", "why approve shop production"),
)
async def why(ctx: Context, what: str, app: App, env: Environment, ref: Release | None = None) -> Card:
    """Tell whether you may use a command in a place, what every rule says about it, and who may.

    With a ref it also tells whether that very release may go there.
    """
    name = what.removeprefix("/").lower()
    found = ctx.services.commands.get(name)
    if found is None:
        near = difflib.get_close_matches(name, ctx.services.commands, n=1)
        guess = f", did you mean `{near[0]}`?" if near else "."
        raise UserError(f"There is no command `{what[:40]}`{guess}", hint="`help` lists what I can do.")
    return await ctx.people.why(ctx, found, app, env, ref)
