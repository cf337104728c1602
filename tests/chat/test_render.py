"""How cards look, in full, in a wide terminal, a narrow one, and none."""

from __future__ import annotations

import io
from dataclasses import replace
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from deploybot.card import Button, Card, Line, Table, Tone
from deploybot.chat.console.styled_text import ASCII, row_width
from deploybot.chat.console.terminal_cards import plain, rows, styled
from tests.chat.cards import HELP, LOG, RESTORED, RUNNING, STATUS, TYPO
from tests.chat.test_protocol import CARDS


def said(text: str) -> str:
    return dedent(text).strip("\n")


def test_a_running_deployment_in_80_columns() -> None:
    assert plain(RUNNING, 80) == said("""
        ● #42 deploy v2 (0123456789) to shop production — running
          Faster checkout — Ann Example
          replaces v1 (abcdef0123)
          2 new commits, 3 files changed
            0123456789 Faster checkout — Ann Example
            9876543210 Round prices the way the tax office does — Ben
          ! touches migrations/0007_price.sql
          ✓ web1  fetch 0.4 s, build 31 s, switch 0.2 s
          ● web2  fetch 0.4 s, build …
          ○ web3  not begun
          by ann
          ▸ Cancel: cancel #42
    """)


def test_a_running_deployment_in_40_columns() -> None:
    assert plain(RUNNING, 40) == said("""
        ● #42 deploy v2 (0123456789) to shop
          production — running
          Faster checkout — Ann Example
          replaces v1 (abcdef0123)
          2 new commits, 3 files changed
            0123456789 Faster checkout — Ann
            Example
            9876543210 Round prices the way the
            tax office does — Ben
          ! touches migrations/0007_price.sql
          ✓ web1  fetch 0.4 s, build 31 s,
                  switch 0.2 s
          ● web2  fetch 0.4 s, build …
          ○ web3  not begun
          by ann
          ▸ Cancel: cancel #42
    """)


def test_a_restored_deployment_in_80_columns() -> None:
    assert plain(RESTORED, 80) == said("""
        ! #43 deploy v3 (3333333333) to shop production — failed, the old release is
          back
          web1 was not healthy within 60 s: GET http://127.0.0.1:8000/healthz said 500.
          v2 (0123456789) runs again.
          ! web1  fetch 0.4 s, switch 0.2 s, back: switch 0.1 s
          │ Traceback (most recent call last):
          │   File "app.py", line 3
          │ KeyError: 'PRICE'
          by ann, took 1 min 33 s, full log: logs #43
          ▸ Try again: deploy shop@0123456789012345678901234567890123456789 to production
          ▸ What runs now: status shop production
    """)


def test_a_table_in_80_columns() -> None:
    assert plain(STATUS, 80) == said("""
        Status
            app   environment  server  release           since         health
          ✓ shop  production   web1    v2 (0123456789)   3 h by ann    healthy
          ✗ shop  production   web2    v1 (abcdef0123)   4 d by ben    unhealthy: HTTP
                                                                       500
          ✓ blog  production   web2    main              2 min by ann  healthy
                                       (4444444444)
    """)


def test_a_table_in_40_columns_becomes_blocks() -> None:
    assert plain(STATUS, 40).startswith(
        said("""
        Status
          ✓ shop
              environment  production
              server       web1
              release      v2 (0123456789)
              since        3 h by ann
              health       healthy
          ✗ shop
    """)
    )


def test_without_a_width_every_line_is_whole() -> None:
    assert plain(STATUS) == said("""
        Status
            app   environment  server  release            since         health
          ✓ shop  production   web1    v2 (0123456789)    3 h by ann    healthy
          ✗ shop  production   web2    v1 (abcdef0123)    4 d by ben    unhealthy: HTTP 500
          ✓ blog  production   web2    main (4444444444)  2 min by ann  healthy
    """)
    assert plain(RESTORED).splitlines()[0] == "! " + RESTORED.title


