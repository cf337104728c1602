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

    Type `link` in the chat where you are known: you get a code, privately. Type `link CODE` in the other chat. If you
    are already known there, confirm with `link yes` there. Then confirm with `link yes` in the first chat, which shows
    who wants to be linked. `link no` cancels. From then on, roles, approvals and the audit treat both as one person.
    """
    return await ctx.people.link(ctx, word)
