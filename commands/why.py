"""Show what you may do, and which rules decide: `why deploy shop production`."""

from __future__ import annotations

import dataclasses
import difflib

from deploybot import App, Card, Context, DeploybotError, Environment, Line, Release, Tone, UserError, command


@command(
    "why <what> <app>[@<ref>] [<env>]",
    needs="view",
    examples=("why deploy shop production", "why deploy shop@v1.4 production", "why approve shop production"),
)
async def why(ctx: Context, what: str, app: App, env: Environment, ref: Release | None = None) -> Card:
    """Show whether you may use a command on a target, the verdict of each rule, and who is allowed to use it.

    With a ref, it also shows whether that release may be deployed there. For `deploy`, it lists the newest tags that do
    not count for the app's images and for `auto`, and the reason for each. For `promote`, it shows which release would
    be promoted, or why there is none.
    """
    name = what.removeprefix("/").lower()
    found = ctx.services.commands.get(name)
    if found is None:
        near = difflib.get_close_matches(name, ctx.services.commands, n=1)
        guess = f", did you mean `{near[0]}`?" if near else "."
        raise UserError(f"There is no command `{what[:40]}`{guess}", hint="`help` lists what I can do.")
    if name != "promote":
        return await ctx.people.why(ctx, found, app, env, ref)
    release, line = await _promotable(ctx, app, env)
    card = await ctx.people.why(ctx, found, app, env, ref or release)
    return dataclasses.replace(card, lines=(*card.lines, line))


async def _promotable(ctx: Context, app: App, env: Environment) -> tuple[Release | None, Line]:
    """Return the release that `promote` would take; None if there is none, and why."""
    try:
        release = await ctx.deployments.promotable(app, env)
    except DeploybotError as problem:
        return None, Line("promote", str(problem), Tone.BAD)
    return release, Line("promote", f"{release} runs healthy in {env.after} and would be promoted.", Tone.GOOD)
