"""What the pages show for bot.toml is read by the bot's own parser, and what they quote is in its code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from deploybot.errors import ConfigError
from tests.site.messages import messages, quoted
from tests.site.pages import DOCS, ROOT
from tests.site.settings import parsed, snippets

PAGES = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
RECIPES = DOCS / "recipes.md"
TROUBLE = DOCS / "troubleshooting.md"
SNIPPETS = [(page, line, text) for page in PAGES for line, text in snippets(page)]
MESSAGES = [(page, message) for page in PAGES for message in messages(page)]


@pytest.mark.parametrize(("page", "line", "text"), SNIPPETS, ids=[f"{page.name}:{line}" for page, line, _ in SNIPPETS])
def test_the_bot_reads_the_snippet(page: Path, line: int, text: str, tmp_path: Path) -> None:
    """Those of the recipes have to be complete but for servers and the app's required keys."""
    assert line
    assert parsed(text, tmp_path, alone=page == RECIPES).apps


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[apps.shop]\nkepe = 2\n", ConfigError),
        ("[apps.shop.hooks.github]\nsecret = { env = 'A' }\n", ConfigError),  # needs [http]
        ("[apps.shop\n", tomllib.TOMLDecodeError),
    ],
)
def test_a_wrong_snippet_is_found(text: str, error: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(error):
        parsed(text, tmp_path, alone=True)


def test_other_files_of_the_recipes_are_yaml() -> None:
    found = re.findall(r"```yaml\n(.*?)```", RECIPES.read_text(), re.DOTALL)
    assert len(found) > 3
    assert all(isinstance(yaml.safe_load(text), dict) for text in found)


@pytest.mark.parametrize(("page", "message"), MESSAGES, ids=[f"{page.stem}: {message}" for page, message in MESSAGES])
def test_the_code_has_the_message(page: Path, message: str) -> None:
    assert quoted(message), page


def test_messages_are_quoted() -> None:
    assert len([*messages(TROUBLE)]) > 80
    assert all(len(re.findall("[a-z]", message)) > 3 for message in messages(TROUBLE))


@pytest.mark.parametrize(
    "message",
    ["nothing in the code says this", "is low on disk space: … are taken", "Everything deploybot raises on purpose."],
)
def test_a_message_that_is_not_in_the_code_is_found(message: str) -> None:
    assert not quoted(message)
