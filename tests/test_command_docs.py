"""docs/commands.md, docs/roles.md and docs/own-commands.md say what is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploybot.command import Command
from deploybot.command_loader import load
from deploybot.domain import Action, Role
from deploybot.parsing.parameter_types import KINDS
from deploybot.policy import OPEN_COMMANDS, suffices
from tests.command_page import PAGE, page
from tests.kit.command_bot import V1, open_command_bot

DOCS = PAGE.parent
ROLES = (DOCS / "roles.md").read_text()
OWN = (DOCS / "own-commands.md").read_text()
COMMANDS = load()
EXCEPTIONS = {"`cancel log-3`": Action.VIEW, "end other people's locks and freezes": Action.ADMIN}


def test_the_page_of_commands_is_up_to_date() -> None:
    assert PAGE.read_text() == page(COMMANDS.values()), "run: python -m tests.command_page"


def table(text: str) -> list[list[str]]:
    """The cells of the first table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("row", table(ROLES), ids=lambda row: row[0])
def test_the_table_of_roles(row: list[str]) -> None:
    what, by, *marks = row
    for words in re.findall(r"`[^`]+`", by):
        needs = EXCEPTIONS.get(words) or EXCEPTIONS.get(what) or COMMANDS[words.strip("`").split(maxsplit=1)[0]].needs
        assert marks == ["yes" if suffices(role, needs) else "no" for role in Role], words


def test_the_table_of_roles_is_whole() -> None:
    named = {words.split()[0] for row in table(ROLES) for words in re.findall(r"`([^`]+)`", row[1])}
    assert named == set(COMMANDS) - OPEN_COMMANDS
    head = next(line for line in ROLES.splitlines() if line.startswith("|"))
    assert head == f"| to | by | {' | '.join(Role)} |"


@pytest.fixture
def again(tmp_path: Path) -> Command:
    """Return the worked example, loaded from a folder as people would have it."""
    (code,) = re.findall(r"```python\n(.*?)```", OWN, re.DOTALL)
    (tmp_path / "again.py").write_text(code)
    return load(tmp_path)["again"]


async def test_the_example_works(again: Command) -> None:
    async with open_command_bot(again) as bot:
        bot.releases.runs["shop", "production"] = V1
        card = await bot.say("/again shop to production because it was good", "ben")
        assert card.title == "#1 deploy shop in production"
        (asked,) = bot.deployments.requests
        assert (asked.release, asked.environment, asked.reason) == (V1, "production", "it was good")


async def test_the_example_is_as_guarded_as_any(again: Command) -> None:
    async with open_command_bot(again) as bot:
        bot.releases.runs["shop", "production"] = V1
        await bot.say("allow @cem viewer on shop")
        card = await bot.say("again shop to production", "cem")
        assert card.title == "`again` needs the role deployer on shop/production; you are viewer there."
        card = await bot.say("again shpo to production")
        assert card.title == "There is no app `shpo`, did you mean `shop`?"
        card = await bot.say("again blog to live")
        assert (card.title, card.hint) == ("Nothing runs in blog/live.", "Start with `deploy blog to live`.")
        assert bot.deployments.requests == []


async def test_the_example_appears_in_the_help(again: Command) -> None:
    async with open_command_bot(again) as bot:
        card = await bot.say("help again")
        assert card.title == "again <app> to <env>"
        assert card.code == ("again shop to production",)


def test_every_type_is_explained() -> None:
    explained = {word for row in table(OWN) for word in re.findall(r"`(\w+)`", row[0])}
    assert explained == {str(getattr(kind, "__name__", kind)) for kind in KINDS}
