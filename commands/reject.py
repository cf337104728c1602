"""Reject somebody else's request: `reject #42 because …`."""

from __future__ import annotations

from deploybot import Card, Context, Deployment, command


@command(
    "reject <number> because …",
    needs="approve",
    examples=("reject #42 because the migration is not reviewed yet",),
)
async def reject(ctx: Context, number: Deployment) -> Card:
    """Reject a request that waits for approval, and say why.

    This ends the request for good, even if others have approved it. The requester can make a new one.
    """
    return await ctx.deployments.reject(ctx, number.number)
