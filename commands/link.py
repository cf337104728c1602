"""Be one person in two chats: `link`."""

from __future__ import annotations

from deploybot import Card, Context, command


@command(
    "link [<word>]",
    needs="anyone",
    examples=("link", "link 7KQ2-M9XD", "link yes", "link no"),
)
async def link(ctx: Context, word: str = "") -> Card:
    """Be one person in two chats.

    Where I know you, `link` gives you a code, privately. Type `link CODE` in the other chat. If you are somebody
    already there, say `link yes` there. Then say `link yes` in the first one: it tells who wants to be you, and
    `link no` ends it. From then on roles, approvals and the audit know one person.
    """
    return await ctx.people.link(ctx, word)
