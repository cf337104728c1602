"""Buttons: made up, stolen, pressed again and all at once; `N` raises the sizes."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import string
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from deploybot.card import Card
from deploybot.chat.button_tokens import ButtonTokens
from deploybot.domain import Channel, State
from deploybot.errors import UserError
from tests.approvals.conftest import STRANGER, open_approval_bot, refused
from tests.kit.bot import BotUnderTest
from tests.store.examples import seeded

SLACK = Channel("slack", "slack")
FORGERIES = int(os.environ.get("N", "10000"))
TOKENS = int(os.environ.get("N", "30"))
AT_ONCE = 50


async def shown(bot: BotUnderTest, number: int, message: str, channel: Channel = SLACK) -> tuple[Card, tuple[str, ...]]:
    """A request's card as a message with buttons, and their tokens."""
    card = await bot.card(number)
    desk = bot.buttons[channel.platform]
    tokens = await desk.lay_out(channel, card.buttons)
    await desk.sent(channel, card.buttons, tokens, message)
    return card, tokens


async def test_a_button_does_what_the_command_does(bot: BotUnderTest) -> None:
    number = await bot.ask()
    _, (approve, reject, cancel) = await shown(bot, number, "m1")
    assert len({approve, reject, cancel}) == 3
    assert (await bot.press(approve, "ben", "m1")).title == f"#{number} is approved."
    assert (await bot.end_of(number)).state is State.SUCCEEDED
    assert await refused(bot, approve, "cem", "m1") == "This button was pressed already."


async def test_reject_takes_its_reason_along(bot: BotUnderTest) -> None:
    number = await bot.ask()
    _, (_, reject, _) = await shown(bot, number, "m1")
    card = await bot.press(reject, "ben", "m1", more=" because “no” & <b>never</b>")
    assert card.ok
    assert (await bot.end_of(number)).outcome == "Rejected by ben: “no” & <b>never</b>. Nothing was deployed."


async def test_a_button_that_was_pressed_in_vain_comes_anew(bot: BotUnderTest) -> None:
    """By who asked it is not even used up; by an approver, when a server is down, it is, and the card says so."""
    number = await bot.ask()
    _, tokens = await shown(bot, number, "m1")
    assert (await refused(bot, tokens[0], "ana", "m1")).startswith("`approve` needs the role approver")
    bot.hosts["web1"].down = "no answer"
    assert (await bot.press(tokens[0], "ben", "m1")).title == "web1 cannot be reached: no answer."
    card = await bot.card(number)
    assert "! ben: web1 cannot be reached: no answer" in card.text
    fresh = await bot.buttons["slack"].lay_out(SLACK, card.buttons, "m1")
    assert (fresh[0] != tokens[0], fresh[1:]) == (True, tokens[1:])
    bot.hosts["web1"].down = ""
    assert (await bot.press(fresh[0], "ben", "m1")).ok


async def test_forged_and_replayed_presses(tmp_path: Path, figure: Callable[[str], None]) -> None:
    """Mutations of real tokens, tokens in another message, channel or chat, of an earlier state, or pressed before."""
    chance = seeded()
    accepted = 0
    async with open_approval_bot(tmp_path, approvals=20) as bot:
        open_one, ended = await bot.ask(), await bot.ask()
        _, good = await shown(bot, open_one, "m1")
        _, gone = await shown(bot, ended, "m2")
        await bot.press(gone[1], "ben", "m2", more=" because no")
        _, used = await shown(bot, open_one, "m3")
        await bot.press(used[0], "ben", "m3")
        await bot.buttons["slack"].lay_out(SLACK, (), "m3")  # the message shows no buttons any more
        before = await bot.audit()
        tried = 0
        for kind in itertools.islice(itertools.cycle(range(8)), FORGERIES):
            token, channel, message, desk = _forged(chance, kind, (good, gone, used), bot)
            try:
                press = await desk.press(token, channel, message)
                # Of an ended request a button may still be one; what it says is refused.
                card = await bot.say(press.command, "cem", platform="slack", press=press.hash)
                accepted += card.ok
            except UserError:
                tried += 1
        assert tried > FORGERIES // 2
        assert (await bot.request_of(open_one)).approvals == (await bot.request_of(open_one)).approvals[:1]
        assert (await bot.deployment(open_one)).awaits_approval
        assert (await bot.deployment(ended)).state is State.CANCELLED
        assert not [row for row in (await bot.audit())[len(before) :] if row.action in {"approve", "cancel"}]
    figure(f"{accepted} of {FORGERIES} forged or replayed accepted")
    assert accepted == 0


