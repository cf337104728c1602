"""Cards as blocks: never more than Slack takes, and everything literal, whatever people and commits wrote."""

from __future__ import annotations

import json
import os
import random
import re

import pytest

from deploybot import Button, Card, Line, Table, Tone
from deploybot.card import Mention
from deploybot.chat.slack.slack_escaping import cut, escaped, last_lines, visible
from deploybot.chat.slack.slack_rendering import bare, render, whole
from deploybot.chat.slack.slack_views import choice, home, question
from deploybot.domain import Identity
from tests.chat.slack.workspace import dice, tell
from tests.doubles.slack.mrkdwn import escape, read_blocks, read_text
from tests.doubles.slack.rules import check_message, check_view

N = int(os.environ.get("N", "5000"))
MARKUP = (
    "<!channel>", "<!here|x>", "@channel", "@here",
    "@everyone", "<@U0BOT>", "<#C1|ops>", "&lt;!channel&gt;", "&amp;",
    "*bold*", "_it_", "~no~",
    "`code`", "```\nx", "<https://evil.example|safe>", "https://evil.example/x?a=b&c=d",
    "mailto:a@b.example", ":fire:", "> quote", "<!date^1^{date}|x>", "<",
    ">", "&", "|", "\u202egnp.exe", "\u2066x\u2069",
    "\u200b", "e\u0301" * 3, "\u0000", "\x1b[31mred\x1b[0m", "\r\n",
    "\u2028", "日本語", "🚀", "👩‍👩‍👧", "feature/a_b-c*d", "v1.4_rc*",
    "[text](https://evil.example)", "<b>x</b>", "\ud800", "a" * 20, " ", "\t",
)  # fmt: skip
UNSEEN = re.compile("[\u202a-\u202e\u2066-\u2069\u200b\u200e\u200f\x00-\x09\x0b-\x1f\x7f]")


def some_text(rolls: random.Random, most: int = 3) -> str:
    return "".join(rolls.choice(MARKUP) for _ in range(rolls.randint(1, most)))


def some_card(rolls: random.Random) -> Card:
    def text() -> str:
        return some_text(rolls)

    tones = list(Tone)
    return Card(
        title=text(),
        tone=rolls.choice(tones),
        text=text() if rolls.random() < 0.5 else "",
        lines=tuple(Line(text(), text(), rolls.choice(tones)) for _ in range(rolls.randint(0, 5))),
        table=Table(("who", text()), tuple((text(), text()) for _ in range(rolls.randint(0, 4))))
        if rolls.random() < 0.3
        else None,
        code=tuple(text() for _ in range(rolls.randint(0, 4))),
        buttons=tuple(
            Button(text(), text(), danger=rolls.random() < 0.3, asks=text() if rolls.random() < 0.2 else "")
            for _ in range(rolls.randint(0, 4))
        ),
        footer=text() if rolls.random() < 0.3 else "",
        hint=text() if rolls.random() < 0.3 else "",
        final=rolls.random() < 0.5,
    )


def tokens_of(card: Card) -> tuple[str, ...]:
    return tuple(f"token{number:019d}" for number in range(len(card.buttons)))


def as_payload(card: Card) -> dict[str, object]:
    made = render(card, tokens_of(card))
    return {"text": made.text, "blocks": json.loads(json.dumps(made.blocks))}


def shown(text: str) -> str:
    """What is to be seen of a text."""
    return " ".join(visible(text).split())


def test_generated_texts_are_taken_and_wake_nobody_and_are_literal() -> None:
    rolls = dice()
    refused = pings = changed = 0
    for _ in range(N):
        card = some_card(rolls)
        payload = as_payload(card)
        refused += bool([*check_message(payload)])
        seen, notice = read_blocks(payload["blocks"]), read_text(str(payload["text"]))  # type: ignore[arg-type]
        pings += bool(seen.pings or notice.pings)
        text = " ".join(seen.text.split())
        wanted = [card.title, *(line.name for line in card.lines), *(line.text for line in card.lines), card.footer]
        changed += not all(shown(one) in text for one in wanted) or bool(seen.styled or UNSEEN.search(seen.text))
        for button, press in zip(card.buttons, seen.buttons, strict=True):
            changed += not (shown(press.label) in {shown(button.label), "…"} or press.label.endswith("…"))
    tell(f"{refused} of {N} refused, {pings} of {N} woke somebody, {changed} of {N} were not literal")
    assert (refused, pings, changed) == (0, 0, 0)


@pytest.mark.parametrize("sign", ["a", "é", "日", "🚀", "&", "<"])
@pytest.mark.parametrize("size", [9_000])
def test_however_long_a_card_is_it_fits(sign: str, size: int) -> None:
    long = sign * size
    card = Card(
        title=long,
        text=long,
        lines=tuple(Line(f"web{number}", long) for number in range(30)),
        table=Table(("a", "b"), tuple((str(row), sign * 400) for row in range(100))),
        code=tuple(long for _ in range(8)),
        buttons=tuple(Button(long, f"deploy {long}", danger=True, asks=long) for _ in range(120)),
        footer=long,
        hint=long,
    )
    for more in (card, Card(title="x", code=(long,)), Card(title="x", text=long), Card(title=long)):
        payload = as_payload(more)
        assert [*check_message(payload)] == []
        assert render(more).was_cut is True
        assert "full text is in the thread" in read_blocks(render(more).blocks).text
    assert whole(card).count(sign) >= 35 * size


