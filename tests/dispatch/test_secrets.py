"""Secrets never leave, whatever part of a card they are in."""

from __future__ import annotations

from deploybot import Card, Context, Line, Table, Tone
from deploybot.card import Button
from deploybot.errors import UserError
from deploybot.masking import MASK, Redactor
from tests.dispatch.conftest import SECRET, made
from tests.kit.command_bot import open_command_bot

# What never leaves


async def test_secrets_never_leave() -> None:
    async def leak(ctx: Context) -> Card | None:
        await ctx.reply(Card(title=f"on the way {SECRET}"))
        return everywhere()

    async def fail(_: Context, word: str) -> Card | None:
        raise UserError(f"{word} is {SECRET}", hint=SECRET)

    commands = made("leak", leak), made("fail <word>", fail, needs="admin")
    async with open_command_bot(*commands, secrets=(SECRET,)) as other:
        card = await other.say("leak")
        failed = await other.say(f"fail {SECRET}")
        unknown = await other.say(SECRET)
        texts = [*map(str, (card, failed, unknown, *other.replies)), *map(str, await other.audit())]
    assert [text for text in texts if SECRET in text] == []
    assert card == Redactor((SECRET,)).card(everywhere())
    assert card.files == everywhere().files
    assert failed.title == f"{MASK} is {MASK}."


def everywhere() -> Card:
    return Card(
        title=SECRET,
        key="deployment:1",
        text=SECRET,
        lines=(Line(SECRET, SECRET, Tone.GOOD),),
        table=Table((SECRET,), ((SECRET,),), (Tone.BAD,)),
        code=("a", SECRET),
        buttons=(Button(SECRET, "status"),),
        footer=SECRET,
        hint=SECRET,
    )
