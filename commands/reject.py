"""Reject what somebody else asked for: `reject #42 because …`."""

from __future__ import annotations

from deploybot import Card, Context, Deployment, command


@command(
    "reject <number> because …",
    needs="approve",
    examples=("reject #42 because the migration is not reviewed yet",),
)
async def reject(ctx: Context, number: Deployment) -> Card:
    """Reject what waits for approvals, and say why.

    It ends for good, also when others have approved it; whoever asked can ask again.
    """
    return await ctx.deployments.reject(ctx, number.number)
