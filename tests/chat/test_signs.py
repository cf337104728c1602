"""Slack and Telegram show the same signs in the same places."""

from __future__ import annotations

import html
import itertools
import re

import pytest

from deploybot.card import Card, Line, Tone
from deploybot.chat.slack.slack_rendering import render
from deploybot.chat.telegram.telegram_escaping import JOINER
from deploybot.chat.telegram.telegram_rendering import page_of
from deploybot.chat.tone_signs import SIGNS
from tests.doubles.slack.mrkdwn import read_blocks


def in_slack(card: Card) -> str:
    return read_blocks(render(card).blocks).text


def in_telegram(card: Card) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", page_of(card).html)).replace(JOINER, "")


@pytest.mark.parametrize(("tone", "final"), [*itertools.product(Tone, [True, False])])
def test_the_same_in_each(tone: Tone, final: bool) -> None:
    lines = (Line("web1", "well", tone), Line("web2", "not begun"))
    card = Card(title="Deploy", text="fine\n! touches migrations", tone=tone, lines=lines, final=final)
    assert in_slack(card).split() == in_telegram(card).split()
    assert f"{SIGNS[Tone.WARN]} touches migrations" in in_slack(card)
