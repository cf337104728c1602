"""A bot.toml to change: `write` writes one, and `problems` lists what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploybot.config import load
from deploybot.errors import ConfigError

Write = Callable[[str], Path]
SERVER = '[servers.web1]\nssh = "deploy@203.0.113.10"\nagent = true\n'
APP = '[apps.shop]\nrepo = "git@example.com:acme/shop.git"\nstrategy = "compose"\ndirectory = "/srv/shop"\n'
ENVIRONMENT = '[apps.shop.environments.production]\nservers = ["web1"]\n'
GOOD = SERVER + APP + ENVIRONMENT


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes bot.toml."""

    def put(text: str) -> Path:
        path = tmp_path / "bot.toml"
        path.write_text(text)
        return path

    return put


@pytest.fixture
def problems(write: Write) -> Callable[..., list[str]]:
    """Return a function that gives what is wrong with a file's text."""

    def find(text: str, **environ: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(write(text), environ)
        return [*caught.value.problems]

    return find
