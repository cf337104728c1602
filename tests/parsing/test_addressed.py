"""Whether a message is for the bot, and what is cleaned before it is read."""

from __future__ import annotations

import pytest

from deploybot.errors import UserError
from deploybot.parsing import (
    LONGEST,
    clean,
    strip_mention,
)

# Before the grammar


@pytest.mark.parametrize(
    ("text", "rest", "addressed"),
    [
        ("status", "status", False),
        ("/status shop", "status shop", True),
        ("/ status", "status", True),
        ("!status", "status", True),
        ("@deploybot status", "status", True),
        ("@DeployBot: /status", "status", True),
        ("deploybot, status", "status", True),
        ("/status@deploybot shop", "status shop", True),
        ("`deploy shop`", "deploy shop", False),
        ("@deploybot", "", True),
        ("  ", "", False),
        ("deploy shop@v1", "deploy shop@v1", False),
    ],
)
def test_a_mention_is_stripped(text: str, rest: str, addressed: bool) -> None:
    found = strip_mention(text, {"deploybot"})
    assert found is not None
    assert (found.text, found.addressed) == (rest, addressed)


def test_another_bots_command() -> None:
    assert strip_mention("/status@otherbot", {"deploybot"}) is None


@pytest.mark.parametrize("sign", ["\x00", "\x1b", "\x7f", "\u202e", "\u200f", "\u2066", "\u200b", "\ufeff", "\ud800"])
def test_what_cannot_be_seen(sign: str) -> None:
    with pytest.raises(UserError) as caught:
        clean(f"deploy {sign}shop")
    assert caught.value.sentence == (f"Your message has an invisible character (U+{ord(sign):04X}), so I ignored it.")
    assert caught.value.hint == "Type it again by hand, or paste it as plain text."


def test_too_long() -> None:
    assert clean("x" * LONGEST)
    with pytest.raises(UserError) as caught:
        clean("x" * (LONGEST + 1))
    assert str(caught.value) == "Your message has 4,001 characters; I read up to 4,000."
    assert caught.value.hint == "Leave out what the command does not need."
