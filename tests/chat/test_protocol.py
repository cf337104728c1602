"""The console protocol: every message survives its line, everything else is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploybot.card import Button, Card, File, Line, Table, Tone
from deploybot.chat.console.console_protocol import (
    ANSWER_LIMIT,
    VERSION,
    Answer,
    Candidates,
    Complete,
    ConsoleRefused,
    Done,
    Hello,
    LineRequest,
    ProtocolError,
    Request,
    Show,
    StopRequest,
    WatchRequest,
    Welcome,
    bounded,
    decode_answer,
    decode_request,
    encode,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)
TONES = st.sampled_from(Tone)
FLAG = st.booleans()


@st.composite
def tables(draw: st.DrawFn) -> Table:
    columns = draw(st.lists(TEXT, min_size=1, max_size=4))
    row = st.tuples(*[TEXT] * len(columns))
    rows = draw(st.lists(row, max_size=4))
    return Table(tuple(columns), tuple(rows), tuple(draw(st.lists(TONES, max_size=len(rows)))))


CARDS = st.builds(
    Card,
    title=TEXT,
    key=TEXT,
    tone=TONES,
    text=TEXT,
    lines=st.lists(st.builds(Line, TEXT, TEXT, TONES), max_size=3).map(tuple),
    table=st.none() | tables(),
    code=st.lists(TEXT, max_size=3).map(tuple),
    buttons=st.lists(st.builds(Button, TEXT, TEXT, FLAG), max_size=3).map(tuple),
    files=st.lists(st.builds(File, TEXT, TEXT), max_size=2).map(tuple),
    footer=TEXT,
    hint=TEXT,
    private=FLAG,
    stream=FLAG,
    final=FLAG,
    ok=FLAG,
    queued=FLAG,
    aside=FLAG,
)
REQUESTS = st.one_of(
    st.builds(Hello, st.integers(0, 9), st.sampled_from(["", "ben", "a_b-c"]), FLAG),
    st.builds(LineRequest, IDS, TEXT),
    st.builds(Complete, IDS, TEXT),
    st.builds(WatchRequest, IDS, TEXT),
    st.builds(StopRequest, IDS),
)
ANSWERS = st.one_of(
    st.builds(Welcome, st.just(VERSION), TEXT, TEXT),
    st.builds(Show, TEXT, CARDS, TEXT, FLAG),
    st.builds(Candidates, TEXT, st.lists(TEXT, max_size=3).map(tuple), st.integers(0, 99)),
    st.builds(Done, TEXT, FLAG, TONES, TEXT),
    st.builds(ConsoleRefused, TEXT, TEXT),
)


@given(REQUESTS)
def test_a_request_survives_its_line(message: Request) -> None:
    line = encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_request(line) == message


@given(ANSWERS)
def test_an_answer_survives_its_line(message: Answer) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode_answer(line) == message


@given(
    st.binary(max_size=60) | st.recursive(st.none() | st.integers() | TEXT, st.lists).map(json.dumps).map(str.encode)
)
def test_anything_else_is_refused_as_such(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_request(line)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"type":"say","id":1,"text":"x"}', "a `say` message is wrong: id: Input should be a valid string"),
        (b'{"type":"say","id":"1"}', "a `say` message is wrong: text: Field required"),
        (b'{"type":"say","id":"","text":"x"}', "a `say` message is wrong: id: String should have at least 1 character"),
        (b'{"type":"card"}', "a line has an unknown `type`"),
        (b'{"type":["say"]}', "a line has an unknown `type`"),
        (b"[" * 100_000, "a line is not JSON"),
        (b'{"type":"say","id":"1","text":"\\ud800"}', "a `say` message is wrong: "),
    ],
)
def test_the_answer_to_a_wrong_request_names_what_is_wrong(line: bytes, why: str) -> None:
    with pytest.raises(ProtocolError, match="^" + why.replace("(", r"\(")):
        decode_request(line)


@pytest.mark.parametrize("name", ["Ben", "-ben", "ben/root", "ben:1", "ben\n", "x" * 41, "bén"])
def test_a_name_that_is_no_persons_name_is_refused(name: str) -> None:
    with pytest.raises(ProtocolError):
        decode_request(json.dumps({"type": "hello", "version": 1, "name": name}).encode())


def test_keys_of_a_later_version_are_passed_over() -> None:
    assert decode_answer(b'{"type":"done","request":"1","news":[1]}') == Done("1")


def test_defaults_are_left_out() -> None:
    assert encode(Show("m1", Card(title="Hi"))) == b'{"type":"card","message":"m1","card":{"title":"Hi"}}\n'


def test_half_a_surrogate_pair_does_not_break_the_line() -> None:
    answer = decode_answer(encode(Show("m1", Card(title="a\ud800b"))))
    assert isinstance(answer, Show)
    assert answer.card.title == "a?b"


def test_code_keeps_its_last_lines_when_there_is_too_much() -> None:
    card = bounded(Card(title="log", code=tuple(f"line {number}" for number in range(10))), 20)
    assert card.code == ("… earlier lines are left out …", "line 7", "line 8", "line 9")
    assert bounded(Card(title="log", code=("x" * 50,)), 20).code == ("… earlier lines are left out …", "x" * 20)


def test_a_huge_card_still_fits_a_line() -> None:
    line = encode(Show("m1", Card(title="big", key="k", text="x" * ANSWER_LIMIT, ok=False)))
    assert len(line) < 1000
    answer = decode_answer(line)
    assert isinstance(answer, Show)
    assert (answer.card.title, answer.card.key, answer.card.ok) == ("big", "k", False)
    assert "too large" in answer.card.hint
