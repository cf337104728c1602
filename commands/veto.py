"""Keep a release that does worse than the old one: `veto #42`."""

from __future__ import annotations

from deploybot import Card, Context, Deployment, command


@command("veto <number>", needs="deploy", examples=("veto #42", "veto #42 because the errors are expected"))
async def veto(ctx: Context, number: Deployment) -> Card:
    """Keep a release that is about to be rolled back because it does worse than the old one.

    The watch continues. The release is rolled back only if these problems get much worse, or if the watch finds another
    one. Everyone who may deploy there may veto.
    """
    return await ctx.deployments.veto(ctx, number.number)
