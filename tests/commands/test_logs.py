from __future__ import annotations

from datetime import time

import pytest

from deploybot import LogQuery
from tests.world import World


@pytest.mark.parametrize(
    ("text", "place", "query"),
    [
        ("logs shop", "shop/staging", LogQuery(lines=50)),
        ("logs shop tail", "shop/staging", LogQuery(lines=50)),
        ("logs shop tail 200 from production/web2", "shop/production", LogQuery(lines=200, server="web2")),
        ("logs shop follow", "shop/staging", LogQuery(lines=50, follow=True)),
        ("logs shop since 15m", "shop/staging", LogQuery(lines=1000, since=900.0)),
        ("logs shop since 14:30", "shop/staging", LogQuery(lines=1000, since_time=time(14, 30))),
        ("logs shop tail since 15m", "shop/staging", LogQuery(lines=50, since=900.0)),
        ('logs blog grep "payment failed"', "blog/live", LogQuery(lines=1000, grep="payment failed")),
        ("logs shop file since 2h", "shop/staging", LogQuery(lines=200_000, since=7200.0, file=True)),
        ("logs shop 7 file", "shop/staging", LogQuery(lines=7, file=True)),
    ],
)
async def test_queries(world: World, text: str, place: str, query: LogQuery) -> None:
    card = await world.say(text)
    assert card.title == f"log of {place}"
    assert [("/".join(asked[:2]), asked[2]) for asked in world.logs.asked] == [(place, query)]


async def test_no_lines(world: World) -> None:
    card = await world.say("logs shop tail 0")
    assert (card.title, card.hint) == ("`tail 0` shows no lines.", "Give a number of lines, as in `logs shop tail 50`.")
    assert (await world.say("logs shop since 0m")).title == (
        "`0m` is not a duration such as 90s, 15m, 2h or 1h30m or time of day such as 18:00."
    )


async def test_too_many_lines(world: World) -> None:
    card = await world.say("logs shop 200001")
    assert card.title == "I can show at most 200,000 lines."
    assert card.hint == "Try `logs shop since 1h file`."
    assert world.logs.asked == []
