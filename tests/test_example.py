"""bot.example.toml and docs/configuration.md hold every key there is, and the example works."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploybot.config import load
from deploybot.config.config_tables import tables
from deploybot.settings import HealthSettings, Secret, Settings

ROOT = Path(__file__).parents[1]
EXAMPLE = (ROOT / "bot.example.toml").read_text()
DOCS = (ROOT / "docs" / "configuration.md").read_text()
KEYS = [(path, key) for path, part in tables() for key in part.known_keys()]


def _written(table: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for item in table if isinstance(table, list) else ():
        yield from _written(item, path)
    for key, value in table.items() if isinstance(table, dict) else ():
        yield from _written(value, (*path, key))


def _fits(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    return len(pattern) == len(path) and all(want in ("NAME", got) for want, got in zip(pattern, path, strict=True))


def _load(text: str, tmp_path: Path) -> Settings:
    """Load the example with made-up secrets in the places it names."""
    text = text.replace("/etc/deploybot", str(tmp_path))
    for file in re.findall(rf'"({re.escape(str(tmp_path))}/[^"]*)"', text):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        if file.endswith("/commands"):
            Path(file).mkdir()
        else:
            Path(file).write_text("made up, and 22 characters long")
            Path(file).chmod(0o600)
    (tmp_path / "bot.toml").write_text(text)
    return load(
        tmp_path / "bot.toml", dict.fromkeys(re.findall(r'env = "(\w+)"', text), "made up, and 22 characters long")
    )


def test_the_example_loads(tmp_path: Path) -> None:
    settings = _load(EXAMPLE, tmp_path)
    assert {app.strategy for app in settings.apps.values()} == {"compose", "files", "script"}


@pytest.mark.parametrize(("path", "key"), KEYS, ids=[".".join((*path, key)) for path, key in KEYS])
def test_the_example_shows_the_key(path: tuple[str, ...], key: str) -> None:
    """Somewhere: a secret's `file` or a health's `tcp` need not stand in every place where it may."""
    places = [place for place, part in tables() if part is dict(tables())[path]]
    written = [*_written(tomllib.loads(EXAMPLE))]
    # What stands in place of another key is commented out.
    assert f"\n# {key} = " in EXAMPLE or any(_fits((*place, key), one) for place in places for one in written)


def test_every_key_of_the_example_is_explained_the_first_time() -> None:
    seen: set[str] = set()
    lines = EXAMPLE.splitlines()
    for number, line in enumerate(lines):
        key = re.match(r"([a-z_]+) = ", line)
        if key and key[1] not in seen:
            seen.add(key[1])
            about = line if re.search(r"\s# ?\S|\s#   \S", line) else lines[number - 1]
            assert "#" in about, line


@pytest.mark.parametrize(("path", "key"), KEYS, ids=[".".join((*path, key)) for path, key in KEYS])
def test_the_documentation_has_the_key(path: tuple[str, ...], key: str) -> None:
    """Each table has a section with a row for each key; secrets and an environment's health are told once."""
    part = dict(tables())[path]
    if part is Secret:
        heading = "Secrets"
    elif part is HealthSettings:
        heading = "[apps.NAME.health]"
    else:
        heading = f"[{'.'.join(path)}]"
    sections = [text for text in re.split(r"^#+ ", DOCS, flags=re.MULTILINE) if heading in text.partition("\n")[0]]
    if path:
        assert len(sections) == 1
        assert f"\n| `{key}` |" in sections[0]
    else:
        assert f"\n## [{key}" in DOCS