def test_what_fits_is_not_cut() -> None:
    card = Card(title="Log of shop", code=tuple(f"line {number} of the log" for number in range(40)), footer="web1")
    made = render(card)
    assert not made.was_cut
    assert all(f"line {number} of" in read_blocks(made.blocks).text for number in range(40))


@pytest.mark.parametrize("nothing", ["", "\u2028", "\u200b", "\x1b[0m", " \n "])
def test_what_is_not_to_be_seen_leaves_no_empty_blocks(nothing: str) -> None:
    card = Card(
        title=nothing,
        text=nothing,
        lines=(Line(nothing, nothing),),
        table=Table((nothing,), ((nothing,),)),
        code=(nothing,),
        buttons=(Button(nothing, nothing, danger=True), Button(nothing, nothing, asks=nothing or " ")),
        footer=nothing,
        hint=nothing,
    )
    assert [*check_message(as_payload(card))] == []
    assert [*check_view(home([card]))] == []
    assert [*check_view(question(nothing, {}, code=False))] == []
    assert [*check_view(choice(card, ("t1", "t2"), {}))] == []


def test_of_a_long_log_the_end_is_kept() -> None:
    text = read_blocks(render(Card(title="Log", code=tuple(f"line {number}" for number in range(5_000)))).blocks).text
    assert "line 4999" in text
    assert "line 3\n" not in text


def test_a_table_is_lined_up() -> None:
    card = Card(
        title="Status", table=Table(("app", "release"), (("shop", "v1"), ("日本", "v2")), (Tone.GOOD, Tone.BAD))
    )
    rows = read_blocks(render(card).blocks).text.splitlines()
    assert rows[-3:] == ["   app   release", "✓  shop  v1", "✗  日本  v2"]


def test_a_wide_table_becomes_lines() -> None:
    card = Card(title="Apps", table=Table(("app", "about"), (("shop", "x" * 120), ("blog", ""))))
    text = read_blocks(render(card).blocks).text
    assert f"shop  about: {'x' * 120}" in text
    assert text.rstrip().endswith("blog")


def test_a_dangerous_button_asks_back_unless_it_asks_anyway() -> None:
    card = Card(
        title="x", buttons=(Button("Cancel", "cancel #1", danger=True), Button("No", "x", danger=True, asks="Why?"))
    )
    sure, why = render(card, ("t1", "t2")).blocks[-1]["elements"]
    assert sure["confirm"]["text"]["text"] == "cancel #1"
    assert "confirm" not in why
    assert (why["action_id"], why["value"]) == ("ask:1:Why?", "t2")


def test_the_button_that_a_message_is_about_is_marked() -> None:
    card = Card(title="x", buttons=(Button("Approve", "approve #1", primary=True), Button("Status", "status")))
    assert [one.get("style") for one in render(card, ("t1", "t2")).blocks[-1]["elements"]] == ["primary", None]


def test_details_that_are_too_long_are_cut_before_anything_else() -> None:
    details = tuple(Line(f"line {number}", "é" * 500) for number in range(100))
    card = Card(title="x", text="y" * 2_900, details=details, buttons=(Button("Approve", "approve #1"),))
    made = render(card, ("t1",))
    assert [*check_message({"text": made.text, "blocks": made.blocks})] == []
    shown = read_blocks(made.blocks)
    assert (made.was_cut, "y" * 2_900 in shown.text, "line 1: " in shown.text) == (True, True, True)
    assert "Too long for one message" in shown.text
    assert "line 99" in whole(card)


def test_a_warning_in_a_text_stands_out() -> None:
    assert "⚠️ disk is full" in read_blocks(render(Card(title="x", text="fine\n! disk is full")).blocks).text


def test_as_nothing_but_text_it_is_literal_too() -> None:
    card = Card(title="<!channel> @here", text="*x* " * 2_000)
    made = bare(card)
    assert len(made.text) < 4_000 * 5
    assert made.was_cut
    assert read_text(made.text).pings == []


def test_the_notification_says_the_title() -> None:
    seen = read_text(render(Card(title="#42 a & b <c> @channel", tone=Tone.GOOD)).text)
    assert seen.text.replace("\u200b", "") == "✅ #42 a & b <c> @channel"
    assert seen.pings == []


@pytest.mark.parametrize(
    ("text", "most", "short"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("one two three", 9, "one two…"), ("", 0, ""), ("abc", 0, "…")],
)
def test_a_cut_is_at_a_sensible_place(text: str, most: int, short: str) -> None:
    assert cut(text, most) == short


def test_last_lines_of_a_log() -> None:
    assert last_lines(["a", "b", "c"], 4) == ["b", "c"]
    assert last_lines(["a", "b" * 50], 10) == ["b" * 9 + "…"]
    assert last_lines([], 10) == []


def test_escaping_is_the_one_that_slack_describes() -> None:
    assert escaped("<&>") == escape("<&>") == "&lt;&amp;&gt;"


def test_people_who_are_to_be_woken_are_mentioned_by_their_ids_and_nobody_else() -> None:
    ids = [Identity("slack", "U0BEN", "T1"), Identity("telegram", "1002"), Identity("slack", "!channel")]
    made = render(Card(title="x", wakes=tuple(Mention(one, "@here") for one in ids)))
    assert not list(check_message({"text": made.text, "blocks": made.blocks}))
    users = re.findall(r'"user_id": "([^"]*)"', json.dumps(made.blocks))
    assert users == ["U0BEN"]
    assert "channel" not in json.dumps(made.blocks)
    many = tuple(Mention(Identity("slack", f"U0{number}"), "x") for number in range(500))
    assert json.dumps(render(Card(title="x", wakes=many)).blocks).count("user_id") == 20
