"""Whatever stands in an event: a short, literal message on all three chats, that wakes nobody and is never refused."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
from collections.abc import Callable
from dataclasses import replace

from deploybot.card import Card, web_url
from deploybot.chat.console.terminal_cards import plain
from deploybot.chat.slack.slack_rendering import render
from deploybot.chat.telegram.telegram_rendering import page_of
from deploybot.domain import BuildState
from deploybot.notifications.event_subjects import kept
from deploybot.notifications.event_text import one_line, paragraph, subject
from tests.doubles.slack.mrkdwn import read_blocks, read_text
from tests.doubles.slack.rules import check_message
from tests.doubles.telegram import Refused, read
from tests.events.channel import build, open_channel, push, says, settings
from tests.events.wild import SOUND, event, text
from tests.kit.seeds import new_seed

N = int(os.environ.get("N", "600"))
SEED = new_seed()
LONGEST = 3_000
_UNSEEN = re.compile("[\u202a-\u202e\u2066-\u2069\u200b\u200e\u200f\x00-\x09\x0b-\x1f\x7f]")
_LINKED = {"mention", "bot_command", "hashtag", "cashtag", "url", "phone_number", "text_mention"}
ALL = {"all": {"kinds": ["push", "change", "tag", "release", "build", "image", "deployed", "sync", "alert", "note"]}}


async def some_cards(dice: random.Random, count: int) -> list[Card]:
    """The cards of so many events, in the states in which they were last."""
    async with open_channel(settings(notify=ALL)) as channel:
        for number in range(count):
            await channel.hear(event(dice), delivery=str(number))
            channel.clock.advance(2)  # some come alone, and some in storms
        return await channel.messages()


def on_slack(card: Card) -> list[str]:
    """What is wrong with a card on Slack."""
    made = render(card, tuple("token" for _ in card.buttons))
    payload = {"text": made.text, "blocks": json.loads(json.dumps(made.blocks))}
    seen, notice = read_blocks(payload["blocks"]), read_text(made.text)
    wrong = ["refused" for _ in check_message(payload)] + ["ping"] * len(seen.pings + notice.pings)
    wrong += ["not literal"] * bool(seen.styled or _UNSEEN.search(seen.text)) + ["cut"] * made.was_cut
    return wrong + ["page"] * any(url != SOUND for _, url in seen.links)


def on_telegram(card: Card) -> list[str]:
    """The same on Telegram."""
    page = page_of(card)
    try:
        seen = read(page.html, "HTML")
    except Refused:
        return ["refused"]
    wrong = ["ping"] * len(seen.pings) + ["cut"] * bool(page.whole)
    wrong += ["not literal"] * any(one.kind in _LINKED for one in seen.entities)
    return wrong + ["page"] * any(one.kind == "a" and one.value != SOUND for one in seen.entities)


def on_console(card: Card) -> list[str]:
    """The same on the console."""
    shown = plain(card)
    return ["not literal"] * bool(_UNSEEN.search(shown)) + ["long"] * (len(shown) > LONGEST * 2)


async def test_events_are_short_and_literal_and_wake_nobody(figure: Callable[[str], None]) -> None:
    dice = random.Random(SEED)
    cards = await some_cards(dice, N)
    wrong = [what for card in cards for look in (on_slack, on_telegram, on_console) for what in look(card)]
    wrong += ["long" for card in cards if len(says(card)) > LONGEST]
    counts = ", ".join(
        f"{wrong.count(what)} {what}" for what in ("refused", "ping", "not literal", "cut", "long", "page")
    )
    figure(f"of {len(cards)} messages of {N} events on three chats: {counts}, seed={SEED}")
    assert len(cards) > N / 4
    assert wrong == []


async def test_the_longest_messages_are_whole() -> None:
    """Forty builds that fail for the fortieth time, and the digest of a night full of long titles."""
    long, night = "W" * 90, {"all": {"quiet": "22:00 - 07:00"}}
    url = f"https://git.example.com/{'x' * 175}"
    async with open_channel(settings(notify=night)) as channel:
        for number, name in itertools.product((2, 3), range(40)):
            made = build(BuildState.FAILED, number, name=f"{name:02} {long}", failed=(long,) * 9, url=url, attempt=9)
            await channel.hear(made)
        channel.clock.advance(11 * 3600.0)
        await channel.hear(*(push(number, branch=f"release/{number}{long}", compare=url) for number in range(40)))
        channel.clock.advance(11 * 3600.0)
        await channel.store.write(channel.telling.post_due)
        cards = await channel.messages()
    assert cards[-1].title.startswith("During quiet hours")
    assert len(cards[-1].listing) == 40  # a file besides the message, which is whole, too
    bare = [replace(card, listing=()) for card in cards]
    assert [what for card in bare for what in (*on_slack(card), *on_telegram(card)) if what != "page"] == []


def test_texts_are_bounded(figure: Callable[[str], None]) -> None:
    dice = random.Random(SEED)
    long = 0
    for _ in range(N):
        wild = text(dice)
        long += len(one_line(wild, 50)) > 50 or len(subject(wild)) > 120 or len(paragraph(wild)) > 700
        long += not subject(wild).strip() or "\n" in subject(wild)
    figure(f"{long} of {N} texts were too long or said nothing, seed={SEED}")
    assert long == 0


def test_what_is_kept_of_a_push_is_small() -> None:
    huge = push(paths=("x" * 100,) * 10_000, total=10_000)
    assert len(repr(kept(huge))) < 1_500


def test_addresses() -> None:
    assert web_url(SOUND) == SOUND
    for bad in ("https://a@b.example", "ftp://x", "https://", "https://x/\n", "HTTPS ://x", "https://é.example"):
        assert web_url(bad) == ""
