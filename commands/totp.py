"""Set up one-time codes on a phone: `totp`."""

from __future__ import annotations

from deploybot import Card, Code, Context, command


@command("totp [<code>]", needs="view", examples=("totp", "totp 123456"))
async def totp(ctx: Context, code: Code = Code("")) -> Card:  # noqa: B008 - a text
    """Set up one-time codes on your phone, which some approvals require.

    In private, `totp` shows a secret for your authenticator app. Activate it with `totp CODE` and the first code
    that the app shows, within ten minutes. To change phones, give a code of the old one first: `totp CODE`.
    """
    return await ctx.people.totp(ctx, code)
