"""docs/cards.md shows every state, and the pictures stay small."""

from __future__ import annotations

import re

from deploybot.domain import Identity, RequestVerdict, State
from tests.doubles.card_pictures import CHATS, DOCS, FOLDER, MOST_BYTES, WIDTHS, file_name, page
from tests.doubles.card_states import TITLES, deployments

PNG = b"\x89PNG\r\n\x1a\n"
WORDS = {
    State.WAITING: "request",
    State.RUNNING: "running",
    State.RESTORING: "running",
    State.SUCCEEDED: "succeeded",
    State.FAILED: "failed",
    State.RESTORED: "restored",
    State.CANCELLED: "cancelled",
    State.UNKNOWN: "unknown",
}
VERDICTS = {RequestVerdict.REJECTED: "rejected", RequestVerdict.VOID: "void", RequestVerdict.EXPIRED: "expired"}


def test_every_state_has_its_pictures_and_no_other_is_there() -> None:
    wanted = {file_name(state, chat, width) for state in TITLES for chat in CHATS for width in WIDTHS}
    assert {path.name for path in FOLDER.iterdir()} == wanted
    for path in FOLDER.iterdir():
        assert path.read_bytes().startswith(PNG), path.name


def test_the_page_names_every_picture() -> None:
    text = (DOCS / "cards.md").read_text()
    assert text == page(), "run python -m tests.doubles.card_pictures"
    assert {*re.findall(r"\(pictures/cards/([^)]+)\)", text)} == {path.name for path in FOLDER.iterdir()}


def test_the_pictures_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MOST_BYTES


def test_no_state_of_a_deployment_or_request_is_missing() -> None:
    assert {*WORDS} == {*State}
    assert {*VERDICTS} == {*RequestVerdict} - {RequestVerdict.NONE}
    assert {*WORDS.values(), *VERDICTS.values()} <= {*TITLES}


def test_each_picture_shows_the_state_that_it_names() -> None:
    words = {
        "request": "waiting for 1 approval",
        "running": "running",
        "succeeded": "succeeded",
        "restored": "failed, rolled back to v1.3",
        "failed": "failed",
        "cancelled": "cancelled",
        "rejected": "rejected",
        "void": "void",
        "expired": "expired",
        "unknown": "end unknown",
        "break-glass": "(break glass)",
    }
    cards = deployments(lambda name: Identity("slack", name))
    for state, word in words.items():
        card = cards[state]
        assert card is not None
        assert word in card.title, state