def test_an_error_has_its_hint() -> None:
    assert plain(TYPO, 80) == "✗ No app `shpo`, did you mean `shop`?\n  → deploy shop"


def test_a_log_is_printed_as_it_is() -> None:
    assert plain(LOG, 40) == said(f"""
        shop production, last 2 lines
        web1  GET / 200
        web2  GET /cart 500 {"x" * 80}
          shop.log.gz: /var/lib/deploybot/shop.log.gz
          2 servers
    """)


def test_help_has_no_symbols() -> None:
    assert plain(HELP, 80) == "Commands\n  deploy  Put a release onto an environment.\n  status  The board."


def test_a_terminal_without_unicode() -> None:
    text = plain(RUNNING, 80, ASCII)
    assert "* #42" in text
    assert "  + web1  " in text
    assert "  > Cancel: cancel #42" in text


def test_long_names_stand_on_a_line_of_their_own() -> None:
    card = Card(title="t", lines=(Line("a-server-with-a-name-beyond-all-bounds", "ok"), Line("web1", "ok")))
    assert plain(card, 40) == said("""
        t
          a-server-with-a-name-beyond-all-bounds
              ok
          web1
              ok
    """)


@pytest.mark.parametrize("text", ["[bold]x[/bold]", "[/]", ":smile:", "[link=http://evil]x[/link]", "`code` *b*"])
def test_nothing_is_read_as_markup(text: str) -> None:
    card = Card(title=text, text=text, lines=(Line(text, text),), code=(text,), footer=text, hint=text)
    out = io.StringIO()
    Console(file=out, width=80, color_system=None).print(styled(rows(card, 80)), soft_wrap=True, highlight=False)
    assert out.getvalue().rstrip("\n") == plain(card, 80)
    assert out.getvalue().count(text) == 7


def test_colour_only_repeats_what_is_written() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system="standard", _environ={})
    console.print(styled(rows(STATUS, 80)), soft_wrap=True, highlight=False)
    assert "\x1b[32m✓\x1b[0m shop" in out.getvalue()
    assert "\x1b[31m✗\x1b[0m \x1b[31mshop" in out.getvalue()


@given(CARDS, st.sampled_from([20, 40, 80]))
def test_no_sentence_is_wider_than_the_terminal(card: Card, width: int) -> None:
    lines = tuple(replace(line, name="web1") for line in card.lines)
    card = replace(card, lines=lines, table=None, code=(), files=(), buttons=())
    assert all(row_width(row) <= width for row in rows(card, width))


@given(CARDS)
def test_every_card_can_be_shown(card: Card) -> None:
    for width in (1, 40, None):
        assert cell_len(plain(card, width)) >= 0


def test_a_table_without_rows() -> None:
    assert plain(Card(title="History", table=Table(("number", "release"), ())), 80) == "History\n  number  release"


def test_a_table_of_many_columns_and_no_room() -> None:
    table = Table(tuple("abcdefghij"), (tuple("0123456789"),), (Tone.UNKNOWN,))
    assert plain(Card(title="t", table=table), 20).splitlines()[:3] == ["t", "  ? 0", "      b  1"]


def test_a_button_that_is_called_as_its_command_is_shown_once() -> None:
    buttons = (Button("deploy shop@v2", "deploy shop@v2"), Button("Cancel", "cancel #42"))
    shown = "t\n  ▸ deploy shop@v2   ▸ Cancel: cancel #42"
    assert plain(Card(title="t", buttons=buttons), 80) == shown


def test_what_a_button_asks_for_is_to_be_typed() -> None:
    buttons = (
        Button("Approve", "approve #42", asks="Your one-time code?", asks_code=True),
        Button("Reject", "reject #42", danger=True, asks="Why?"),
    )
    shown = plain(Card(title="t", buttons=buttons), 80)
    assert "Approve: approve #42 code …" in shown
    assert "Reject: reject #42 because …" in shown
