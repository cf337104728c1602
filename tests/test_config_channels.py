"""Channels in bot.toml: written with their chat, in the old form with a hint, and wrong with what to write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from deploybot.chat.card_channels import home_channels, named_channels
from deploybot.cli import main
from deploybot.config import load
from deploybot.domain import Channel
from deploybot.errors import ConfigError
from deploybot.settings import Settings

SLACK = '[slack]\nbot_token = { env = "T" }\napp_token = { env = "T" }\n'
TELEGRAM = '[telegram]\ntoken = { env = "T" }\n'
APP = """
[servers.web1]
ssh = "deploy@203.0.113.10"
agent = true
[apps.shop]
repo = "git@github.com:acme/shop.git"
strategy = "compose"
directory = "/srv/shop"
environments.production.servers = ["web1"]
"""
SECRET = "a-secret-of-enough-letters"
OPS, GROUP, TOPIC = (
    Channel("slack", "C0123456789"),
    Channel("telegram", "-1001234567890"),
    Channel("telegram", "-100123", "45"),
)

Read = Callable[[str], Settings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that loads a text as bot.toml."""

    def from_text(text: str) -> Settings:
        path = tmp_path / "bot.toml"
        path.write_text(text)
        return load(path, {"T": SECRET})

    return from_text


def problems(read: Read, text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read(text)
    return [*raised.value.problems]


def test_a_channel_is_written_with_its_chat(read: Read) -> None:
    made = read(
        f'{SLACK}channel = "slack:C0123456789"\n{TELEGRAM}channel = "telegram:-100123/45"\n{APP}'
        '[apps.shop.notify.all]\nchannel = ["console", "telegram:-1001234567890"]\n'
    )
    assert home_channels(made) == (OPS, TOPIC)
    assert named_channels(made) == (OPS, TOPIC, Channel("console", "console"), GROUP)
    assert made.hints == ()


CHANNEL_IDS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._", min_size=1, max_size=20)


@given(st.sampled_from(["slack", "telegram", "console"]), CHANNEL_IDS, st.one_of(st.just(""), CHANNEL_IDS))
def test_what_is_written_is_read_again(chat: str, channel: str, thread: str) -> None:
    made = Channel(chat, channel, thread)
    assert Channel.read(str(made)) == made


OLD = (
    f'{SLACK}channel = "C0123456789"\n{TELEGRAM}chat = -100123\ntopic = 45\n{APP}'
    '[apps.shop.notify.all]\nchannel = "C0123456789"\n'
    '[apps.shop.notify.some]\nchannel = ["-100123/45", -1001234567890, "slack:C0123456789"]\n'
)
NEW_LINES = {
    "slack.channel": 'channel = "slack:C0123456789"',
    "telegram.chat": 'channel = "telegram:-100123/45" instead of chat and topic',
    "apps.shop.notify.all.channel": 'channel = "slack:C0123456789"',
    "apps.shop.notify.some.channel": f'channel = ["{TOPIC}", "{GROUP}", "{OPS}"]',
}


def test_the_old_form_still_works_and_a_hint_names_the_new_one(read: Read) -> None:
    made = read(OLD)
    assert home_channels(made) == (OPS, TOPIC)
    assert [one.channel for one in made.apps["shop"].notify.values()] == [(OPS,), (TOPIC, GROUP, OPS)]
    assert sorted(made.hints) == sorted(f"{key}: write {line}" for key, line in NEW_LINES.items())


def test_the_form_that_the_hints_name_means_the_same_and_has_no_hint(read: Read) -> None:
    chats = f"{SLACK}{NEW_LINES['slack.channel']}\n{TELEGRAM}{NEW_LINES['telegram.chat'].split(' instead')[0]}\n"
    routes = "".join(
        f"[apps.shop.notify.{name}]\n{NEW_LINES[f'apps.shop.notify.{name}.channel']}\n" for name in ("all", "some")
    )
    new, old = read(chats + APP + routes), read(OLD)
    assert new.hints == ()
    assert new == old.model_copy(update={"hints": ()})


@pytest.mark.parametrize(
    ("chat", "channel"), [("chat = 5", Channel("telegram", "5")), ("chat = -9\ntopic = 0", Channel("telegram", "-9"))]
)
def test_every_number_of_the_version_before_is_taken(read: Read, chat: str, channel: Channel) -> None:
    assert home_channels(read(f"{TELEGRAM}{chat}\n{APP}")) == (channel,)


def test_check_shows_the_hints(tmp_path: Path) -> None:
    path = tmp_path / "bot.toml"
    path.write_text(OLD.replace('env = "T"', f'file = "{tmp_path}/secret"'))
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o600)
    run = CliRunner().invoke(main, ["--config", str(path), "check", "--offline"])
    assert run.exit_code == 0, run.output
    for key, line in NEW_LINES.items():
        assert f"  {key}: write {line}\n" in run.output
    said = CliRunner().invoke(main, ["--config", str(path), "check", "--offline", "--json"])
    assert sorted(json.loads(said.output)["hints"]) == sorted(f"{key}: write {line}" for key, line in NEW_LINES.items())


