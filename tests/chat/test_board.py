"""What is drawn while it is open, and what is printed for good."""

from __future__ import annotations

from dataclasses import replace

from deploybot.card import Button, Card, Tone
from deploybot.chat.console.console_protocol import Show
from deploybot.chat.console.open_cards import OpenCards
from deploybot.chat.console.styled_text import ASCII, UNICODE, Row, row_text, row_width
from tests.chat.cards import RESTORED, RUNNING, TYPO

STREAM = Card(
    title="shop, following",
    key="log-1",
    tone=Tone.BUSY,
    code=("one",),
    stream=True,
    final=False,
    buttons=(Button("Stop", "cancel log-1"),),
)


def texts(rows: list[Row]) -> list[str]:
    return [row_text(row) for row in rows]


def show(card: Card, request: str = "") -> Show:
    return Show(card.key or "m1", card, request)


def test_an_open_card_is_drawn_and_an_ended_one_is_printed() -> None:
    board = OpenCards(UNICODE)
    assert board.put(show(RUNNING), 80) == []
    assert texts(board.region(80, 20))[0] == "⠋ " + RUNNING.title
    assert texts(board.region(80, 20, frame=1))[0] == "⠙ " + RUNNING.title
    ended = replace(RUNNING, title="#42 done", tone=Tone.GOOD, final=True)
    assert texts(board.put(show(ended), 80))[0] == "✓ #42 done"
    assert board.region(80, 20) == []


def test_an_end_that_is_reported_twice_is_printed_once() -> None:
    board = OpenCards(UNICODE)
    board.put(show(RUNNING, request="7"), 80)
    ended = replace(RUNNING, title="#42 done", tone=Tone.GOOD, final=True)
    assert board.put(show(ended), 80) != []
    assert board.put(show(ended, request="8"), 80) == []
    assert texts(board.put(show(replace(ended, footer="by ana")), 80))[-2] == "  by ana"
    assert board.put(show(replace(ended, key="deployment:43")), 80) != []


def test_a_card_that_is_not_edited_is_printed_at_once() -> None:
    board = OpenCards(ASCII)
    assert texts(board.put(show(TYPO), 80)) == ["x " + TYPO.title, "  -> deploy shop"]
    assert board.titles == []


def test_the_region_never_outgrows_the_terminal() -> None:
    board = OpenCards(UNICODE)
    for number in range(12):
        board.put(show(replace(RUNNING, key=f"deployment:{number}", title=f"#{number} running")), 40)
    for height in (1, 2, 5, 12, 20, 300):
        for width in (10, 40, 80):
            region = board.region(width, height)
            assert len(region) <= height
            assert all(row_width(row) <= width for row in region)
    small = texts(board.region(40, 6))
    titles = ["⠋ #8 running", "⠋ #9 running", "⠋ #10 running", "⠋ #11 running"]
    assert small == [*titles, "  Faster checkout — Ann Example", "  …"]


def test_open_cards_keep_their_places() -> None:
    board = OpenCards(UNICODE)
    for number in (1, 2, 3, 1, 2, 1):
        board.put(show(Card(title=f"#{number}", key=f"deployment:{number}", tone=Tone.BUSY, final=False)), 80)
    assert texts(board.region(80, 20)) == ["⠋ #1", "⠋ #2", "⠋ #3"]


def test_a_followed_log_is_printed_as_it_comes() -> None:
    board = OpenCards(UNICODE)
    assert texts(board.put(show(STREAM, "7"), 80)) == ["● shop, following", "one"]
    assert texts(board.put(show(replace(STREAM, code=("two", "three")), "7"), 80)) == ["two", "three"]
    assert texts(board.region(80, 20)) == ["⠋ shop, following  Ctrl-C stops it"]
    assert board.streams == ["7"]
    end = Card(title="Stopped after 3 lines.", key="log-1", stream=True, code=("four",), footer="12 s")
    assert texts(board.put(show(end, "7"), 80)) == ["four", "Stopped after 3 lines.", "  12 s"]
    assert board.streams == []


def test_what_an_answered_request_left_open_is_printed_and_what_the_room_shows_is_not() -> None:
    board = OpenCards(UNICODE)
    board.put(show(replace(RUNNING, key="looking", title="Looking"), "1"), 80)
    board.put(show(RUNNING, ""), 80)
    assert texts(board.answered("1", 80))[0] == "● Looking"
    assert board.titles == [RUNNING.title]
    assert board.answered("1", 80) == []


def test_leaving_prints_what_was_open() -> None:
    board = OpenCards(UNICODE)
    board.put(show(STREAM), 80)
    board.put(show(replace(RESTORED, final=False)), 80)
    assert texts(board.leave(80))[0].startswith("! #43")
    assert board.titles == []


def test_what_was_open_when_the_bot_went_away_is_not_shown_as_going_on() -> None:
    board = OpenCards(UNICODE)
    board.put(show(STREAM), 80)
    board.put(show(RUNNING), 80)
    board.lose_sight()
    assert board.keys == [RUNNING.key]
    drawn = texts(board.region(80, 20))
    assert drawn[0] == "? " + RUNNING.title
    assert [line for line in drawn if line.startswith(("⠋", "●"))] == []
    assert drawn[-1] == "  Last known state. Running deployments continue on the servers."
    assert not any("cancel" in line.lower() for line in drawn)
    board.put(show(RUNNING), 80)
    assert texts(board.region(80, 20))[0] == "⠋ " + RUNNING.title
