"""Times of cards: in the reader's zone where the platform can show that, and nothing else is taken for one."""

from __future__ import annotations

from typing import Any

import pytest

from deploybot.card import Card, Line, Moment, split_times
from deploybot.chat.button_tokens import ButtonTokens
from deploybot.chat.console.terminal_cards import plain
from deploybot.chat.resumed_uploads import Uploads
from deploybot.chat.slack.slack_rendering import render
from deploybot.chat.telegram.telegram_posting import Post
from deploybot.chat.telegram.telegram_rendering import page_of
from deploybot.deployments.deployment_card import deployment_card
from deploybot.domain import Channel, State
from deploybot.errors import UserError
from deploybot.testing import FakeClock, memory_store
from tests.deployments.test_phone import deployment_of, plan_of, request_of
from tests.doubles.slack.rules import check_message
from tests.doubles.telegram.markup import Refused, read

AT = 1_795_269_900.0
CLOCK, WHOLE = Moment("14:05 UTC", AT), Moment("2026-11-21 14:05 UTC", AT)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("expires 14:05 UTC", ["14:05 UTC"]),
        ("14:05 UTC, or 2026-11-21 14:05 UTC.", ["14:05 UTC", "2026-11-21 14:05 UTC"]),
        ("because it broke at 2025-01-01 14:05 UTC", []),
        ("at 114:05 UTC, 14:05 UTCX, 3:14:05 UTC, v14:05 UTC", ["14:05 UTC"]),
        ("", []),
    ],
)
def test_only_the_times_of_the_card_are_found(text: str, found: list[str]) -> None:
    """A clock time behind another date is another moment."""
    pieces = split_times(text, (CLOCK, WHOLE))
    assert "".join(piece for piece, _ in pieces) == text
    assert [piece for piece, moment in pieces if moment] == found


def test_slack_shows_them_in_the_zone_of_the_reader() -> None:
    card = Card(
        title="x",
        text="asked 14:05 UTC",
        lines=(Line("a", "at 14:05 UTC"),),
        footer="ends 2026-11-21 14:05 UTC",
        times=(CLOCK, WHOLE),
    )
    blocks = render(card).blocks
    assert [*check_message({"text": "x", "blocks": blocks})] == []
    dates = [one for part in blocks[0]["elements"] for one in part["elements"] if one["type"] == "date"]
    clock = {"type": "date", "timestamp": 1_795_269_900, "format": "{time}", "fallback": "14:05 UTC"}
    assert dates == [
        clock,
        clock,
        {**clock, "format": "{date_num} {time}", "fallback": "2026-11-21 14:05 UTC", "style": {"italic": True}},
    ]


def test_telegram_shows_them_in_the_zone_of_the_reader() -> None:
    card = Card(
        title="x",
        text="<b> 14:05 UTC",
        lines=(Line("a", "at 14:05 UTC"),),
        footer="ends 2026-11-21 14:05 UTC",
        times=(CLOCK, WHOLE),
    )
    html = page_of(card).html
    clock = '<tg-time unix="1795269900" format="t">14:05 UTC</tg-time>'
    assert f"&lt;b&gt; {clock}" in html
    assert f"at {clock}" in html
    assert '<i>ends <tg-time unix="1795269900" format="dt">2026-11-21 14:05 UTC</tg-time></i>' in html
    assert (
        read(html, "HTML").text
        == read(page_of(Card(title="x", text=card.text, lines=card.lines, footer=card.footer)).html, "HTML").text
    )


def test_the_console_names_the_zone() -> None:
    assert "asked 14:05 UTC" in plain(Card(title="x", text="asked 14:05 UTC", times=(CLOCK,)))


def test_a_request_says_when_it_expires_in_the_zone_of_the_reader() -> None:
    waits = deployment_of(plan_of(1), State.WAITING, needs_approval=True, not_before=90_000.0)
    card = deployment_card(waits, (), request=request_of(expires=7_200.0))
    assert "expires 02:00 UTC" in card.footer
    html, blocks = page_of(card).html, render(card).blocks
    assert 'expires <tg-time unix="7200" format="t">02:00 UTC</tg-time>' in html
    assert '<tg-time unix="90000" format="dt">1970-01-02 01:00 UTC</tg-time>' in html
    assert [
        one["timestamp"] for part in blocks[0]["elements"] for one in part["elements"] if one["type"] == "date"
    ] == [90_000, 7_200]


class OldServer:
    """Calls of a Bot API before 9.5, as one's own server may be."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, channel: Channel, html: str, *_: Any, **__: Any) -> int:  # noqa: ANN401  not looked at
        del channel
        self.sent.append(html)
        if "tg-time" in html:
            raise UserError('Telegram: Can\'t parse entities: unsupported start tag "tg-time" at byte offset 9.')
        return len(self.sent)

    async def edit(self, channel: Channel, message: int, html: str, *_: Any, **__: Any) -> None:  # noqa: ANN401  not looked at
        await self.send(channel, html)
        del message


async def test_a_server_that_does_not_know_times_gets_text() -> None:
    """It is asked once; after that nothing is sent twice."""
    async with memory_store() as store:
        calls, clock = OldServer(), FakeClock(0.0)
        desk = ButtonTokens(store, clock, "telegram")
        post = Post(calls, desk, lambda work: work.close(), Uploads(store, clock, "telegram"))  # type: ignore[arg-type]  # the calls that are used
        card, channel = Card(title="x", footer="14:05 UTC", times=(CLOCK,)), Channel("telegram", "7")
        message = await post.send(channel, card)
        await post.edit(channel, message, card)
        assert [("tg-time" in html, "14:05 UTC" in html) for html in calls.sent] == [
            (True, True),
            (False, True),
            (False, True),
        ]


@pytest.mark.parametrize(
    "html",
    [
        '<tg-time unix="x">a</tg-time>',
        '<tg-time unix="1" format="tt">a</tg-time>',
        '<pre><tg-time unix="1">a</tg-time></pre>',
        '<tg-time unix="1" zone="x">a</tg-time>',
    ],
)
def test_the_double_refuses_what_is_no_time(html: str) -> None:
    with pytest.raises(Refused):
        read(html, "HTML")
