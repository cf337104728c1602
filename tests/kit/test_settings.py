"""The settings that tests use are those that the bot would read from the same bot.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploybot.config import load
from deploybot.errors import ConfigError
from tests.kit.settings import app_settings, bot_settings

BOT_TOML = """
[bot]
data = "{data}"
[servers.web1]
ssh = "deploy@web1"
agent = true
[apps.shop]
repo = "git@example.com:acme/shop.git"
strategy = "files"
directory = "/srv/shop"
health = {{ http = "http://127.0.0.1:8000/" }}
secrets.TOKEN = {{ env = "TOKEN" }}
environments.production.servers = ["web1"]
"""


def test_they_are_what_the_bot_reads_from_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "bot.toml"
    path.write_text(BOT_TOML.format(data=tmp_path))
    shop = {"health": {"http": "http://127.0.0.1:8000/"}, "secrets": {"TOKEN": {"env": "TOKEN"}}}
    made = bot_settings(tmp_path, apps={"shop": shop}, values={"TOKEN": "correct-horse"})
    assert made == load(path, {"TOKEN": "correct-horse"})
    assert made.apps["shop"].environments["production"].secrets["TOKEN"].reveal() == "correct-horse"


def test_a_mistake_is_one_here_too() -> None:
    with pytest.raises(ConfigError, match=r"apps\.shop\.helth: unknown key"):
        bot_settings(apps={"shop": {"helth": {}}})


def test_the_tables_of_a_test_stay_as_they_are() -> None:
    environments = {"live": {"servers": ["web1"]}}
    app_settings(environments=environments)
    assert environments == {"live": {"servers": ["web1"]}}
