"""Tables on phones: a line a row, at most 40 columns, and nothing is lost: the rows are folded."""

from __future__ import annotations

import ast
import random
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from commands import history
from deploybot.card import PHONE, Card, Table, Tone, narrow_rows
from deploybot.chat.slack.slack_rendering import render
from deploybot.chat.telegram.telegram_rendering import page_of
from deploybot.domain import Kind, Release, State
from deploybot.masking import MASK, Redactor
from tests.commands.test_history import deployment

TABLE = Table(("#", "who"), (("1", "ana & <ben>"),), (Tone.GOOD,), ("✓ #1 ana & <ben>",))


def columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def test_rows_never_leave_the_screen() -> None:
    dice = random.Random(7)
    letters = "ab …é部署🚀"
    for _ in range(2_000):
        count = dice.randint(1, 7)
        rows = [["".join(dice.choices(letters, k=dice.randint(0, 60))) for _ in range(count)] for _ in range(3)]
        for line in narrow_rows(rows):
            assert columns(line) <= PHONE, rows


def test_short_cells_stay_whole_and_stand_below_each_other() -> None:
    assert narrow_rows([["✓", "web1", "x" * 50], ["✗", "database", "y"]]) == [
        f"✓ web1     {'x' * 28}…",
        "✗ database y",
    ]


def test_the_history_names_each_date_once() -> None:
    day = 86_400.0
    found = [
        deployment(3),
        replace(deployment(2, kind=Kind.ROLLBACK), state=State.RESTORED),
        replace(deployment(1), state=State.FAILED, started=1_800_000_060.0 - day),
    ]
    assert history.narrow(found) == (
        "2027-01-15 (UTC)",
        "✓ #3 08:01 v1.4         ana",
        "! #2 08:01 back to v1.4 failed",
        "2027-01-14 (UTC)",
        "✗ #1 08:01 v1.4         failed",
    )


def test_the_history_of_several_environments_names_them() -> None:
    long = Release.of_commit("3" * 40, "feature/a-basket-with-a-long-name")
    found = [
        replace(deployment(1004), plan=replace(deployment(1).plan, release=long)),
        deployment(3, environment="staging"),
    ]
    lines = history.narrow(found)
    assert lines == (
        "2027-01-15 (UTC)",
        "✓ #1004 08:01 feature/a-bask… production",
        "✓ #3    08:01 v1.4            staging",
    )
    assert all(columns(line) <= PHONE for line in lines)


def test_both_chats_show_the_narrow_form_and_fold_the_rows() -> None:
    card = Card(title="History", table=TABLE)
    html = page_of(card).html
    assert "<pre>✓ #1 ana &amp; &lt;ben&gt;</pre>" in html
    assert "<blockquote expandable>1: who: ana &amp; &lt;ben&gt;</blockquote>" in html
    blocks = render(card).blocks
    preformatted = blocks[0]["elements"][-1]
    assert (preformatted["type"], preformatted["elements"][0]["text"]) == ("rich_text_preformatted", TABLE.narrow[0])
    assert blocks[-1]["child_blocks"][0]["text"]["text"] == "1: who: ana & <ben>"


def test_a_table_without_a_narrow_form_is_shown_as_before() -> None:
    card = Card(title="History", table=replace(TABLE, narrow=()))
    assert "who" in page_of(card).html
    assert "blockquote" not in page_of(card).html
    assert [block["type"] for block in render(card).blocks] == ["rich_text"]


@pytest.mark.parametrize("secret", ["correct-horse-battery"])
def test_the_narrow_form_is_masked(secret: str) -> None:
    masked = Redactor((secret,)).card(Card(title="x", table=replace(TABLE, narrow=(f"✓ {secret}", "b"))))
    assert masked.table is not None
    assert masked.table.narrow == (f"✓ {MASK}", "b")


def test_each_table_of_the_bot_has_a_form_for_phones() -> None:
    files = [*Path("commands").glob("*.py"), *Path("deploybot").rglob("*.py")]
    made = [
        (str(file), node)
        for file in files
        if file.parent.name != "cli"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Table"
    ]
    wide = [name for name, node in made if len(node.args) < 4 and all(one.arg != "narrow" for one in node.keywords)]
    assert len(made) >= 5
    assert not wide, "tables that leave the screen of a phone"