def _forged(
    chance: random.Random, kind: int, tokens: tuple[tuple[str, ...], ...], bot: BotUnderTest
) -> tuple[str, str, str, ButtonTokens]:
    """A token that should not work, and where it is pressed."""
    good, gone, used = tokens
    token, slack = chance.choice(good), bot.buttons["slack"]
    elsewhere = {
        3: (token, "slack", chance.choice(["m2", "m3", "", "M1", "m1 "]), slack),
        4: (token, chance.choice(["telegram", "console", "", "SLACK"]), "m1", slack),
        5: (token, "slack", "m1", bot.buttons["telegram"]),
        6: (chance.choice(gone), "slack", "m2", slack),  # of what has ended
        7: (chance.choice(used), "slack", "m3", slack),  # pressed before, or not shown any more
    }
    return elsewhere.get(kind) or (_mutated(chance, kind, token), "slack", "m1", slack)


def _mutated(chance: random.Random, kind: int, token: str) -> str:
    """One character is another one; longer or shorter; made up, also of what no token holds."""
    letters = string.ascii_letters + string.digits + "-_"
    if kind == 0:
        at = chance.randrange(len(token))
        return token[:at] + chance.choice([one for one in letters if one != token[at]]) + token[at + 1 :]
    if kind == 1:
        return chance.choice([token[:-1], token + chance.choice(letters), "", token * 3])
    return "".join(chance.choice(letters + "é\ud800\0 ") for _ in range(chance.randrange(80)))


@pytest.mark.timeout(120 + TOKENS)
async def test_tokens_pressed_by_many_at_once(tmp_path: Path, figure: Callable[[str], None]) -> None:
    """Each of many tokens is pressed fifty times at once, by two who may: each decides once, and none twice."""
    async with open_approval_bot(tmp_path, approvals=2) as bot:
        decisions: Counter[int] = Counter()
        for batch in range(0, TOKENS, 50):
            count = min(50, TOKENS - batch)
            numbers = [await bot.ask() for _ in range(count)]
            for number in numbers:
                _, tokens = await shown(bot, number, f"m{number}")
                people = [("ben", "cem")[press % 2] for press in range(AT_ONCE)]
                said = await asyncio.gather(*(refused(bot, tokens[0], who, f"m{number}") for who in people))
                decisions[number] = said.count("")
                assert set(said) <= {"", "This button was pressed already."}
                assert len((await bot.request_of(number)).approvals) == 1
            await asyncio.gather(*(bot.say(f"cancel #{number}") for number in numbers))
            await asyncio.gather(*map(bot.end_of, numbers))
        approved = await bot.store.read(lambda tables: tables.audit.tail(1_000_000))
        assert sum(row.action == "approve" for row in approved) == len(decisions)
    total = sum(decisions.values())
    figure(f"{len(decisions)} tokens pressed {AT_ONCE} times at once: {total} decisions")
    assert set(decisions.values()) == {1}


@pytest.mark.parametrize("who", [STRANGER, "ana", "eve", "fay"])
async def test_a_token_is_no_right(bot: BotUnderTest, who: str) -> None:
    number = await bot.ask()
    _, tokens = await shown(bot, number, "m1")
    assert await refused(bot, tokens[0], who, "m1")
    assert (await bot.deployment(number)).awaits_approval
    assert (await bot.press(tokens[0], "ben", "m1")).ok


async def test_two_chats_show_it_and_each_button_works_once(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=2) as bot:
        number = await bot.ask()
        _, slack = await shown(bot, number, "m1")
        _, telegram = await shown(bot, number, "77", Channel("telegram", "telegram"))
        said = await asyncio.gather(
            bot.press(slack[0], "ben", "m1"), bot.press(telegram[0], "ben", "77", platform="telegram")
        )
        assert sorted(card.ok for card in said) == [False, True]
        assert len((await bot.request_of(number)).approvals) == 1
