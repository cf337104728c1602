"""docs/reference/ says what the code says."""

from __future__ import annotations

from types import ModuleType

import pytest

from deploybot.chat.console import script_client
from deploybot.cli import command_base
from deploybot.demo import demo_command as demo
from deploybot.metrics import Metrics
from tests.site.command_line_page import commands
from tests.site.exit_codes_page import ALL, CODES
from tests.site.metrics_page import page as metrics_page
from tests.site.reference import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text() == PAGES[name](), "run: python -m tests.site.reference"


def test_there_is_no_other_page() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(PAGES)


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_every_subcommand_has_a_section(name: str) -> None:
    assert f"\n## {name}\n" in PAGES["command-line.md"]()


def test_every_option_and_metric_has_a_meaning() -> None:
    for made in (PAGES["command-line.md"], metrics_page):
        rows = [line for line in made().splitlines() if line.startswith("| `")]
        assert rows
        assert not [row for row in rows if not row.rstrip("| ").rpartition("|")[2].strip()]


def test_labels_are_those_of_the_code() -> None:
    text = metrics_page()
    for metric in Metrics():
        assert f"| `{metric.name}` | " in text
        (row,) = (line for line in text.splitlines() if line.startswith(f"| `{metric.name}` |"))
        assert [cell.strip() for cell in row.split("|")][3] == ", ".join(metric.labels)


@pytest.mark.parametrize(
    ("module", "command"),
    [(command_base, ALL), (script_client, "deploybot chat"), (demo, "deploybot demo")],
    ids=["cli", "chat", "demo"],
)
def test_every_exit_code_of_the_code_has_a_meaning(module: ModuleType, command: str) -> None:
    found = {value for name, value in vars(module).items() if name.isupper() and isinstance(value, int)}
    assert found
    assert found <= set(CODES[command])


def test_the_commands_with_exit_codes_are_there() -> None:
    assert set(CODES) - {ALL} <= {name for name, _ in commands()}
