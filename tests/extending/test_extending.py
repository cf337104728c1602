"""Every example of docs/extending.md works: a copy of the bot with that file and that entry uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.extending.extended import TABLES, drive, example, extended, lint

# Two runs of ruff and a bot, each of which may take 90 s.
pytestmark = pytest.mark.timeout(300)
EXAMPLES = {
    "Add a sender": ("drive_sender", "SENDER_TABLE", "apps.shop.hooks.acme: should be "),
    "Add a reporter": ("drive_reporter", "REPORTER_TABLE", "pager: unknown key"),
    "Add a strategy": ("drive_strategy", "STRATEGY_TABLE", "apps.shop.strategy: should be "),
    "Add a chat": ("drive_chat", "CHAT_TABLE", "relay: unknown key"),
}
"""By section: what drives it, its table, and what is wrong with its bot.toml without the entry."""


@pytest.mark.parametrize("heading", EXAMPLES)
def test_the_example_is_used_by_a_running_bot(heading: str, tmp_path: Path) -> None:
    driver, table, _ = EXAMPLES[heading]
    made = example(heading)
    assert [*made.entries] == [table]
    assert len(made.files) == 1
    folder = extended(made, tmp_path / "copy")
    assert lint(folder, made) == ""
    run = drive(folder, driver, tmp_path / "home")
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("heading", EXAMPLES)
def test_without_the_entry_the_file_is_not_used(heading: str, tmp_path: Path) -> None:
    driver, _, unknown = EXAMPLES[heading]
    made = example(heading)
    folder = extended(made, tmp_path / "copy")
    before = Path(__file__).parents[2] / TABLES
    (folder / TABLES).write_text(before.read_text())
    run = drive(folder, driver, tmp_path / "home")
    assert run.returncode == 1
    assert unknown in run.stdout + run.stderr
