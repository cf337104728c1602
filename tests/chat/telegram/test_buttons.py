"""Buttons: they run their command once, through dispatch, for whom they ask; forged ones do nothing at all."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections.abc import Sequence

import pytest

from deploybot.card import Button, Card
from deploybot.chat.telegram.inline_keyboard import data_of, keyboard, read_data
from deploybot.chat.telegram.telegram_incoming import holds_code
from deploybot.command import Command, Context, command
from deploybot.errors import UserError
from tests.chat.telegram.conftest import ANA, BEN, CEM, GROUP, TelegramBot, channel, open_telegram_bot, until
from tests.doubles.telegram.double import Pressed
from tests.doubles.timeline import Post
from tests.kit.command_bot import STRANGER

FORGERIES = int(os.environ.get("N", "300"))
CARD = Card(
    title="#42 waits for approval",
    key="deployment:42",
    final=False,
    buttons=(
        Button("Deploy", "deploy shop because of a button"),
        Button("Look", "status"),
        Button("Reject", "deploy shop to staging", danger=True, asks="Why do you reject it?"),
        Button("Approve", "confirm #42", asks="Your one-time code?", asks_code=True),
    ),
)


@command("confirm <number> [code <code>]", needs="view")
async def confirm(ctx: Context, number: str, code: str = "") -> Card:
    """Confirm with a code."""
    return Card(title=f"confirmed {number} with {code}", text=ctx.incoming.press[:8])


CONFIRM: Command = confirm.__dict__["__command__"]


async def shown(telegram: TelegramBot, card: Card = CARD, chat: str = GROUP) -> Post:
    """The card in a channel."""
    telegram.double.group(chat) if chat.startswith("-") else telegram.double.user(chat)
    number = await telegram.chat.send(channel(chat), card)
    return next(post for post in telegram.double.timeline.posts if (post.channel, post.id) == (chat, number))


async def test_a_button_runs_its_command_once_as_the_one_who_presses(telegram: TelegramBot) -> None:
    card = await shown(telegram)
    await telegram.double.press(BEN, card, "Deploy")
    await telegram.sees("#1 deploy shop", GROUP)
    (asked,) = telegram.bot.deployments.requests
    assert (asked.by, asked.reason) == ("ben", "of a button")
    assert telegram.received[-1].press
    again = await telegram.double.send_press(BEN, card, card.buttons[0].value)
    await again.done.wait()
    assert len(telegram.bot.deployments.requests) == 1


async def test_every_press_is_answered(telegram: TelegramBot) -> None:
    card = await shown(telegram)
    for label in ("Look", "Deploy"):
        await telegram.double.press(BEN, card, label)
    await answered([*telegram.double.pressed.values()])


async def test_a_press_that_takes_a_while_is_answered_before_it_is_done() -> None:
    gate = asyncio.Event()

    @command("dawdle", needs="view")
    async def dawdle(ctx: Context) -> Card:
        """Take a while."""
        del ctx
        await gate.wait()
        raise UserError("It did not work out.")

    async with open_telegram_bot(dawdle.__dict__["__command__"]) as telegram:
        card = await shown(telegram, Card(title="t", buttons=(Button("Go", "dawdle"),)))
        pressed = await telegram.double.send_press(BEN, card, card.buttons[0].value)
        await answered([pressed])
        assert pressed.text == ""
        gate.set()
        await telegram.sees("It did not work out.", GROUP)


async def test_an_answer_that_never_arrives_is_no_reason_not_to_obey(telegram: TelegramBot) -> None:
    card = await shown(telegram)
    telegram.double.unkind_to = frozenset({"answerCallbackQuery"})
    telegram.double.unkind.broken = 100
    pressed = await telegram.double.send_press(BEN, card, card.buttons[0].value)
    await telegram.sees("#1 deploy shop", GROUP)
    refused = await telegram.double.send_press(CEM, card, card.buttons[0].value)
    await telegram.sees("pressed already", GROUP)
    telegram.double.unkind.broken = 0
    pressed.answered = refused.answered = True  # Telegram did not let it


async def test_an_answer_that_fails_is_given_again(telegram: TelegramBot) -> None:
    card = await shown(telegram)
    telegram.double.unkind_to = frozenset({"answerCallbackQuery"})
    telegram.double.unkind.broken = 2
    pressed = await telegram.double.send_press(STRANGER, card, card.buttons[0].value)
    await answered([pressed])
    assert pressed.alert


async def test_only_the_person_who_may_not_sees_the_refusal(telegram: TelegramBot) -> None:
    card = await shown(telegram)
    for user in (CEM, STRANGER):
        pressed = await telegram.double.send_press(user, card, card.buttons[0].value)
        await answered([pressed])
        assert pressed.alert
        assert 0 < len(pressed.text) <= 200
    assert telegram.said() == [card.text]
    assert telegram.bot.deployments.requests == []


async def test_what_was_asked_of_one_person_is_answered_by_them_alone(telegram: TelegramBot) -> None:
    card = await telegram.ask(BEN, "/deploy wiki", "wiki")
    typo = await telegram.ask(BEN, "/deploy shpo", "did you mean")
    assert card.channel == typo.channel == GROUP
    (choice,) = typo.buttons
    pressed = await telegram.double.send_press(ANA, typo, choice.value)
    await answered([pressed])
    assert "someone else" in pressed.text
    assert pressed.alert
    assert telegram.bot.deployments.requests == []
    await telegram.double.press(BEN, typo, choice.label)
    await telegram.sees("#1 deploy shop", GROUP)
    assert [one.by for one in telegram.bot.deployments.requests] == ["ben"]


async def test_a_reason_is_asked_of_who_pressed_and_nobody_else_can_give_it(telegram: TelegramBot) -> None:
    card = await shown(telegram)
    await telegram.double.press(BEN, card, "Reject")
    question = await telegram.sees("Why do you reject it?", GROUP)
    await telegram.say(ANA, "because I say so", reply_to=question.id)
    await telegram.sees("was for someone else", GROUP)
    assert telegram.bot.deployments.requests == []
    await telegram.say(BEN, "the numbers are wrong, /deploy blog", reply_to=question.id)
    await telegram.sees("#1 deploy shop in staging", GROUP)
    (asked,) = telegram.bot.deployments.requests
    assert asked.reason == "the numbers are wrong, /deploy blog"
    await telegram.say(BEN, "once more", reply_to=question.id)
    await until(lambda: sum("that question has expired" in text.lower() for text in telegram.said()) == 2)
    assert len(telegram.bot.deployments.requests) == 1


async def test_the_person_who_presses_learns_what_is_in_the_way(telegram: TelegramBot) -> None:
    card = await shown(telegram)
    telegram.double.unkind.too_many = 1
    pressed = await telegram.double.send_press(BEN, card, card.buttons[2].value)
    await answered([pressed])
    assert "cannot ask" in pressed.text
    telegram.bot.store.gone = "the disk is gone"
    pressed = await telegram.double.send_press(BEN, card, card.buttons[0].value)
    await answered([pressed])
    assert "database does not answer" in pressed.text
    assert "disk" not in pressed.text
    telegram.bot.store.gone = ""


async def test_the_question_stands_in_the_topic_of_its_card(telegram: TelegramBot) -> None:
    telegram.double.group(GROUP, forum=True, topics=(7,))
    number = await telegram.chat.send(channel(thread="7"), CARD)
    card = next(post for post in telegram.double.timeline.posts if post.id == number)
    await telegram.double.press(BEN, card, "Reject", answer="no")
    assert (await telegram.sees("Why do you reject it?")).thread == "7"
    assert (await telegram.sees("#1 deploy shop in staging")).thread == "7"


async def test_in_a_channel_where_nobody_can_reply_the_reason_is_asked_in_private(telegram: TelegramBot) -> None:
    telegram.double.group(GROUP, kind="channel")
    card = await shown(telegram)
    await telegram.double.press(BEN, card, "Reject", answer="no")
    assert (await telegram.sees("Why do you reject it?")).channel == BEN
    await telegram.sees("#1 deploy shop in staging", GROUP)


async def test_a_question_nobody_answers_is_closed() -> None:
    async with open_telegram_bot(answer_within=0.2) as telegram:
        card = await shown(telegram)
        await telegram.double.press(BEN, card, "Reject")
        question = await telegram.sees("Why do you reject it?", GROUP)
        await telegram.sees("No answer came", GROUP)
        await telegram.say(BEN, "too late", reply_to=question.id)
        await telegram.sees("That question has expired", GROUP)
        assert telegram.bot.deployments.requests == []


async def test_a_code_is_asked_in_private_and_taken_out_of_the_chat() -> None:
    async with open_telegram_bot(CONFIRM) as telegram:
        card = await shown(telegram)
        await telegram.double.press(BEN, card, "Approve", answer="123 456")
        question = await telegram.sees("Your one-time code?")
        assert question.channel == BEN
        await telegram.sees("confirmed #42 with 123456", GROUP)
        await until(lambda: not any("123 456" in post.text for post in telegram.double.timeline.posts))


async def test_a_code_is_asked_once_the_private_chat_is_open() -> None:
    async with open_telegram_bot(CONFIRM) as telegram:
        card = await shown(telegram)
        telegram.double.user(BEN, started=False)
        await telegram.double.press(BEN, card, "Approve", answer="654321")
        await telegram.sees("confirmed #42 with 654321", GROUP)


async def test_a_link_to_a_question_is_no_use_to_others() -> None:
    async with open_telegram_bot(CONFIRM) as telegram:
        card = await shown(telegram)
        telegram.double.user(BEN, started=False)
        pressed = await telegram.double.send_press(BEN, card, card.buttons[3].value)
        await answered([pressed])
        ticket = pressed.url.rpartition("=")[2]
        await telegram.ask(ANA, f"/start {ticket}", "help", ANA)
        assert not any("Your one-time code?" in text for text in telegram.said(ANA))


async def test_a_code_typed_in_a_group_is_taken_out_where_the_bot_may() -> None:
    async with open_telegram_bot(CONFIRM) as telegram:
        for may in (True, False):
            telegram.double.group(GROUP).may_delete = may
            await telegram.say(BEN, "/confirm #7 code 123456")
            await telegram.sees("confirmed #7 with 123456", GROUP)
            await until(lambda: "deleteMessage" in telegram.double.calls)
            telegram.double.calls.clear()
            await until(lambda may=may: ("code 123456" in telegram.all_text()) is not may)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("/approve #7 code 123456", True),
        ("/totp 123 456", True),
        ("/deploy shop@v1 to production --break-glass code 123456 because the shop is down", True),
        ("/deploy shop@v1 to production code 123 456 --break-glass\nBecause it is down", True),
        ("/reject #7 because it is down code 123456", True),
        ("/reject #7 because code 500123 is shown", False),
        ("/deploy shop@v1", False),
        ("/deploy shop@code 12345", False),
    ],
)
def test_what_holds_a_code(text: str, holds: bool) -> None:
    assert holds_code(text) is holds


@pytest.mark.parametrize("too_late", [True, False])
async def test_a_press_from_while_the_bot_was_away_is_reported_and_not_obeyed(too_late: bool) -> None:
    """A press has no time of its own; whether Telegram still takes its answer tells how long it has waited."""
    async with open_telegram_bot(started=False) as telegram:
        card = await shown(telegram)
        telegram.double.press_life = 0.0 if too_late else 15.0
        pressed = await telegram.double.send_press(BEN, card, card.buttons[0].value)
        await telegram.chat.start()
        await telegram.sees("while I was offline" if too_late else "#1 deploy", GROUP)
        await telegram.settled()
        assert len(telegram.bot.deployments.requests) == (not too_late)
        assert pressed.answered is not too_late
        pressed.answered = True  # it could not be


def mutations(dice: random.Random, token: str) -> tuple[str, ...]:
    """What a forger may send for a token."""
    other = dice.choice([sign for sign in "ABCDabcd0123" if sign != token[-1]])
    words = "deploy shop"[: dice.randint(0, 11)] + dice.choice(["", "\0", "💥", "?", "!", "#", "' OR 1=1 --"])
    signs = (f"{token[:-2]}?{token[-1]}", f"{token[:-2]}!{BEN}", f"{token[1:]}#")
    return (f"{token[:-1]}{other}", token[:-1], f"{token}A", token.swapcase(), secrets.token_urlsafe(18), words, *signs)


async def answered(presses: Sequence[Pressed]) -> None:
    async with asyncio.timeout(10):
        for pressed in presses:
            await pressed.done.wait()


async def test_forged_presses_do_nothing(telegram: TelegramBot, capsys: pytest.CaptureFixture[str]) -> None:
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    here, other = await shown(telegram), await shown(telegram, CARD, "-1001000000002")
    token = here.buttons[0].value
    presses = []
    for number in range(FORGERIES):
        elsewhere = number % 4 == 0
        value = token if elsewhere else dice.choice(mutations(dice, token))
        presses.append(await telegram.double.send_press(dice.choice([ANA, BEN]), other if elsewhere else here, value))
        if len(presses) % 100 == 0:
            await answered(presses[-100:])
    await answered(presses)
    refusals = ("does not work any more", "question is for someone else")
    accepted = sum(not any(refusal in pressed.text for refusal in refusals) for pressed in presses)
    with capsys.disabled():
        print(f" seed {seed}: {accepted} of {len(presses)} forged presses were accepted", end="")  # noqa: T201  it is told to whoever runs it
    assert (accepted, telegram.bot.deployments.requests, telegram.received) == (0, [], [])


async def test_one_button_pressed_fifty_times_at_once_is_one_deployment(telegram: TelegramBot) -> None:
    card = await shown(telegram)
    await answered([await telegram.double.send_press(BEN, card, card.buttons[0].value) for _ in range(50)])
    await telegram.settled()
    assert len(telegram.bot.deployments.requests) == 1


@pytest.mark.parametrize("signs", ["a", "ä", "💥", "Ж", "\u202e"])
def test_the_data_of_a_button_keeps_to_its_64_bytes_and_is_read_back(signs: str) -> None:
    token = secrets.token_urlsafe(18)
    for length in range(70):
        for code in (False, True):
            data = data_of(Button("x", "y", asks=signs * length + "?", asks_code=code), token)
            assert len(data.encode()) <= 64
            assert (read_data(data).token, read_data(data).asks) == (token, "code" if code else "because")
    assert read_data(data_of(Button("x", "y"), token, "9" * 19)).owner == "9" * 19
    assert read_data(data_of(Button("x", "y"), token)).token == token


def test_many_buttons_with_long_labels_fit_into_a_keyboard() -> None:
    buttons = [Button("long label " * 20, f"command {number}", danger=number == 1) for number in range(200)]
    made = keyboard(buttons, ["t" * 24] * 200)
    assert made is not None
    rows = made.inline_keyboard
    assert sum(map(len, rows)) == 90
    assert max(map(len, rows)) <= 8


async def test_a_missing_reason_is_asked_of_who_typed_the_command(telegram: TelegramBot) -> None:
    question = await telegram.ask(BEN, "/lock shop staging", "`lock shop staging` needs a reason. Why?")
    assert question.buttons == ()
    await telegram.say(ANA, "because I say so", reply_to=question.id)
    await telegram.sees("was for someone else", GROUP)
    await telegram.say(BEN, "we measure, /deploy blog", reply_to=question.id)
    await telegram.sees("shop/staging is locked by ben until somebody unlocks it: “we measure, /deploy blog”.", GROUP)


async def test_the_picker_before_a_question_loses_its_buttons(telegram: TelegramBot) -> None:
    picker = await telegram.ask(BEN, "/lock shop ?", "Which environment of shop?")
    await telegram.double.press(BEN, picker, "staging")
    question = await telegram.sees("needs a reason. Why?", GROUP)
    shown_now = next(post for post in telegram.double.timeline.posts if post.id == picker.id)
    assert (shown_now.buttons, "needs a reason" in shown_now.text) == ((), True)
    await telegram.say(BEN, "we measure", reply_to=question.id)
    await telegram.sees("shop/staging is locked by ben", GROUP)


async def test_a_question_for_a_reason_that_nobody_answers_is_closed() -> None:
    async with open_telegram_bot(answer_within=0.2) as telegram:
        question = await telegram.ask(BEN, "/lock shop staging", "needs a reason. Why?", BEN)
        await telegram.sees("Send the command again.", BEN)
        await telegram.say(BEN, "too late", BEN, reply_to=question.id)
        await telegram.sees("That question has expired", BEN)
        assert not (await telegram.bot.say("unlock shop staging", "ben")).title.endswith("is unlocked.")
