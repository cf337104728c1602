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

    First type `link` in a chat where the bot knows you: it gives you a code in private. Then type `link CODE` in the
    other chat. If the bot knows you in that chat, too, it asks you to type `link yes` there. Then the first chat shows
    who typed the code. Type `link yes` in the first chat to finish, or `link no` to cancel. From then on, roles,
    approvals and the audit treat both accounts as one person.
    """
    return await ctx.people.link(ctx, word)
