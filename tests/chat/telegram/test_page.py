"""Cards as HTML: never refused, shown as they are, waking and linking nobody, whatever people and commits wrote."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace

import pytest

from deploybot.card import Button, Card, Line, Mention, Table, Tone
from deploybot.chat.console.terminal_text import clean, clean_line
from deploybot.chat.telegram.inline_keyboard import keyboard
from deploybot.chat.telegram.telegram_escaping import JOINER, cut, literal, units
from deploybot.chat.telegram.telegram_rendering import alert_of, page_of
from deploybot.chat.telegram.telegram_reply_target import NOTE
from deploybot.domain import Identity
from tests.chat.cards import HELP, LOG, RESTORED, RUNNING, STATUS, TYPO
from tests.doubles.telegram import Refused, read
from tests.doubles.telegram.markup import Read
from tests.doubles.telegram.shapes import keyboard_of

CARDS = int(os.environ.get("N", "5000"))
PIECES = (
    *("<b>", "</b>", "<", ">", "&", "&lt;", "&amp;", "&#64;", "<a href='http://evil.example'>x</a>", "<pre>", "</i>"),
    *("*bold*", "_it_", "`code`", "~s~", "||spoiler||", "[x](http://evil.example)", "```", "\\", "{}", "${X}", "<!--"),
    *("@all", "@channel", "@here", "@everyone", "@ana", "@thebot", "<!channel>", "<@U012>", "@ana_99", "(@ana)"),
    *("/deploy", "/deploy@thebot", "#tag", "#42", "$USD", "+49 30 123456", "https://evil.example/?q=1", "t.me/evil"),
    *("www.evil.example", "tg://user?id=1", "203.0.113.10", "ana@evil.example", "feature/cart_2-x", "v1.4.0-rc.1"),
    *("\u202e", "\u200f", "\u2066", "\u2069", "\u200b", "\u2060", "\u00ad", "\ufeff", "\ud800", "\x00", "\x1b[31m"),
    *("\r", "\t", "\u2028", "e\u0301\u0301\u0301\u0301", "ש", "מבחן", "مرحبا", "日本語", "💥", "👩‍👩‍👧", "\U0001d54f"),
    *("ﷺ", "ﬁ", "İ"),
    *("a", "shop", "production", "word", "0", ".", ",", ":", "-", "'", '"', "…", "  "),
)  # fmt: skip


def told(card: Card) -> Read:
    """A card as people see it; Refused where Telegram would refuse it."""
    return read(page_of(card).html, "HTML")


def shown(seen: Read) -> str:
    return seen.text.replace(JOINER, "")


def wild(dice: random.Random, most: int = 6) -> str:
    """What a stranger may call a branch."""
    return "".join(dice.choice(PIECES) + dice.choice(["", "", " "]) for _ in range(dice.randint(1, most)))


def wild_card(dice: random.Random) -> Card:
    """A card in which everything was written by a stranger."""
    code = tuple(wild(dice) for _ in range(dice.randint(0, 3)))
    return Card(
        title=f"t {wild(dice)}",
        key="k",
        tone=dice.choice(list(Tone)),
        text="\n".join(wild(dice) for _ in range(dice.randint(0, 3))),
        lines=tuple(Line(wild(dice, 2), wild(dice), dice.choice(list(Tone))) for _ in range(dice.randint(0, 3))),
        table=Table(("a", "b"), ((wild(dice, 2), wild(dice, 3)),)) if dice.random() < 0.2 else None,
        code=code if dice.random() < 0.98 else code * dice.randint(1, 500),
        buttons=tuple(Button(wild(dice), "c", asks=dice.choice(["", wild(dice)])) for _ in range(dice.randint(0, 2))),
        footer=wild(dice),
        hint=wild(dice) * dice.choice([1, 1, 1, 40]),
    )


def parts(card: Card) -> list[str]:
    """All that has to be read in a card that is not too long."""
    lines = [part for line in card.lines for part in (clean_line(line.name), clean(line.text))]
    texts = [clean(card.title), *clean(card.text).split("\n"), *lines, *map(clean_line, card.code)]
    return [part.strip() for text in texts for part in text.split("\n")]


def test_what_anybody_wrote_is_shown_literally_and_wakes_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    refused = pings = links = garbled = 0
    for _ in range(CARDS):
        card = wild_card(dice)
        try:
            page = page_of(card)
            seen = read(page.html, "HTML")
            markup = keyboard(card.buttons, ["t" * 24] * len(card.buttons))
            keyboard_of({"reply_markup": markup.to_json()} if markup else {})
        except Refused:
            refused += 1
            continue
        pings += len(seen.pings)
        links += sum(one.kind not in {"b", "i", "pre"} for one in seen.entities)
        whole = page.whole or shown(seen)
        garbled += sum(part not in whole for part in parts(card))
    with capsys.disabled():
        print(  # noqa: T201  it is told to whoever runs it
            f" seed {seed}: {refused} of {CARDS} refused, {pings} pings, {links} links, {garbled} not literal", end=""
        )
    assert (refused, pings, links, garbled) == (0, 0, 0, 0)


@pytest.mark.parametrize("card", [RUNNING, RESTORED, STATUS, TYPO, LOG, HELP])
def test_cards_are_read_by_the_double(card: Card) -> None:
    assert clean(card.title) in shown(told(card))


def test_a_deployment_reads_well() -> None:
    assert told(RUNNING).html.replace(JOINER, "") == (
        "⏳ <b>#42 deploy v2 (0123456789) to shop production — running</b>\n"
        "Faster checkout — Ann Example\n"
        "replaces v1 (abcdef0123)\n"
        "2 new commits, 3 files changed\n"
        "  0123456789 Faster checkout — Ann Example\n"
        "  9876543210 Round prices the way the tax office does — Ben\n"
        "⚠️ touches migrations/0007_price.sql\n"
        "✅ <b>web1</b>  fetch 0.4 s, build 31 s, switch 0.2 s\n"
        "⏳ <b>web2</b>  fetch 0.4 s, build …\n"
        "▫️ <b>web3</b>  not begun\n"
        "<i>by ann</i>"
    )


def test_what_looks_like_code_is_not_broken_by_joiners() -> None:
    for harmless in ("#42", "v1.4.0", "/srv/shop", "deploy shop@v1.4", "1.5 s", "a/b/c", "0123456789", "web1,web2"):
        assert literal(harmless) == harmless


def test_logs_hold_no_invisible_sign() -> None:
    """So that what is copied out of them is what was there."""
    assert JOINER not in page_of(Card(title="t", code=("GET https://shop.example/@ana /deploy",))).html


@pytest.mark.parametrize("size", [4_000, 4_090, 4_096, 4_100, 10_000])
@pytest.mark.parametrize("sign", ["x", "é", "💥", "<", "&", "x ", "x\n"])
def test_any_length_fits(size: int, sign: str) -> None:
    text = sign * (size // len(sign))
    for card in (
        Card(title="t", text=text),
        Card(title="t", code=(text,)),
        Card(title=text),
        Card(title="t", hint=text),
    ):
        assert units(told(card).text) <= 4096
    many = tuple(Line(f"web{number}", text[:60], Tone.GOOD) for number in range(200))
    assert "web0" in told(Card(title="t", lines=many)).text


def test_what_was_cut_goes_along_whole() -> None:
    card = replace(RUNNING, text="\n".join(f"commit {number} @ana" for number in range(1000)))
    page = page_of(card)
    assert all(f"commit {number} @ana" in page.whole for number in range(1000))
    assert JOINER not in page.whole
    assert page.name(card) == "deployment-42.txt"
    assert page_of(RUNNING).whole == ""


def test_a_cut_breaks_between_words_and_never_in_a_sign() -> None:
    assert cut("one two three", 9) == "one two…"
    assert cut("💥" * 10, 7) == "💥💥💥…"
    assert cut("short", 5) == "short"


def test_a_note_holds_the_sentence_and_what_to_do() -> None:
    note = alert_of(Card(title="No app `shpo`, did you mean `shop`?", hint="deploy shop " * 50), NOTE)
    assert note.startswith("No app `shpo`, did you mean `shop`? deploy shop")
    assert len(note) <= NOTE


def test_nothing_at_all_is_still_a_message() -> None:
    for title in ("", " ", "\u202e", "\n"):
        assert told(Card(title=title)).text


def test_keyboards_are_what_the_double_takes() -> None:
    made = keyboard([Button("\u202e", "help"), Button("x", "y", danger=True)], ["t" * 24, "u" * 24])
    assert made is not None
    buttons = keyboard_of({"reply_markup": json.dumps(made.to_dict())})
    assert [(one["text"], one.get("style")) for one in buttons] == [("help", None), ("x", "danger")]
    approve = keyboard([Button("Approve", "approve #1", primary=True)], ["t" * 24])
    assert approve is not None
    assert approve.inline_keyboard[0][0].style == "success"


def test_details_are_folded_and_cut_first() -> None:
    lines = tuple(Line(f"line {number}", "x" * 90) for number in range(60))
    page = page_of(
        Card(title="t", text="y" * 2_000, details=(Line("compare", "here", url="https://a.example"), *lines))
    )
    assert '<blockquote expandable><a href="https://a.example">compare</a>: here\nline 0: x' in page.html
    assert "y" * 2_000 in page.html
    assert "line 59" not in page.html
    assert "line 59: x" in page.whole
    assert "expandable" not in page_of(Card(title="t", text="y" * 4_050, details=lines)).html


def test_people_who_are_to_be_woken_are_mentioned_by_their_numbers_and_nobody_else() -> None:
    ids = [Identity("telegram", "1002"), Identity("slack", "U0BEN"), Identity("telegram", '1"><b>')]
    html = page_of(Card(title="x", wakes=tuple(Mention(one, "ben<b>@all") for one in ids))).html
    seen = read(html, "HTML")
    assert [(one.kind, one.value) for one in seen.entities if one.kind == "text_mention"] == [("text_mention", "1002")]
    assert html.count("tg://user?id=") == html.count("tg://user?id=1002") == 1
    assert "ben<b>@all" in shown(seen)
    many = tuple(Mention(Identity("telegram", str(number)), "x") for number in range(1, 500))
    assert page_of(Card(title="x", wakes=many)).html.count("tg://") == 20
