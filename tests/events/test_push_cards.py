"""The message of a push: its commits, its buttons, and what a newer push takes from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.card import Line, Link
from deploybot.domain import (
    PushedCommit,
)
from tests.events.channel import (
    ANA,
    EventChannel,
    labels,
    push,
    says,
    sha,
)


async def test_a_push(channel: EventChannel) -> None:
    assert await channel.hear(push(total=3)) == "posted (1)"
    card = await channel.message()
    assert card.title == "shop: 3 commits to develop by Ana Ruiz (@ana)"
    assert card.lines == (
        Line("0000000000", "Change number 2 — Ana Ruiz", url="https://git.example.com/c/2"),
        Line("…", "and 2 older commits"),
    )
    assert card.links == (Link("compare", "https://git.example.com/compare/1...2"),)
    assert labels(card) == {
        "Deploy to staging": f"deploy shop@{sha(2)} to staging",
        "Show diff": f"diff shop@{sha(2)} production",
    }


@pytest.mark.parametrize(
    ("more", "title", "buttons"),
    [
        ({"before": ""}, "shop: new branch develop by Ana Ruiz (@ana), 1 commit", 2),
        ({"after": "", "commits": (), "total": 0}, "shop: branch develop was deleted by Ana Ruiz (@ana)", 0),
        ({"commits": (), "total": 0}, "shop: develop is at 0000000000 now by Ana Ruiz (@ana)", 2),
        ({"repository": "acme/other"}, "shop: 1 commit to develop by Ana Ruiz (@ana)", 0),
        ({"after": "0123456"}, "shop: 1 commit to develop by Ana Ruiz (@ana)", 0),
    ],
)
async def test_other_pushes(channel: EventChannel, more: dict[str, object], title: str, buttons: int) -> None:
    await channel.hear(push(**more))  # type: ignore[arg-type]
    card = await channel.message()
    assert (card.title, len(card.buttons)) == (title, buttons)


async def test_a_push_of_which_the_sender_counts_not_all(channel: EventChannel) -> None:
    await channel.hear(push(more=True), push(3, more=True, total=2048))
    few, many = await channel.messages()
    assert (few.title[:26], few.lines[-1].text) == ("shop: more than 1 commit t", "and older commits")
    assert many.lines[-1].text == "and at least 2,047 older commits"


async def test_a_forced_push_says_so(channel: EventChannel) -> None:
    await channel.hear(push(forced=True))
    assert (await channel.message()).text == "! The branch was rewritten: some of its commits are gone."


@pytest.mark.parametrize("total", [500, 10_000])
async def test_a_huge_push_is_a_short_message(channel: EventChannel, total: int) -> None:
    commits = tuple(PushedCommit(sha(number), "Ben", "x" * 60_000) for number in range(20))
    await channel.hear(push(total=total, commits=commits, paths=("a/b",) * 50_000))
    card = await channel.message()
    assert card.title == f"shop: {total:,} commits to develop by Ana Ruiz (@ana)"
    assert card.lines[-1].text == f"and {total - 5:,} older commits"
    assert len(says(card)) < 1_200


async def test_a_newer_push_takes_the_buttons_of_the_one_before(channel: EventChannel) -> None:
    await channel.hear(push(2), push(3))
    older, newer = await channel.messages()
    assert (len(older.buttons), older.footer) == (0, "overtaken by a newer push")
    assert len(newer.buttons) == 2


async def test_an_older_push_that_comes_late_has_none(channel: EventChannel) -> None:
    await channel.hear(push(3), push(2))
    newer, older = await channel.messages()
    assert (len(newer.buttons), len(older.buttons)) == (2, 0)


async def test_an_author_whom_nobody_knows(channel: EventChannel) -> None:
    await channel.hear(push(by=replace(ANA, identity=None)))
    assert (await channel.message()).title.endswith("by Ana Ruiz")
