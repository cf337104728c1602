"""Approve somebody else's request: `approve #42`."""

from __future__ import annotations

from deploybot import Card, Code, Context, Deployment, command


@command(
    "approve <number> [code <code>]",
    needs="approve",
    within=120,
    examples=("approve #42", "approve #42 code 123456"),
)
async def approve(ctx: Context, number: Deployment, code: Code = Code("")) -> Card:  # noqa: B008 - a text
    """Approve somebody else's request.

    The card shows exactly what would be deployed, and your approval covers only that. If the branch, bot.toml or what
    runs changes before the start, the request is void and must be made again. If bot.toml requires a one-time code, add
    it with `code`. `totp` sets up your phone for codes.
    """
    return await ctx.deployments.approve(ctx, number.number, code)
