"""One-time codes of your phone: `totp`."""

from __future__ import annotations

from deploybot import Card, Code, Context, command


@command("totp [<code>]", needs="view", examples=("totp", "totp 123456"))
async def totp(ctx: Context, code: Code = Code("")) -> Card:  # noqa: B008 - a text
    """Have an app on your phone make the one-time codes that some approvals take.

    In private, `totp` shows a secret for the app; `totp CODE` with the first code that it makes puts it in force.
    To change phones, give a code of the old one first: `totp CODE`, then `totp`.
    """
    return await ctx.people.totp(ctx, code)
