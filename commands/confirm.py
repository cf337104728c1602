"""Confirm a role that another admin asked for: `confirm grant-3`."""

from __future__ import annotations

from deploybot import Card, Code, Context, GrantChange, command


@command(
    "confirm <change> [no] [code <code>]",
    needs="admin",
    examples=("confirm grant-3", "confirm grant-3 no"),
)
async def confirm(
    ctx: Context,
    change: GrantChange,
    code: Code = Code(""),  # noqa: ARG001, B008  dispatch asks for it where bot.toml wants one
    *,
    no: bool = False,
) -> Card:
    """Confirm a role that another admin asked for.

    With `grants = "two"` in bot.toml, a second admin of the same target must confirm each `allow` within a day. `no`
    refuses it. The admin who asked may also refuse it.
    """
    return await ctx.people.confirm(ctx, change, refuse=no)
