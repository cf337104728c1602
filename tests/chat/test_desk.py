"""Buttons: what is forged, replayed or from elsewhere is worth nothing, and a token decides once."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import string
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from deploybot.card import Button, Card
from deploybot.chat.button_tokens import ButtonTokens
from deploybot.domain import Channel
from deploybot.errors import StoreError, UserError
from tests.kit.command_bot import CommandBot, open_command_bot
from tests.kit.seeds import new_seed

FORGED = int(os.environ.get("N", "10000"))
TOKENS, AT_ONCE = int(os.environ.get("N", "100")), 50
HERE, ELSEWHERE = Channel("console", "c1"), Channel("console", "c2")
DEPLOY = Button("Deploy", "deploy shop@v1.4 to staging")
REJECT = Button("Reject", "cancel #7", danger=True)
STATUS = Button("Status", "status")


@pytest.fixture
async def bot() -> AsyncIterator[CommandBot]:
    async with open_command_bot() as bot:
        yield bot


@dataclass
class Chat:
    """A desk, and the messages that went out from it."""

    bot: CommandBot
    desk: ButtonTokens = field(init=False)
    ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget what is only in memory."""
        self.desk = ButtonTokens(self.bot.store, self.bot.clock, "console")

    async def send(self, *buttons: Button, channel: Channel = HERE) -> tuple[str, tuple[str, ...]]:
        """A message's id, and the tokens it shows."""
        tokens = await self.desk.lay_out(channel, buttons)
        message = str(next(self.ids))
        await self.desk.sent(channel, buttons, tokens, message)
        return message, tokens

    async def click(self, token: str, message: str, who: str = "ana", channel: str = "c1") -> Card | None:
        """Press a button as a chat does; the answer of the real dispatcher."""
        press = await self.desk.press(token, channel, message)
        incoming = self.bot.incoming(press.command, who)
        return await self.bot.dispatcher.handle(replace(incoming, press=press.hash), self.bot.reply)

    async def refused(self, token: str, message: str, channel: str = "c1") -> bool:
        try:
            await self.desk.press(token, channel, message)
        except UserError:
            return True
        return False


@pytest.fixture
def chat(bot: CommandBot) -> Chat:
    return Chat(bot)


async def test_a_press_is_the_command_behind_it(chat: Chat) -> None:
    message, (deploy, _) = await chat.send(DEPLOY, REJECT)
    press = await chat.desk.press(deploy, "c1", message)
    assert press.command == DEPLOY.command
    assert deploy not in press.hash
    assert len(deploy) == 24
    assert set(deploy) <= {*string.ascii_letters, *string.digits, *"-_"}


async def test_no_token_stands_in_the_database(chat: Chat) -> None:
    _, tokens = await chat.send(DEPLOY, REJECT)
    rows = await chat.bot.store.read(lambda tables: [tables.buttons.get(token) for token in tokens])
    assert rows == [None, None]


async def test_forged_and_moved_presses_are_all_refused(chat: Chat) -> None:
    seed = new_seed()
    dice = random.Random(seed)
    good = [await chat.send(DEPLOY, REJECT, STATUS) for _ in range(20)]
    used = await _used(chat)
    gone = await _edited(chat)
    other = ButtonTokens(chat.bot.store, chat.bot.clock, "slack")
    strange = await other.lay_out(HERE, [DEPLOY])
    await other.sent(HERE, [DEPLOY], strange, "1")
    accepted: Counter[str] = Counter()
    kinds = Counter[str]()
    for _ in range(FORGED):
        kind, token, message, channel = _forged(dice, good, used, gone, strange)
        kinds[kind] += 1
        accepted[kind] += not await chat.refused(token, message, channel)
    sys.stdout.write(f"buttons: {accepted.total()} of {FORGED} accepted ({dict(kinds)}), seed={seed}\n")
    assert accepted.total() == 0, accepted
    for message, tokens in good:
        for token in tokens:
            assert (await chat.desk.press(token, "c1", message)).command


Messages = Sequence[tuple[str, Sequence[str]]]


def _forged(
    dice: random.Random, good: Messages, used: Messages, gone: Messages, strange: Sequence[str]
) -> tuple[str, str, str, str]:
    """A kind of forgery, and the token, message and channel of one."""
    message, tokens = dice.choice(good)
    token = dice.choice(tokens)
    kind = dice.choice([*_MUTATIONS, "message", "channel", "no message", "platform", "used", "gone", "random"])
    channel = "c1"
    match kind:
        case "message":
            message = dice.choice([one for one, _ in good if one != message])
        case "channel":
            channel = dice.choice(["c2", "", "C1", "c1 "])
        case "no message":
            message = ""
        case "platform":
            token, message = strange[0], "1"
        case "used" | "gone":
            message, tokens = dice.choice(used if kind == "used" else gone)
            token = dice.choice(tokens)
        case "random":
            token = "".join(dice.choices(string.printable + "é\ud800\0", k=dice.randint(0, 80)))
        case _:
            token = _changed(kind, token, dice)
    return kind, token, message, channel


_MUTATIONS: dict[str, Callable[[str, random.Random], str]] = {
    "cut": lambda token, dice: token[: dice.randrange(len(token))],
    "longer": lambda token, dice: token + dice.choice(["=", " ", "\n", "A", "\0", token]),
    "case": lambda token, dice: dice.choice([token.swapcase(), token.upper(), token.lower()]),
    "one other": lambda token, dice: _with(token, dice.randrange(len(token)), dice.choice("!+/é")),
    "turned": lambda token, _: token[::-1],
    "in front": lambda token, dice: dice.choice([" ", "a", "\ufeff"]) + token,
}


