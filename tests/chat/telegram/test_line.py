"""The line to Telegram: dead connections, refused tokens, rivals, webhooks, and updates that nobody can read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import ClientSession

from deploybot.chat.telegram import telegram_chat, telegram_connection
from deploybot.chat.telegram.telegram_connection import PATH
from tests.chat.telegram.conftest import ANA, BEN, GROUP, HASTY, HOOK_SECRET, TelegramBot, open_telegram_bot, until
from tests.doubles.telegram.inbox import Webhook

POLLS = frozenset({"getUpdates"})


async def ill(telegram: TelegramBot, what: str) -> None:
    await until(lambda: what in telegram.chat.problem)


async def well(telegram: TelegramBot) -> None:
    await until(lambda: not telegram.chat.problem)


async def test_a_bot_that_listens_is_well(telegram: TelegramBot) -> None:
    assert telegram.chat.problem == ""
    await telegram.settled()
    assert telegram.double.calls.count("getMe") == 1
    assert telegram.double.calls.count("setMyCommands") == 3


async def test_long_polls_are_long() -> None:
    async with open_telegram_bot(timeouts=replace(HASTY, poll=20.0)) as telegram:
        await asyncio.sleep(0.5)
        assert telegram.double.inbox.polls <= 3


async def test_a_menu_that_has_to_wait_keeps_nobody_waiting() -> None:
    async with open_telegram_bot(started=False) as telegram:
        telegram.double.unkind_to = frozenset({"setMyCommands"})
        telegram.double.unkind.too_many = 1
        telegram.double.unkind.retry_after = 3.0
        await telegram.chat.start()
        await telegram.ask(ANA, "/status", "board")
        assert len(telegram.double.menus) < 3
        await until(lambda: len(telegram.double.menus) == 3, within=30)


async def test_listening_that_has_ended_is_the_problem(
    telegram: TelegramBot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Exception) -> float:
        raise RuntimeError("a bug")

    monkeypatch.setattr(telegram.chat._line, "_trouble", broken)
    telegram.double.unkind_to = POLLS
    telegram.double.unkind.broken = 1
    await telegram.say(BEN, "/deploy shop")  # ends the poll that was open; its successor fails
    await until(lambda: "has stopped" in telegram.chat.problem)
    assert "RuntimeError: a bug" in caplog.text


@pytest.mark.parametrize("how", ["broken", "dropped", "too_many", "silent"])
async def test_a_poll_that_fails_is_begun_anew(telegram: TelegramBot, how: str) -> None:
    """A silent one is the connection that is up and dead: it has as long as a poll may take, and no longer."""
    telegram.double.unkind_to = POLLS
    setattr(telegram.double.unkind, how, 2 if how == "broken" else 1)
    await telegram.say(BEN, "/deploy shop")  # ends the poll that was open; its successor fails
    await telegram.sees("#1 deploy", GROUP)
    await until(lambda: getattr(telegram.double.unkind, how) == 0)
    await telegram.say(BEN, "/deploy shop because it goes on")
    await telegram.sees("#2 deploy", GROUP)
    await well(telegram)
    assert len(telegram.bot.deployments.requests) == 2


async def test_a_telegram_that_is_away_is_reported_and_found_again(
    telegram: TelegramBot, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        await telegram.double.close()
        await ill(telegram, "Telegram cannot be reached")
        await asyncio.sleep(0.5)
        await telegram.double.start()
        await well(telegram)
        await telegram.ask(ANA, "/status", "board")
    assert telegram.double.token not in caplog.text
    assert caplog.text.count("Telegram cannot be reached") <= 2
    assert "Telegram answers again" in caplog.text


async def test_a_bot_that_starts_before_telegram_does_not_give_up() -> None:
    async with open_telegram_bot(started=False) as telegram:
        await telegram.double.close()
        await telegram.chat.start()
        await ill(telegram, "Telegram cannot be reached")
        await telegram.double.start()
        await telegram.ask(ANA, "/status", "board")


async def test_a_revoked_token_is_one_clear_line(telegram: TelegramBot, caplog: pytest.LogCaptureFixture) -> None:
    token = telegram.double.token
    with caplog.at_level(logging.INFO):
        telegram.double.token = "1:revoked"
        await ill(telegram, "rejected the bot's token")
        polls = telegram.double.calls.count("deleteWebhook")
        await until(lambda: telegram.double.calls.count("deleteWebhook") > polls + 1)
    assert caplog.text.count("rejected the bot's token") == 1
    assert "@BotFather" in telegram.chat.problem
    assert token not in caplog.text + telegram.chat.problem
    telegram.double.token = token
    await well(telegram)
    await telegram.ask(ANA, "/status", "board")


async def test_a_token_that_was_never_right_is_reported() -> None:
    async with open_telegram_bot(started=False) as telegram:
        telegram.double.token, right = "1:another", telegram.double.token
        await telegram.chat.start()
        await ill(telegram, "rejected the bot's token")
        telegram.double.token = right
        await telegram.ask(ANA, "/status", "board")


@asynccontextmanager
async def rival(telegram: TelegramBot) -> AsyncIterator[None]:
    """Another program that polls with the same token, as often as it can."""

    async def poll() -> None:
        async with ClientSession() as session:
            while True:
                url = f"{telegram.double.api_url}/bot{telegram.double.token}/getUpdates"
                async with session.post(url, data={"timeout": "2", "limit": "1"}) as answer:
                    await answer.read()
                await asyncio.sleep(0.05)

    task = asyncio.create_task(poll())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_two_pollers_are_reported_until_one_goes(telegram: TelegramBot, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with rival(telegram):
            await ill(telegram, "Another program polls Telegram")
            for _ in range(10):
                await asyncio.sleep(0.08)
                assert "Another program" in telegram.chat.problem
        await well(telegram)
    assert caplog.text.count("Another program polls Telegram") == 1
    await telegram.ask(ANA, "/status", "board")


async def test_a_webhook_that_somebody_set_is_taken_away(telegram: TelegramBot) -> None:
    telegram.double.inbox.deliver(Webhook("http://127.0.0.1:9/elsewhere"))
    await telegram.ask(ANA, "/status", "board")
    await well(telegram)
    assert telegram.double.inbox.webhook.url == ""


async def test_an_update_that_cannot_be_read_is_stepped_over(
    telegram: TelegramBot, caplog: pytest.LogCaptureFixture
) -> None:
    telegram.double.group(GROUP)
    with caplog.at_level(logging.ERROR):
        unread = telegram.double.inbox.put("message", {"message_id": "not a message"})
        await telegram.ask(ANA, "/status", "board")
        await until(lambda: unread in telegram.double.inbox.confirmed)
    assert "an update that I cannot read" in caplog.text
    assert telegram.chat.problem == ""


async def test_what_was_received_is_confirmed_when_the_bot_leaves() -> None:
    async with open_telegram_bot() as telegram:
        await telegram.ask(BEN, "/deploy shop", "#1 deploy")
    assert telegram.double.inbox.pending == 0


async def test_leaving_ends_whatever_hangs() -> None:
    async with open_telegram_bot(timeouts=replace(HASTY, poll=60.0)) as telegram:
        telegram.double.unkind_to = frozenset({"getUpdates", "sendMessage"})
        telegram.double.unkind.silent = 100
        await telegram.say(ANA, "/status")
        await until(lambda: telegram.double.unkind.silent <= 98)
        async with asyncio.timeout(10.0):  # a poll would hang for a minute, an answer for ten seconds at least
            await telegram.chat.close()


def test_leaving_takes_no_longer_than_five_seconds() -> None:
    last_poll = telegram_connection._LAST_POLL_WITHIN
    assert last_poll + telegram_chat._STOP_WITHIN + telegram_chat._LET_GO_WITHIN * 1.5 <= 5.0


# By webhook


async def post(telegram: TelegramBot, body: bytes, *secrets: str) -> int:
    """What the bot answers to something that comes to its webhook."""
    headers = [("X-Telegram-Bot-Api-Secret-Token", secret) for secret in secrets]
    url = telegram.double.inbox.webhook.url
    async with ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        return answer.status


async def test_updates_come_by_webhook_with_their_secret() -> None:
    async with open_telegram_bot(hook=HOOK_SECRET) as telegram:
        assert telegram.double.inbox.webhook.url.endswith(PATH)
        assert HOOK_SECRET not in telegram.double.inbox.webhook.secret
        await telegram.ask(ANA, "/status", "board")
        await telegram.ask(BEN, "/deploy shop", "#1 deploy")
        assert telegram.double.inbox.polls == 0
        await well(telegram)


async def test_forged_webhooks_are_refused() -> None:
    update = b'{"update_id": 7, "message": {}}'
    async with open_telegram_bot(hook=HOOK_SECRET) as telegram:
        right = telegram.double.inbox.webhook.secret
        forgeries = [
            (),
            ("",),
            (right[:-1],),
            (right + "0",),
            (right.upper(),),
            (HOOK_SECRET,),
            (right, right),
            ("\u00e9",),
        ]
        for forged in forgeries:
            assert await post(telegram, update, *forged) == 403
        for nonsense in (b"", b"{", b"[]", b"7", b'{"no": "id"}', b"\xff"):
            assert await post(telegram, nonsense, right) == 400
        assert await post(telegram, update, right) == 200
        assert telegram.received == []


async def test_a_webhook_that_somebody_else_set_is_set_again() -> None:
    async with open_telegram_bot(hook=HOOK_SECRET) as telegram:
        ours = telegram.double.inbox.webhook
        telegram.double.inbox.deliver(replace(ours, url="http://127.0.0.1:9/elsewhere"))
        await until(lambda: telegram.double.inbox.webhook.url == ours.url)
        await telegram.ask(ANA, "/status", "board")


async def test_a_proxy_that_does_not_let_updates_through_is_reported() -> None:
    patience = replace(HASTY, look=0.1)
    async with open_telegram_bot(hook=HOOK_SECRET, timeouts=patience) as telegram:
        hook = telegram.double.inbox.webhook
        hook.secret, right = "", hook.secret  # as if a proxy took the header away
        await telegram.say(ANA, "/status")
        await ill(telegram, "Telegram cannot deliver to")
        assert "reverse proxy" in telegram.chat.problem
        hook.secret = right
        await telegram.sees("board")
        await well(telegram)
