"""Remove an account from a person: `unlink slack:T012/U345`."""

from __future__ import annotations

from deploybot import Card, Code, Context, command


@command(
    "unlink <account> [code <code>]",
    needs="admin",
    examples=("unlink slack:T012/U345", "unlink telegram:5512", "unlink github:583231"),
)
async def unlink(
    ctx: Context,
    account: str,
    code: Code = Code(""),  # noqa: ARG001, B008  dispatch asks for it where bot.toml wants one
) -> Card:
    """Remove an account from a person.

    `who` shows the accounts. Messages from that account then come from an unknown user, who cannot link it again. An
    admin of everything can give it back with `allow PLATFORM:ID:NAME`. The person keeps their roles and other accounts.
    """
    person = await ctx.people.unlink(ctx, account)
    return Card(title=f"{account} no longer belongs to {person.name}.")
