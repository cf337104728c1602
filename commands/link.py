"""Link your accounts in two chats: `link`."""

from __future__ import annotations

from deploybot import Card, Context, command


@command(
    "link [<word>]",
    needs="anyone",
    examples=("link", "link 7KQ2-M9XD", "link yes", "link no"),
)
async def link(ctx: Context, word: str = "") -> Card:
    """Link your accounts in two chats, so that they count as one person.

    Type `link` in the chat where the bot knows you. It gives you a code in private. Type `link CODE` in the other
    chat. If the bot knows you there, too, confirm with `link yes` there. The first chat then shows who typed the
    code. Confirm with `link yes` there. `link no` cancels. From then on, roles, approvals and the audit treat both as
    one person.
    """
    return await ctx.people.link(ctx, word)
