"""The line to Telegram: dead connections, refused tokens, rivals, webhooks, and updates that nobody can read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import ClientSession

from deploybot.chat.telegram.telegram_connection import PATH
from tests.chat.telegram.conftest import ANA, BEN, GROUP, HASTY, HOOK_SECRET, Town, open_town, until
from tests.doubles.telegram.inbox import Webhook

POLLS = frozenset({"getUpdates"})


async def ill(town: Town, what: str) -> None:
    await until(lambda: what in town.chat.problem)


async def well(town: Town) -> None:
    await until(lambda: not town.chat.problem)


async def test_a_bot_that_listens_is_well(town: Town) -> None:
    assert town.chat.problem == ""
    await town.settled()
    assert town.double.calls.count("getMe") == 1
    assert town.double.calls.count("setMyCommands") == 3


async def test_long_polls_are_long(town: Town) -> None:
    await asyncio.sleep(0.5)
    assert town.double.inbox.polls <= 3


async def test_a_menu_that_has_to_wait_keeps_nobody_waiting() -> None:
    async with open_town(started=False) as town:
        town.double.unkind_to = frozenset({"setMyCommands"})
        town.double.unkind.too_many = 1
        await town.chat.start()
        await town.ask(ANA, "/status", "board")
        assert len(town.double.menus) < 3
        await until(lambda: len(town.double.menus) == 3)


@pytest.mark.parametrize("how", ["broken", "dropped", "too_many", "silent"])
async def test_a_poll_that_fails_is_begun_anew(town: Town, how: str) -> None:
    """A silent one is the connection that is up and dead: it has as long as a poll may take, and no longer."""
    town.double.unkind_to = POLLS
    setattr(town.double.unkind, how, 2 if how == "broken" else 1)
    await town.say(BEN, "/deploy shop")  # ends the poll that was open; its successor fails
    await town.sees("#1 deploy", GROUP)
    await until(lambda: getattr(town.double.unkind, how) == 0)
    await town.say(BEN, "/deploy shop because it goes on")
    await town.sees("#2 deploy", GROUP)
    await well(town)
    assert len(town.bot.deployments.asked) == 2


async def test_a_telegram_that_is_away_is_told_and_found_again(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await town.double.close()
        await ill(town, "Telegram cannot be reached")
        await asyncio.sleep(0.5)
        await town.double.start()
        await well(town)
        await town.ask(ANA, "/status", "board")
    assert town.double.token not in caplog.text
    assert caplog.text.count("Telegram cannot be reached") <= 2
    assert "Telegram answers again" in caplog.text


async def test_a_bot_that_starts_before_telegram_does_not_give_up() -> None:
    async with open_town(started=False) as town:
        await town.double.close()
        await town.chat.start()
        await ill(town, "Telegram cannot be reached")
        await town.double.start()
        await town.ask(ANA, "/status", "board")


async def test_a_revoked_token_is_one_clear_line(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    token = town.double.token
    with caplog.at_level(logging.INFO):
        town.double.token = "1:revoked"
        await ill(town, "rejected the bot's token")
        polls = town.double.calls.count("deleteWebhook")
        await until(lambda: town.double.calls.count("deleteWebhook") > polls + 1)
    assert caplog.text.count("rejected the bot's token") == 1
    assert "@BotFather" in town.chat.problem
    assert token not in caplog.text + town.chat.problem
    town.double.token = token
    await well(town)
    await town.ask(ANA, "/status", "board")


async def test_a_token_that_was_never_right_is_told() -> None:
    async with open_town(started=False) as town:
        town.double.token, right = "1:another", town.double.token
        await town.chat.start()
        await ill(town, "rejected the bot's token")
        town.double.token = right
        await town.ask(ANA, "/status", "board")


@asynccontextmanager
async def rival(town: Town) -> AsyncIterator[None]:
    """Another program that polls with the same token, as often as it can."""

    async def poll() -> None:
        async with ClientSession() as session:
            while True:
                url = f"{town.double.api_url}/bot{town.double.token}/getUpdates"
                async with session.post(url, data={"timeout": "2", "limit": "1"}) as answer:
                    await answer.read()
                await asyncio.sleep(0.05)

    task = asyncio.create_task(poll())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_two_pollers_are_told_until_one_goes(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with rival(town):
            await ill(town, "Another program polls Telegram")
            async with asyncio.timeout(1.0):
                for _ in range(10):
                    await asyncio.sleep(0.08)
                    assert "Another program" in town.chat.problem
        await well(town)
    assert caplog.text.count("Another program polls Telegram") == 1
    await town.ask(ANA, "/status", "board")


async def test_a_webhook_that_somebody_set_is_taken_away(town: Town) -> None:
    town.double.inbox.deliver(Webhook("http://127.0.0.1:9/elsewhere"))
    await town.ask(ANA, "/status", "board")
    await well(town)
    assert town.double.inbox.webhook.url == ""


async def test_an_update_that_cannot_be_read_is_stepped_over(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    town.double.group(GROUP)
    with caplog.at_level(logging.ERROR):
        unread = town.double.inbox.put("message", {"message_id": "not a message"})
        await town.ask(ANA, "/status", "board")
        await until(lambda: unread in town.double.inbox.confirmed)
    assert "an update that I cannot read" in caplog.text
    assert town.chat.problem == ""


async def test_what_was_heard_is_confirmed_when_the_bot_leaves() -> None:
    async with open_town() as town:
        await town.ask(BEN, "/deploy shop", "#1 deploy")
    assert town.double.inbox.pending == 0


async def test_leaving_takes_no_longer_than_five_seconds_whatever_hangs(town: Town) -> None:
    town.double.unkind_to = frozenset({"getUpdates", "sendMessage"})
    town.double.unkind.silent = 100
    await town.say(ANA, "/status")
    await asyncio.sleep(0.1)
    async with asyncio.timeout(5.0):
        await town.chat.close()


# By webhook


async def post(town: Town, body: bytes, *secrets: str) -> int:
    """What the bot answers to something that comes to its webhook."""
    headers = [("X-Telegram-Bot-Api-Secret-Token", secret) for secret in secrets]
    url = town.double.inbox.webhook.url
    async with ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        return answer.status


async def test_updates_come_by_webhook_with_their_secret() -> None:
    async with open_town(hook=HOOK_SECRET) as town:
        assert town.double.inbox.webhook.url.endswith(PATH)
        assert HOOK_SECRET not in town.double.inbox.webhook.secret
        await town.ask(ANA, "/status", "board")
        await town.ask(BEN, "/deploy shop", "#1 deploy")
        assert town.double.inbox.polls == 0
        await well(town)


async def test_forged_webhooks_are_refused() -> None:
    update = b'{"update_id": 7, "message": {}}'
    async with open_town(hook=HOOK_SECRET) as town:
        right = town.double.inbox.webhook.secret
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
            assert await post(town, update, *forged) == 403
        for nonsense in (b"", b"{", b"[]", b"7", b'{"no": "id"}', b"\xff"):
            assert await post(town, nonsense, right) == 400
        assert await post(town, update, right) == 200
        assert town.heard == []


async def test_a_webhook_that_somebody_else_set_is_set_again() -> None:
    async with open_town(hook=HOOK_SECRET) as town:
        ours = town.double.inbox.webhook
        town.double.inbox.deliver(replace(ours, url="http://127.0.0.1:9/elsewhere"))
        await until(lambda: town.double.inbox.webhook.url == ours.url)
        await town.ask(ANA, "/status", "board")


async def test_a_proxy_that_does_not_let_updates_through_is_told() -> None:
    patience = replace(HASTY, look=0.1)
    async with open_town(hook=HOOK_SECRET, timeouts=patience) as town:
        hook = town.double.inbox.webhook
        hook.secret, right = "", hook.secret  # as if a proxy took the header away
        await town.say(ANA, "/status")
        await ill(town, "Telegram cannot deliver to")
        assert "reverse proxy" in town.chat.problem
        hook.secret = right
        await town.sees("board")
        await well(town)
