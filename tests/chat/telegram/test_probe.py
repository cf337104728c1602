"""`deploybot check` for Telegram: what is missing is named, with its cure, and a bot that runs is not disturbed."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from deploybot.chat.telegram.telegram_check import probe
from deploybot.chat.telegram.telegram_connection import PATH
from deploybot.chat.telegram.telegram_settings import Telegram
from deploybot.config.whole_settings import whole_settings
from deploybot.domain import Channel
from deploybot.ports import ChatFinding
from deploybot.settings import Secret, Settings
from deploybot.wiring.chat_checks import chat_checks
from tests.chat.telegram.conftest import GROUP, HOOK_SECRET, open_telegram_bot, settings_of
from tests.chat.telegram.test_line import rival
from tests.doubles.telegram import TelegramDouble
from tests.doubles.telegram.inbox import Webhook
from tests.doubles.telegram.limits import FREE

URL = "https://bot.example.com"


@pytest.fixture
async def double() -> AsyncIterator[TelegramDouble]:
    made = TelegramDouble(FREE)
    made.group(GROUP)
    await made.start()
    yield made
    await made.close()
    assert made.violations == []


def config(telegram: Telegram, folder: Path, url: str = URL) -> Settings:
    return whole_settings().model_validate({"bot": {"data": folder}, "telegram": telegram, "http": {"url": url}})


async def findings(settings: Settings, listen: int = 0) -> dict[str, ChatFinding]:
    return {found.what: found async for found in probe(settings, listen=listen)}


async def tried(double: TelegramDouble, folder: Path, *, topic: int = 0, hook: str = "") -> dict[str, ChatFinding]:
    group = Channel("telegram", GROUP, str(topic or ""))
    return await findings(config(settings_of(double, channel=group, hook=hook), folder))


async def test_all_is_well(double: TelegramDouble, tmp_path: Path) -> None:
    found = await tried(double, tmp_path)
    assert [one.fix for one in found.values()] == [""] * 4
    assert list(found) == ["token", "privacy mode", "long polling", f"channel telegram:{GROUP}"]
    assert found["token"].text == "@thebot"
    assert found[f"channel telegram:{GROUP}"].text == f"the bot may write in “group {GROUP}”"
    assert [post.text for post in double.timeline.posts] == []


@pytest.mark.parametrize(
    ("privacy", "says"), [(True, "on: in groups the bot receives commands"), (False, "off: in groups the bot receives")]
)
async def test_privacy_mode_is_explained(double: TelegramDouble, tmp_path: Path, privacy: bool, says: str) -> None:
    double.privacy = privacy
    assert (await tried(double, tmp_path))["privacy mode"].text.startswith(says)


@pytest.mark.parametrize(("token", "says"), [("1:no", "does not look like"), (f"123456789:{'A' * 35}", "rejected it")])
async def test_a_wrong_token_ends_it(double: TelegramDouble, tmp_path: Path, token: str, says: str) -> None:
    telegram = settings_of(double)
    telegram.token.fill(token)
    found = await findings(config(telegram, tmp_path))
    assert list(found) == ["token"]
    assert says in found["token"].text
    assert "@BotFather" in found["token"].fix
    assert token not in str(found)


async def test_a_telegram_that_is_away_is_reported(double: TelegramDouble, tmp_path: Path) -> None:
    await double.close()
    (found,) = (await tried(double, tmp_path)).values()
    assert "cannot be reached" in found.text
    assert "firewall" in found.fix
    assert double.token not in str(found)


def kicked(double: TelegramDouble) -> None:
    double.group(GROUP).status = "kicked"


def muted(double: TelegramDouble) -> None:
    double.group(GROUP).may_write = False


def moved(double: TelegramDouble) -> None:
    double.group(GROUP).moved_to = -1009


def unknown(double: TelegramDouble) -> None:
    del double.rooms[int(GROUP)]


def channel(double: TelegramDouble) -> None:
    double.group(GROUP).kind = "channel"


@pytest.mark.parametrize(
    ("wrong", "says", "fix"),
    [
        (kicked, "kicked", "Add members"),
        (unknown, "Chat not found", "add @thebot"),
        (muted, "may not write", "Allow it to send messages"),
        (moved, "supergroup now", 'Write "telegram:-1009"'),
        (channel, "may not post", "Post messages"),
    ],
)
async def test_problems_of_a_group_are_reported_with_the_fix(
    double: TelegramDouble, tmp_path: Path, wrong: Callable[[TelegramDouble], None], says: str, fix: str
) -> None:
    wrong(double)
    found = (await tried(double, tmp_path))[f"channel telegram:{GROUP}"]
    assert says in found.text
    assert fix in found.fix


async def test_a_channel_whose_administrator_it_is_is_well(double: TelegramDouble, tmp_path: Path) -> None:
    channel(double)
    double.group(GROUP).status = "administrator"
    assert (await tried(double, tmp_path))[f"channel telegram:{GROUP}"].fix == ""


async def test_a_topic_that_is_not_there_is_reported(double: TelegramDouble, tmp_path: Path) -> None:
    double.group(GROUP).forum = True
    double.group(GROUP).topics = {7}
    assert (await tried(double, tmp_path, topic=7))[f"channel telegram:{GROUP}/7"].fix == ""
    assert "topic not found" in (await tried(double, tmp_path, topic=8))[f"channel telegram:{GROUP}/8"].text


async def test_a_webhook_that_stands_in_the_way_of_polls_is_reported(double: TelegramDouble, tmp_path: Path) -> None:
    double.inbox.deliver(Webhook("http://127.0.0.1:9/other"))
    found = (await tried(double, tmp_path))["long polling"]
    assert "a webhook is set" in found.text
    assert "/newbot" in found.fix


async def test_two_pollers_are_found(tmp_path: Path) -> None:
    async with open_telegram_bot(started=False) as telegram, rival(telegram):
        found = await findings(config(settings_of(telegram.double), tmp_path), listen=2)
    assert "another program polls" in found["long polling"].text


async def test_a_bot_that_runs_is_not_disturbed(double: TelegramDouble, tmp_path: Path) -> None:
    """A second poll would end its own."""
    with socket.socket(socket.AF_UNIX) as console:
        console.bind(f"{tmp_path}/console.sock")
        console.listen()
        assert "the bot is running here" in (await tried(double, tmp_path))["long polling"].text
    assert double.inbox.polls == 0


async def test_what_waits_for_the_bot_is_left_to_it(double: TelegramDouble, tmp_path: Path) -> None:
    await double.say("1000", GROUP, "/status")
    assert "leaves them there" in (await tried(double, tmp_path))["long polling"].text
    assert double.inbox.pending == 1


async def test_webhooks_are_looked_at(double: TelegramDouble, tmp_path: Path) -> None:
    assert (await tried(double, tmp_path, hook=HOOK_SECRET))["webhook"].text == f"{URL}{PATH}, set when the bot starts"
    double.inbox.deliver(Webhook("http://127.0.0.1:9/other"))
    assert "a different webhook is set" in (await tried(double, tmp_path, hook=HOOK_SECRET))["webhook"].text
    double.inbox.webhook.url = f"{URL}{PATH}"
    double.inbox.webhook.error = "Connection refused"
    assert "last delivery failed" in (await tried(double, tmp_path, hook=HOOK_SECRET))["webhook"].text


def test_chats_of_bot_toml_are_tried_by_name(tmp_path: Path) -> None:
    token = Secret(env="T")
    assert list(chat_checks(config(Telegram(token=token), tmp_path))) == ["Telegram"]
