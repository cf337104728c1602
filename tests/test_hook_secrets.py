"""Secrets of webhooks: what could be guessed is refused at the start, with how to make a good one."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploybot.config import load
from deploybot.errors import ConfigError

BOT = """
{http}
[servers.web1]
ssh = "deploy@203.0.113.10"
agent = true
[apps.shop]
repo = "git@example.com:acme/shop.git"
strategy = "script"
script = "deploy.sh"
directory = "/srv/shop"
[apps.shop.hooks.github]
secret = {{ env = "SECRET" }}
[apps.shop.environments.production]
servers = ["web1"]
"""


def problems(folder: Path, secret: str, http: str = "[http]") -> tuple[str, ...]:
    (folder / "bot.toml").write_text(BOT.format(http=http))
    try:
        load(folder / "bot.toml", {"SECRET": secret})
    except ConfigError as error:
        return error.problems
    return ()


@pytest.mark.parametrize(
    "secret",
    [
        "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "kPq3v-0bN1eYwT5uXz9_Ag",
        "Correct horse battery staple, and so on",
    ],
)
def test_a_good_one_is_taken(tmp_path: Path, secret: str) -> None:
    assert problems(tmp_path, secret) == ()


@pytest.mark.parametrize(
    "secret", ["hunter2", "0f1e2d3c4b5a6978", "a" * 64, "0123" * 16, "whsec_0f1e2d3c4b5a", "correct horse batt"]
)
def test_a_secret_that_could_be_guessed_is_refused_without_being_shown(tmp_path: Path, secret: str) -> None:
    (told,) = problems(tmp_path, secret)
    assert told == (
        "apps.shop.hooks.github.secret: is too easy to guess: use at least 16 random bytes, "
        "such as from `openssl rand -hex 32`"
    )


def test_webhooks_need_a_port(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, "0f1e2d3c4b5a69788796a5b4c3d2e1f0", http="")
    assert told == "apps.shop.hooks.github: needs the HTTP server for webhooks: add [http] with listen and url"
