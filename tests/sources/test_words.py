"""What git and a repository's server write on their way out: theirs, and so of any kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploybot.errors import HostKeyMismatch, Unreachable
from deploybot.masking import Redactor
from deploybot.sources.git_errors import explained
from deploybot.sources.git_process import GitFailed
from tests.sources.conftest import MakeApp

LONG = 1 << 19


@pytest.mark.parametrize("words", ["early EOF ", "No "])
def test_words_that_begin_many_known_sentences_are_read_once(make_app: MakeApp, tmp_path: Path, words: str) -> None:
    """Read anew from each of them, they took minutes: a server that means ill would have stopped the bot."""
    problem = GitFailed(128, words * (LONG // len(words)))
    assert not problem.damaged
    error = explained(make_app(str(tmp_path)), problem, Redactor())
    assert isinstance(error, Unreachable)
    assert len(error.why) <= 300


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("git@x: Permission denied (publickey,password).", "it rejected the deploy key"),
        ("fatal: transport 'ext' not allowed", "allowed"),
        ("Failed to connect to 127.0.0.1 port 1: Connection refused", "nothing listens there"),
        ("Failed to connect to 127.0.0.1 port 1 after 0 ms: Couldn't connect to server", "nothing listens there"),
        ("Failed to connect to 127.0.0.1 port 1 after 0 ms: Could not connect to server", "nothing listens there"),
        ("No ED25519 host key is known for deploybot", "its host key is not the pinned one"),
    ],
)
def test_sentences_are_known(make_app: MakeApp, tmp_path: Path, words: str, told: str) -> None:
    error = explained(make_app(str(tmp_path)), GitFailed(128, words), Redactor())
    assert isinstance(error, (Unreachable, HostKeyMismatch))
    assert told in str(error)
