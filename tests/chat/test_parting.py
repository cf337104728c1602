"""What a temporary bot says when its client leaves, and how it reads."""

from __future__ import annotations

import pytest

from deploybot.chat.console.client_exit import Parting, read_parting


@pytest.mark.parametrize(
    ("parting", "words"),
    [
        (Parting(), ""),
        (Parting(stays=True), ""),
        (
            Parting(stays=True, begun=(5,), waiting=(7,)),
            (
                "#5 continues in the background: a temporary bot follows it until it ends. "
                "See it with: deploybot chat -c 'status'"
            ),
        ),
        (
            Parting(stays=True, begun=(5, 6)),
            (
                "#5 and #6 continue in the background: a temporary bot follows them until they end. "
                "See it with: deploybot chat -c 'status'"
            ),
        ),
        (
            Parting(stays=True, asked=True),
            "Your commands continue in the background. See it with: deploybot chat -c 'status'",
        ),
        (Parting(waiting=(7,)), "#7 waits in the database and continues when a bot runs again: deploybot run"),
        (
            Parting(waiting=tuple(range(1, 14))),
            (
                "#1, #2, #3, #4, #5, #6, #7, #8, #9, #10 and 3 more wait in the database and continue "
                "when a bot runs again: deploybot run"
            ),
        ),
    ],
)
def test_its_words_are_the_same_on_both_sides(parting: Parting, words: str) -> None:
    assert parting.words == words
    assert read_parting(parting.line()) == parting


def test_a_bot_that_ended_without_a_word_has_none() -> None:
    assert read_parting(b"") is None
