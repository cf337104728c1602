"""Approve what somebody else asked for: `approve #42`."""

from __future__ import annotations

from deploybot import Card, Code, Context, Deployment, command


@command(
    "approve <number> [code <code>]",
    needs="approve",
    within=120,
    examples=("approve #42", "approve #42 code 123456"),
)
async def approve(ctx: Context, number: Deployment, code: Code = Code("")) -> Card:  # noqa: B008 - a text
    """Approve what somebody else asked for.

    Its card shows exactly what would be deployed, and that alone is approved: if the branch, bot.toml or what runs
    has changed meanwhile, it is void and has to be asked for again. Where bot.toml asks for a one-time code, `code`
    gives it; `totp` tells how to get one.
    """
    return await ctx.deployments.approve(ctx, number.number, code)
