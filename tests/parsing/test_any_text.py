"""Any text is understood or refused, and splitting loses nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from deploybot.errors import UserError
from deploybot.parsing import (
    Ref,
    clean,
    complete,
    find,
    split,
    strip_mention,
)
from tests.kit.command_bot import EVERYTHING, SETTINGS
from tests.parsing.reading import COMMANDS, FORMS, read

# Whatever comes


WORDS: Sequence[str] = sorted(
    {word for made in COMMANDS.values() for example in made.examples for word in (example, *example.split())}
    | {*SETTINGS.apps, "to", "from", "on", "in", "because", "--", "—", '"', "'", "“", "@", "/", ",", "#", ":current"}
    | {"shop@", "@v2", "production/", "/web1", ",,", "shop/production", "#0", "999999999999", "-", "\u202e", "\x00"}
)


@settings(max_examples=int(os.environ.get("N", "600")), deadline=None)
@given(st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=12)), max_size=9), st.sampled_from(["", " "]))
def test_anything_is_understood_or_refused(words: list[str], glue: str) -> None:
    """Neither another exception, nor a value that was not checked."""
    text = (glue or " ").join(words)
    for message in (text, f"{next(iter(COMMANDS))} {text}"):
        count, proposed = complete(FORMS, message, SETTINGS, EVERYTHING)
        assert all(word.lower().startswith(message[len(message) - count :].lower()) for word in proposed)
        try:
            addressed = strip_mention(message, {"deploybot"})
            call = read(clean(addressed.text if addressed else ""))
        except UserError:
            continue
        assert call.command.name in COMMANDS
        for value in call.arguments.values():
            if isinstance(value, Ref) and value.text:
                assert value.text.isascii()
                assert not value.text.startswith("-")


@settings(max_examples=int(os.environ.get("N", "300")), deadline=None)
@given(st.text(max_size=60))
def test_splitting_loses_nothing(text: str) -> None:
    try:
        words = split(text)
    except UserError:
        return
    bare = [token for token in words.tokens if not token.quoted]
    assert all(token.text and not any(sign.isspace() for sign in token.text) for token in bare)
    assert all(text[token.start : token.end].strip() for token in words.tokens)


def test_find() -> None:
    assert find(FORMS, "Deploy shop") is FORMS["deploy"]
    assert find(FORMS, "") is None
    assert find(FORMS, "hello deploy") is None
