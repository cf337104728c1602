"""`deploybot hooks`: the addresses, a ping to the running bot, and payloads sent again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from benchmarks.bot import Bot
from deploybot.cli import main
from deploybot.part_tables import SENDERS
from tests.lab import free_port
from tests.webhooks.process import made_bot
from tests.webhooks.service import SECRET, pushed

PAYLOADS = Path(__file__).parents[1] / "webhooks" / "payloads"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def bot(tmp_path: Path, port: int) -> Bot:
    return made_bot(tmp_path, port, *SENDERS)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEPLOYBOT_CONFIG", raising=False)


def hooks(*words: str | Path, bot: Bot | None = None) -> Result:
    config = ("-c", str(bot.folder / "bot.toml")) if bot else ()
    return CliRunner().invoke(main, [*config, "hooks", *map(str, words)])


def test_every_address_is_listed_with_what_to_click_and_no_secret(bot: Bot) -> None:
    result = hooks(bot=bot)
    assert result.exit_code == 0
    for name in SENDERS:
        assert f"https://YOUR-BOT/hooks/shop/{name}  (app shop; " in result.output
        assert f"https://YOUR-BOT/hooks/{name}  (all apps, by repository or image; " in result.output
    assert "[http] in bot.toml has no `url`" in result.output
    assert "Payload URL: https://YOUR-BOT/hooks/shop/github" in result.output
    assert SECRET not in result.output


def test_where_there_is_none_it_says_how_to_open_one(tmp_path: Path, port: int) -> None:
    result = hooks(bot=made_bot(tmp_path, port))
    assert result.exit_code == 0
    assert "[apps.shop.hooks.github]" in result.output


def test_every_sender_can_be_tried(bot: Bot) -> None:
    with bot:
        for name in SENDERS:
            for app, path in (("shop", f"/hooks/shop/{name}"), ("*", f"/hooks/{name}")):
                result = hooks("test", app, name, bot=bot)
                assert result.exit_code == 0, result.output
                assert re.fullmatch(rf"{path}: 200, stored as delivery \d+: a ping\n", result.output), result.output
        assert hooks("test", "shop", "github", bot=bot).exit_code == 0


def test_a_try_says_what_is_wrong(bot: Bot, tmp_path: Path) -> None:
    assert "The bot at http://127.0.0.1:" in (down := hooks("test", "shop", "github", bot=bot)).output.replace(
        "the bot", "The bot"
    )
    assert down.exit_code == 1
    assert "cannot be reached: connection refused" in down.output
    unknown = hooks("test", "blog", "github", bot=bot)
    assert unknown.exit_code == 1
    assert "bot.toml has no [apps.blog.hooks.github]." in unknown.output
    with bot:
        (tmp_path / "secret").write_text(SECRET[::-1])
        wrong = hooks("test", "shop", "github", bot=bot)
    assert wrong.exit_code == 1
    assert "/hooks/shop/github: 403: The signature or secret is missing or wrong." in wrong.output


def test_payloads_of_every_sender_are_sent_and_nothing_is_done(figure: Callable[[str], None]) -> None:
    result = hooks("replay", PAYLOADS)
    assert result.exit_code == 0, result.output
    files = [*PAYLOADS.rglob("*.json")]
    *table, _, counts = result.output.splitlines()
    assert len(table) == len(files) + 1
    assert counts == f"{len(files)} payloads: {len(files)} answered 200; 0 errors 5xx."
    rows = {line.split()[1]: line for line in table}
    assert re.search(
        r"^200 +github/push.json +github +push develop +- +about brightloaf/oven", rows["github/push.json"]
    )
    for file in files:
        events = json.loads(file.with_suffix(".events").read_text()) if file.with_suffix(".events").exists() else []
        assert ("of no interest" in rows[str(file.relative_to(PAYLOADS))]) is not bool(events)
    figure(f"{counts} by {len(SENDERS)} senders")


def test_the_sender_of_a_payload_is_known_by_its_name_its_form_or_the_command_line(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "a.json").write_bytes(pushed("shop", "1" * 40))
    (folder / "github-push.json").write_bytes(pushed("shop", "2" * 40))
    (folder / "github-odd.json").write_text("[1, 2")
    (folder / "odd.json").write_text('{"nobody": "knows"}')
    (folder / "github-push.headers").write_bytes(b"X-GitHub-Event: push\nno header\n\x00bad: 1\nx-odd: \xff\x07\n")
    (folder / "notes.md").write_text("no payload")
    lines = hooks("replay", folder).output.splitlines()
    assert re.search(r"^200 +a.json +github +push main +- +about acme/shop, which belongs to no app here", lines[1])
    assert re.search(r"^200 +github-odd.json +github .* cannot be read: ", lines[2])
    assert re.search(r"^200 +github-push.json +github +push main ", lines[3])
    assert re.search(r"^- +odd.json +\? .* unknown sender; name it with --sender$", lines[4])
    assert lines[-1] == "4 payloads: 3 answered 200, 1 not sent; 0 errors 5xx."
    assert "4 answered 200" in hooks("replay", folder, "--sender", "github").output
    assert "Unknown sender nobody." in hooks("replay", folder, "--sender", "nobody").output


def test_the_folder_itself_may_say_whose_its_payloads_are() -> None:
    lines = hooks("replay", PAYLOADS / "github").output.splitlines()
    rows = [line.split() for line in lines if ".json" in line]
    assert rows
    assert {row[2] for row in rows} == {"github"}


def test_the_apps_of_bot_toml_get_it_and_the_running_bot_only_on_request(bot: Bot, tmp_path: Path) -> None:
    folder = tmp_path / "payloads" / "github"
    folder.mkdir(parents=True)
    (folder / "push.json").write_bytes(pushed("shop", "1" * 40))
    assert re.search(r"push main +shop +received for shop\n", hooks("replay", folder.parent, bot=bot).output)
    assert not (bot.folder / "data" / "console.sock").exists()
    with bot:
        live = hooks("replay", folder.parent, "--live", bot=bot)
        again = hooks("replay", folder.parent, "--live", bot=bot)
    assert "1 answered 200; 0 errors 5xx." in live.output
    assert "duplicate, received before" in again.output