def _changed(kind: str, token: str, dice: random.Random) -> str:
    made = _MUTATIONS[kind](token, dice)
    return made if made != token else made + "x"


def _with(token: str, at: int, letter: str) -> str:
    return token[:at] + letter + token[at + 1 :]


async def _used(chat: Chat) -> Messages:
    """Messages whose button has decided already."""
    made = [await chat.send(DEPLOY) for _ in range(5)]
    for message, (token,) in made:
        await chat.click(token, message)
    return made


async def _edited(chat: Chat) -> Messages:
    """Messages that do not show their buttons any more: the tokens they had."""
    made = [await chat.send(DEPLOY, REJECT) for _ in range(5)]
    for message, _ in made:
        await chat.desk.lay_out(HERE, [STATUS], message)
    return made


async def test_tokens_pressed_fifty_times_at_once_decide_once_each(chat: Chat) -> None:
    sent = [await chat.send(DEPLOY) for _ in range(TOKENS)]
    answers: Counter[str] = Counter()
    begun = time.monotonic()

    async def hammer(message: str, token: str) -> None:
        async def one() -> None:
            try:
                card = await chat.click(token, message)
            except UserError as error:
                answers[error.sentence] += 1
            else:
                assert card is not None
                answers["decided" if card.ok else card.title] += 1

        await asyncio.gather(*(one() for _ in range(AT_ONCE)))

    for some in _batches(sent, 20):
        await asyncio.gather(*(hammer(message, token) for message, (token,) in some))
    took = time.monotonic() - begun
    sys.stdout.write(f"buttons: {TOKENS} pressed {AT_ONCE} times: {len(chat.bot.deployments.requests)}, {took:.0f} s\n")
    assert len(chat.bot.deployments.requests) == TOKENS
    assert answers == {"decided": TOKENS, "This button was pressed already.": TOKENS * (AT_ONCE - 1)}


def _batches(sent: Messages, size: int) -> list[Messages]:
    return [sent[at : at + size] for at in range(0, len(sent), size)]


async def test_a_press_without_the_right_does_not_use_a_token_up(chat: Chat) -> None:
    message, (token,) = await chat.send(DEPLOY)
    for who in ("eve", "cem", "6666"):
        card = await chat.click(token, message, who)
        assert card is not None
        assert not card.ok
    assert chat.bot.deployments.requests == []
    await chat.click(token, message, "ben")
    assert [one.by for one in chat.bot.deployments.requests] == ["ben"]
    assert await chat.refused(token, message)


async def test_what_only_looks_can_be_pressed_again(chat: Chat) -> None:
    message, (token,) = await chat.send(STATUS)
    for _ in range(3):
        card = await chat.click(token, message, "cem")
        assert card is not None
        assert card.ok


async def test_a_bot_that_died_before_it_knew_its_message(chat: Chat) -> None:
    (token,) = await chat.desk.lay_out(HERE, [DEPLOY])
    chat.restart()
    assert await chat.refused(token, "77", "c2")
    assert await chat.refused(token, "")
    assert (await chat.desk.press(token, "c1", "77")).command == DEPLOY.command
    assert await chat.refused(token, "78")


async def test_a_restart_leaves_what_is_shown_in_force(chat: Chat) -> None:
    message, (deploy, reject) = await chat.send(DEPLOY, REJECT)
    chat.restart()
    assert (await chat.desk.press(deploy, "c1", message)).command == DEPLOY.command
    (newer,) = await chat.desk.lay_out(HERE, [DEPLOY], message)
    assert await chat.refused(reject, message)
    assert (await chat.desk.press(newer, "c1", message)).command == DEPLOY.command


async def test_an_edit_keeps_the_tokens_of_buttons_that_stay(chat: Chat) -> None:
    message, (deploy, reject) = await chat.send(DEPLOY, REJECT)
    again = await chat.desk.lay_out(HERE, [REJECT, STATUS], message)
    assert again[0] == reject
    assert await chat.refused(deploy, message)
    assert (await chat.desk.press(again[1], "c1", message)).command == STATUS.command


async def test_a_button_that_stays_after_it_was_used_works_anew(chat: Chat) -> None:
    message, (token,) = await chat.send(DEPLOY)
    await chat.click(token, message)
    (newer,) = await chat.desk.lay_out(HERE, [DEPLOY], message)
    assert newer != token
    await chat.click(newer, message, "ben")
    assert len(chat.bot.deployments.requests) == 2


async def test_buttons_end_with_their_month(chat: Chat) -> None:
    message, (token,) = await chat.send(DEPLOY)
    chat.bot.clock.advance(30 * 86400 + 1)
    assert await chat.refused(token, message)


async def test_an_edit_that_changes_no_button_needs_no_database(chat: Chat) -> None:
    message, _ = await chat.send()
    chat.bot.store.full = "the disk is full"
    assert await chat.desk.lay_out(HERE, [], message) == ()
    with pytest.raises(StoreError):
        await chat.desk.lay_out(HERE, [DEPLOY], message)


async def test_a_full_disk_does_not_keep_people_from_looking(chat: Chat) -> None:
    message, (token,) = await chat.send(STATUS)
    chat.bot.store.full = "the disk is full"
    card = await chat.click(token, message)
    assert card is not None
    assert card.ok


async def test_it_remembers_a_bounded_number_of_messages(chat: Chat) -> None:
    chat.desk = ButtonTokens(chat.bot.store, chat.bot.clock, "console", remember=10)
    for _ in range(30):
        await chat.send(DEPLOY)
    assert len(chat.desk._shown) == 10