BAD = '"slack:C0123456789" or "telegram:-1001234567890"'


@pytest.mark.parametrize(
    ("channel", "problem"),
    [
        ('"discord:1"', f'names an unknown chat: write a channel such as "console", {BAD}, got "discord:1"'),
        ('"slak:C0123456789"', 'got "slak:C0123456789", did you mean "slack"?'),
        ('"slack:"', f'should be a channel with its chat, such as {BAD}, got "slack:"'),
        ('""', 'got ""'),
        ('":C0123456789"', 'got ":C0123456789"'),
        ('"telegram:-1001234567890/"', 'got "telegram:-1001234567890/"'),
        ('"slack: C0123456789"', 'got "slack: C0123456789"'),
        ("true", "such as"),
        ('"telegram:C0123456789"', ', got "telegram:C0123456789", did you mean "slack:C0123456789"?'),
        ('"slack:-1001234567890"', ', got "slack:-1001234567890", did you mean "telegram:-1001234567890"?'),
        ('"telegram:C0123456789"', 'such as "telegram:-1001234567890", got'),
        ('"slack:C0123456789/17.5"', 'should be a channel of Slack by its id, such as "slack:C0123456789", got'),
        ('"slack:ops"', 'such as "slack:C0123456789", got "slack:ops"'),
        ('"slack"', 'such as "slack:C0123456789", got "slack"'),
        ('"telegram:-1001234567890/x"', 'such as "telegram:-1001234567890", got'),
        ('"console:ops"', 'should be the console, such as "console", got "console:ops"'),
        ('["slack:C0123456789", "discord:1"]', 'got "discord:1"'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("table", ["[apps.shop.notify.all]", ""])
def test_a_wrong_channel_is_reported_with_what_to_write(read: Read, table: str, channel: str, problem: str) -> None:
    (found,) = problems(read, f"{SLACK}{TELEGRAM}{APP}{table}\nchannel = {channel}\n")
    assert found.startswith("apps.shop.notify.all.channel" if table else "apps.shop.channel")
    assert problem in found


@pytest.mark.parametrize("chat", ["slack", "telegram"])
def test_a_channel_of_a_chat_that_is_not_configured_is_reported(read: Read, chat: str) -> None:
    channel = {"slack": OPS, "telegram": GROUP}[chat]
    (found,) = problems(read, f'{APP}channel = "{channel}"\n')
    assert found == f'apps.shop.channel: "{channel}" needs [{chat}], which is missing: add it, or remove this channel'


def test_a_chat_takes_only_its_own_channels(read: Read) -> None:
    assert problems(read, f'{SLACK}channel = "{GROUP}"\n{TELEGRAM}channel = "{OPS}"\n{APP}') == [
        f'slack.channel: should be a channel of Slack by its id, such as "{OPS}", got "{GROUP}"',
        f'telegram.channel: should be a chat of Telegram by its number, such as "{GROUP}", got "{OPS}"',
    ]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('chat = -100123\nchannel = "telegram:-100123"', "telegram.chat: is part of `channel` now: remove it"),
        ('chat = "@ops"', 'telegram.chat: is now `channel`: write channel = "telegram:-1001234567890", or'),
        ("topic = 7", "telegram.topic: is now `channel`: write"),
        ("chat = true", "telegram.chat: is now `channel`"),
        ("chat = -100123\ntopic = -1", "telegram.chat: is now `channel`"),
    ],
)
def test_old_keys_that_cannot_be_read_are_reported(read: Read, lines: str, problem: str) -> None:
    (found,) = problems(read, f"{TELEGRAM}{lines}\n{APP}")
    assert found.startswith(problem)


def test_hints_is_no_key(read: Read) -> None:
    assert problems(read, f'hints = ["x"]\n{APP}') == ["hints: unknown key"]
