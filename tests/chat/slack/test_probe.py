"""What `deploybot check` says of Slack: each thing that can be missing has a line and a cure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from deploybot.chat.slack.app_manifest import manifest
from deploybot.chat.slack.slack_check import probe
from deploybot.check import check
from deploybot.command_loader import load
from deploybot.config.whole_settings import whole_settings
from deploybot.ports import ChatFinding
from deploybot.settings import Settings
from deploybot.testing import FakeRefs
from tests.chat.slack.workspace import ROOM, SIGNING_SECRET, settings_for
from tests.doubles.slack import BOT_TOKEN, SlackDouble
from tests.test_check import Links

INSTALLED = manifest(load().values())


@pytest.fixture
async def double() -> AsyncIterator[SlackDouble]:
    made = SlackDouble()
    await made.start()
    made.install(INSTALLED)
    made.state.channel(ROOM).name = "ops"
    yield made
    await made.close()
    assert made.violations == []


async def findings(
    double: SlackDouble, *, http: bool = False, bot_token: str = BOT_TOKEN, secret: str = SIGNING_SECRET
) -> dict[str, ChatFinding]:
    slack = settings_for(double, http=http, bot_token=bot_token)
    if slack.signing_secret:
        slack.signing_secret.fill(secret)
    tables = {"slack": slack} | ({"http": {"url": "https://bot.example.com"}} if http else {})
    settings = whole_settings().model_validate(tables)
    return {found.what: found async for found in probe(settings)}


async def test_where_all_is_well(double: SlackDouble) -> None:
    found = await findings(double)
    assert {name: (one.text, one.fix) for name, one in found.items()} == {
        "bot token": ("deploybot in acme", ""),
        "scopes": ("all granted", ""),
        "Socket Mode": ("on; a test connection worked", ""),
        f"channel slack:{ROOM}": ("the bot is in #ops", ""),
    }
    assert double.wire.sockets == []


async def test_http_mode(double: SlackDouble) -> None:
    found = (await findings(double, http=True))["HTTP mode"]
    assert ("https://bot.example.com/slack/events" in found.text, found.fix) == (True, "")
    found = (await findings(double, http=True, secret="xapp-wrong"))["HTTP mode"]
    assert "Basic Information" in found.fix


@pytest.mark.parametrize(
    ("token", "says"),
    [
        ("xapp-1-A-1-abc", "an app-level token"),
        ("xoxp-1-2", "a person's token"),
        ("xoxe.xoxb-1", "rotated"),
        ("", "not a Slack token"),
    ],
)
async def test_a_token_of_the_wrong_kind(double: SlackDouble, token: str, says: str) -> None:
    found = await findings(double, bot_token=token)
    assert says in found["bot token"].text
    assert "xoxb-" in found["bot token"].fix
    assert "scopes" not in found
    assert not token or token not in "".join(one.text + one.fix for one in found.values())


Break = Callable[[SlackDouble], None]
BROKEN: dict[str, tuple[Break, str, str, str]] = {
    "revoked": (lambda double: setattr(double.web, "dead", "token_revoked"), "bot token", "was revoked", "new token"),
    "unknown": (lambda double: setattr(double.web, "dead", "invalid_auth"), "bot token", "unknown to", "copied all"),
    "scopes": (
        lambda double: setattr(double.web, "scopes", "chat:write,commands,channels:read,im:history"),
        "scopes",
        "not granted: app_mentions:read, files:write, groups:read, users:read",
        "deploybot slack-manifest",
    ),
    "app token": (
        lambda double: setattr(double.web, "dead_app", "invalid_auth"),
        "Socket Mode",
        "unknown to",
        "copied",
    ),
    "disabled": (
        lambda double: setattr(double.wire, "disabled", True),
        "Socket Mode",
        "it is disabled",
        "Enable it",
    ),
    "not invited": (
        lambda double: setattr(double.state.channel(ROOM), "bot_in", False),
        f"channel slack:{ROOM}",
        "not in #ops",
        "/invite @deploybot",
    ),
    "no channel": (
        lambda double: double.state.channels.clear(),
        f"channel slack:{ROOM}",
        "channel_not_found",
        "Check the id",
    ),
    "away": (lambda double: setattr(double.unkind, "broken", 1), "bot token", "status 503", "Try again"),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_what_is_missing_has_a_cure(double: SlackDouble, what: str) -> None:
    spoil, name, says, fix = BROKEN[what]
    spoil(double)
    found = (await findings(double))[name]
    assert says in found.text
    assert fix in found.fix


async def test_it_is_among_the_rows_of_check(double: SlackDouble, tmp_path: Path) -> None:
    double.state.channel(ROOM).bot_in = False
    settings = whole_settings().model_validate({"slack": settings_for(double)})
    rows = await check(settings, Links(), FakeRefs(tmp_path), chats={"Slack": probe(settings)})
    mine = [(row.what, row.state.value) for row in rows if row.subject == "Slack"]
    assert mine == [("bot token", "ok"), ("scopes", "ok"), ("Socket Mode", "ok"), (f"channel slack:{ROOM}", "failed")]


async def test_a_bot_without_slack_has_nothing_to_try() -> None:
    assert [found async for found in probe(Settings())] == []
