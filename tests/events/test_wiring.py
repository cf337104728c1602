"""Events in the bot itself: there where bot.toml lets anything call, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploybot.assembly.world import adapters
from deploybot.bot import Bot
from deploybot.domain import Place
from deploybot.settings import BotSettings
from tests.events.channel import push, settings

HOOK = {"github": {"secret": {"env": "S"}}}


@pytest.mark.parametrize(("hooks", "there"), [({}, False), (HOOK, True)])
def test_nothing_tells_where_nothing_may_call(tmp_path: Path, hooks: dict[str, object], there: bool) -> None:  # noqa: FBT001
    made = settings(hooks=hooks).model_copy(update={"bot": BotSettings(data=tmp_path / "data")})
    assert (Bot(made, adapters(made)).telling is not None) is there


async def test_where_bot_toml_names_no_channel_the_console_is_told(tmp_path: Path) -> None:
    made = settings(hooks=HOOK).model_copy(update={"bot": BotSettings(data=tmp_path / "data")})
    world = adapters(made)
    telling = Bot(made, world).telling
    assert telling is not None
    async with world.database:
        await telling.hear(made.apps["shop"], push(), "d")
        (item,) = await world.store.read(lambda tables: tables.outbox.due(1e12))
    assert item.place == Place("console", "console")
