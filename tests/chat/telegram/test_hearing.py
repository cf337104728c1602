"""Who is heard, and where the answer goes: in groups, topics and private; and all that is none of our business."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from itertools import product

import pytest
from telegram import Update

from deploybot.card import Card
from deploybot.command import Context, command
from tests.chat.telegram.conftest import ANA, BEN, CEM, GROUP, HOOK_SECRET, TelegramBot, open_telegram_bot, until
from tests.doubles.telegram import TelegramDouble
from tests.doubles.telegram.limits import FREE
from tests.doubles.telegram.rooms import Json
from tests.kit.command_bot import STRANGER

SUPPORT = {"id": 777000, "is_bot": False, "first_name": "Telegram"}
ANONYMOUS = {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
NEWS = {"id": -1005, "type": "channel", "title": "News"}
SOMEONE = {"type": "hidden_user", "sender_user_name": "someone", "date": 1_700_000_000}


@pytest.mark.parametrize(
    "text",
    [
        "/status",
        "/status@thebot",
        "/STATUS@TheBot",
        "@thebot status",
        "@thebot, status",
        "status @thebot",
        "@thebot /status",
    ],
)
async def test_a_command_in_a_group_is_answered_below_it(telegram: TelegramBot, text: str) -> None:
    number = await telegram.say(ANA, text)
    await telegram.sees("board", GROUP)
    reply = next(call for call in telegram.double.replies if call[0] == GROUP)
    assert reply == (GROUP, number)


@pytest.mark.parametrize("text", ["status", "/status", "@thebot status", "  /status  ", "!status"])
async def test_in_private_no_sign_is_needed(telegram: TelegramBot, text: str) -> None:
    await telegram.ask(ANA, text, "board", ANA)


async def test_a_reply_to_the_bot_is_for_the_bot(telegram: TelegramBot) -> None:
    first = await telegram.ask(ANA, "/status", "board")
    await telegram.say(ANA, "apps", reply_to=first.id)
    await telegram.sees("shop", GROUP)


@pytest.mark.parametrize(
    "text", ["/status@otherbot", "hello", "status", "what does @thebottle do?", "mail me@thebot.org"]
)
async def test_messages_for_others_are_ignored(telegram: TelegramBot, text: str) -> None:
    telegram.double.privacy = False
    await telegram.say(ANA, text)
    await telegram.settled()
    assert telegram.said(GROUP) == []


async def test_mentions_work_in_the_middle_of_a_topic(telegram: TelegramBot) -> None:
    telegram.double.group(GROUP, forum=True, topics=(7, 8))
    await telegram.say(ANA, "/status", thread="7")
    answer = await telegram.sees("board")
    assert answer.thread == "7"
    await telegram.say(ANA, "@thebot help deploy", thread="8")
    assert (await telegram.sees("Deploy a release")).thread == "8"
    await telegram.say(ANA, "/whoami")
    assert (await telegram.sees("ana")).thread == ""


async def test_threads_of_replies_are_no_topics(telegram: TelegramBot) -> None:
    """Outside of forums Telegram numbers threads of replies, too, and refuses those numbers in an answer."""
    await telegram.say(ANA, "/status", fields={"message_thread_id": 99})
    assert (await telegram.sees("board")).thread == ""


async def test_what_was_copied_out_of_a_card_is_understood(telegram: TelegramBot) -> None:
    card = await telegram.ask(ANA, "/frobnicate", "frobnicate")
    await telegram.say(ANA, "/\u2060help deploy")
    assert "deploy shop@v1.4" in (await telegram.sees("Deploy a release to")).text
    assert card.channel == GROUP


IGNORED: dict[str, Json] = {
    "another bot": {"from": {"id": 5, "is_bot": True, "first_name": "Other", "username": "otherbot"}},
    "a channel": {"sender_chat": NEWS},
    "a post of the linked channel": {"sender_chat": NEWS, "from": SUPPORT, "is_automatic_forward": True},
    "a forward": {"forward_origin": SOMEONE},
    "a message through an inline bot": {"via_bot": {"id": 5, "is_bot": True, "first_name": "Other"}},
    "an edit that comes as a message": {"edit_date": 1_900_000_000},
}  # fmt: skip


@pytest.mark.parametrize("who", IGNORED)
async def test_others_are_ignored(telegram: TelegramBot, who: str) -> None:
    for channel in (GROUP, ANA):
        await telegram.say(ANA, "/deploy shop", channel, fields=IGNORED[who])
    await telegram.settled()
    assert telegram.said() == []
    assert telegram.bot.deployments.requests == []
    assert [one.text for one in telegram.received if "deploy" in one.text] == []


@pytest.mark.parametrize("kind", ["edited_message", "channel_post", "edited_channel_post", "business_message"])
async def test_other_kinds_of_updates_are_not_even_asked_for(telegram: TelegramBot, kind: str) -> None:
    await telegram.settled()
    message = telegram.double.group(GROUP).message(telegram.double.user(ANA).json(), "/deploy shop", 0)
    assert telegram.double.inbox.put(kind, message) == 0
    telegram.double.inbox.allowed = ()  # what was sent before the bot said what it wants may still come
    assert telegram.double.inbox.put(kind, message)
    await telegram.settled()
    assert telegram.bot.deployments.requests == []


async def test_an_administrator_who_hides_learns_why_once(telegram: TelegramBot) -> None:
    hidden: Json = {"from": ANONYMOUS, "sender_chat": {"id": int(GROUP), "type": "supergroup", "title": "g"}}
    for _ in range(3):
        await telegram.say(ANA, "/deploy shop", fields=hidden)
    await telegram.sees("Remain anonymous", GROUP)
    await telegram.settled()
    assert len(telegram.said(GROUP)) == 1
    assert telegram.bot.deployments.requests == []
    assert telegram.received[-1].text.startswith("/help")


async def test_strangers_are_reported_in_private_and_in_groups_how_to_be_let_in(telegram: TelegramBot) -> None:
    for channel in (STRANGER, GROUP):
        await telegram.say(STRANGER, "/deploy shop", channel)
        said = await telegram.sees("allow telegram:6666:", channel)
        assert "administrator" in said.text
    assert telegram.bot.deployments.requests == []


async def test_a_name_is_no_identity(telegram: TelegramBot) -> None:
    await telegram.say(
        STRANGER, "/deploy shop", fields={"from": {"id": 6666, "is_bot": False, "first_name": "ana", "username": "ana"}}
    )
    await telegram.sees("allow telegram:6666:ana")
    assert telegram.bot.deployments.requests == []


async def test_a_command_that_waited_while_the_bot_was_away_is_reported_and_not_run() -> None:
    double = TelegramDouble(FREE)
    double.group(GROUP)
    await double.say(BEN, GROUP, "/deploy shop", date=int(time.time()) - 3600)
    await double.say(BEN, GROUP, "/status", date=int(time.time()) - 3600)
    await double.say(BEN, GROUP, "/restart shop", date=int(time.time()) - 60)
    async with open_telegram_bot(double=double) as telegram:
        assert "1 h after it was sent" in (await telegram.sees("so I did not run it", GROUP)).text
        await telegram.sees("board", GROUP)
        await telegram.sees("#1 restart shop", GROUP)
        assert [one.kind for one in telegram.bot.deployments.requests] == ["restart"]


@pytest.mark.parametrize("hook", ["", HOOK_SECRET])
async def test_redelivered_updates_run_once(hook: str) -> None:
    async with open_telegram_bot(hook=hook) as telegram:
        await telegram.settled()
        telegram.double.unkind.twice = 5
        for number in range(5):
            await telegram.say(BEN, f"/deploy shop because of {number}")
            await until(lambda number=number: len(telegram.bot.deployments.requests) == number + 1)  # type: ignore[misc]
        await telegram.settled()
        assert telegram.double.unkind.twice == 0
        assert [one.reason for one in telegram.bot.deployments.requests] == [f"of {number}" for number in range(5)]


async def test_what_was_not_confirmed_before_a_restart_runs_once() -> None:
    """A bot that dies between the two has the update again, from the same Telegram and with the same database."""
    async with open_telegram_bot() as telegram:
        await telegram.ask(BEN, "/deploy shop", "#1 deploy")
        message = telegram.double.rooms[int(GROUP)].messages[1].json
        telegram.bot.restart()
        assert telegram.double.inbox.put("message", message)
        await telegram.settled()
        assert len(telegram.bot.deployments.requests) == 1


async def test_one_slow_command_keeps_nobody_waiting() -> None:
    gate = asyncio.Event()

    @command("dawdle", needs="view")
    async def dawdle(ctx: Context) -> Card:
        """Take a while."""
        del ctx
        await gate.wait()
        return Card(title="done at last")

    async with open_telegram_bot(dawdle.__dict__["__command__"]) as telegram:
        number = await telegram.say(ANA, "/dawdle")
        await telegram.ask(CEM, "/status", "board")
        await until(lambda: (GROUP, number, "👀") in telegram.double.reactions)
        gate.set()
        await telegram.sees("done at last")
        assert [message for _, message, _ in telegram.double.reactions].count(number) == 1


async def test_the_menu_is_set_for_each_kind_of_chat(telegram: TelegramBot) -> None:
    await telegram.settled()
    menus = telegram.double.menus
    assert set(menus) == {"all_private_chats", "all_group_chats", "all_chat_administrators"}
    private, group, admins = (
        menus[name] for name in ("all_private_chats", "all_group_chats", "all_chat_administrators")
    )
    assert {"deploy", "status", "rollback", "claim", "allow"} <= private.keys()
    assert group.keys() <= admins.keys() <= private.keys()
    assert "allow" in admins
    assert "allow" not in group
    assert "claim" not in admins
    assert private["deploy"] == "Deploy a release to an app's servers."


async def test_a_menu_holds_a_hundred_commands_with_names_that_telegram_takes() -> None:
    @command("one", needs="view")
    async def one(_: Context) -> Card:
        """Do one of many things."""
        return Card(title="done")

    made = one.__dict__["__command__"]
    names = ("with-hyphen", *(f"many{one}{two}" for one, two in product("abcdefghijk", repeat=2)))
    async with open_telegram_bot(*(replace(made, name=name, usage=name) for name in names)) as telegram:
        await until(lambda: len(telegram.double.menus) == 3)
        assert {len(menu) for menu in telegram.double.menus.values()} == {100}
        await telegram.ask(ANA, "/with-hyphen", "done")


async def test_start_and_links_to_the_bot_answer_with_help(telegram: TelegramBot) -> None:
    for text in ("/start", "/start unknown-ticket", "/start@thebot"):
        await telegram.ask(ANA, text, "status", ANA)


async def test_the_library_makes_updates_of_what_the_double_sends(telegram: TelegramBot) -> None:
    """So that the tests above fail when the double sends nonsense that the library only seems to read."""
    number = await telegram.say(ANA, "/status@thebot")
    json = telegram.double.rooms[int(GROUP)].messages[int(number)].json
    update = Update.de_json({"update_id": 1, "message": json}, None)
    assert update.message is not None
    assert (update.message.text, update.message.from_user and update.message.from_user.id) == (
        "/status@thebot",
        int(ANA),
    )
