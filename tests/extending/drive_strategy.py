"""The strategy's two steps are in a plan and run; its table is checked, and `init` and `check` know it."""

from __future__ import annotations

from pathlib import Path

from deploybot.chat.console.terminal_cards import plain
from deploybot.cli.init_command import InitAnswers, render
from deploybot.config import load
from tests.extending.extended import example
from tests.extending.extended_bot import bot_toml, main, open_extended_bot, problems

TABLE = example("Add a strategy").bot_toml


async def drive(home: Path) -> None:
    """See the module."""
    path = bot_toml(home, TABLE, strategy="systemd")
    async with open_extended_bot(path) as bot:
        plan = plain(await bot.say("deploy shop to production --dry-run"), 100)
        assert "fetch" in plan, plan
        assert "switch" in plan, plan
        assert bot.host.started == []
        await bot.deploy("deploy shop to production")
        steps = [(one.script, one.env.get("DEPLOYBOT_COMMAND", "")) for one in bot.host.started]
        assert steps[:2] == [("fetch", ""), ("switch", "sudo systemctl restart shop.service")], steps
    _is_checked(home)


def _is_checked(home: Path) -> None:
    """Load the table of the strategy with mistakes."""
    missing = 'apps.shop.systemd: is missing: strategy "systemd" needs its unit'
    assert missing in problems(bot_toml(home, "", strategy="systemd"))
    assert "apps.shop.systemd.unit: should be a systemd unit" in problems(
        bot_toml(home, TABLE.replace("shop.service", "a b"), strategy="systemd")
    )
    unknown = problems(bot_toml(home, TABLE.replace("unit", "unti"), strategy="systemd"))
    assert 'apps.shop.systemd.unti: unknown key, did you mean "unit"?' in unknown
    foreign = 'apps.shop.systemd: is for strategy = "systemd" only; this one is "files"'
    assert foreign in problems(bot_toml(home, TABLE, strategy="files"))
    path = home / "first.toml"
    path.write_text(
        render(InitAnswers("deploy@203.0.113.10", "/srv/shop.git", "systemd", "shop", "/srv/shop", "", "data"))
    )
    assert load(path, {}).apps["shop"].strategy == "systemd"


if __name__ == "__main__":
    main(drive)
