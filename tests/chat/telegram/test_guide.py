"""docs/telegram.md: short, and what it has people write into bot.toml is understood."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from deploybot.chat.telegram.telegram_connection import PATH, PollingTimeouts
from deploybot.chat.telegram.telegram_settings import Telegram
from deploybot.settings import Http

PAGE = (Path(__file__).parents[3] / "docs" / "telegram.md").read_text()


def test_ten_steps_at_most_lead_to_the_first_deployment() -> None:
    steps = re.findall(r"^(\d+)\. (.*)", PAGE, re.MULTILINE)
    assert [int(number) for number, _ in steps] == [*range(1, len(steps) + 1)]
    assert len(steps) <= 10
    assert steps[-1][1] == "`/deploy shop`"


def test_what_goes_into_bot_toml_is_understood() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        read = tomllib.loads(re.sub("^ +", "", block, flags=re.MULTILINE))
        channel = Telegram.model_validate(read["telegram"]).channel
        assert channel is not None
        assert channel.id == "-1001234567890"
        Http.model_validate(read.get("http", {}))


def test_a_dead_connection_is_noticed_as_soon_as_the_page_says() -> None:
    timeouts = PollingTimeouts()
    seconds = int(timeouts.poll + timeouts.grace + timeouts.first)
    assert seconds <= 60
    assert f"is noticed within {seconds} seconds" in PAGE


def test_the_webhook_is_where_the_page_says() -> None:
    assert f"`{PATH}`" in PAGE
