from __future__ import annotations

from datetime import time

import pytest

from deploybot import LogQuery
from tests.kit.command_bot import V2, CommandBot


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
async def test_queries(bot: CommandBot, text: str, place: str, query: LogQuery) -> None:
    card = await bot.say(text)
    assert card.title == f"log of {place}"
    assert [("/".join(asked[:2]), asked[2]) for asked in bot.logs.asked] == [(place, query)]


async def test_no_lines(bot: CommandBot) -> None:
    card = await bot.say("logs shop tail 0")
    assert (card.title, card.hint) == ("`tail 0` shows no lines.", "Give a number of lines, as in `logs shop tail 50`.")
    assert (await bot.say("logs shop since 0m")).title == (
        "`0m` is neither a duration such as 90s, 15m, 2h or 1h30m, nor a time of day such as 18:00."
    )


async def test_too_many_lines(bot: CommandBot) -> None:
    card = await bot.say("logs shop 200001")
    assert card.title == "I can show at most 200,000 lines."
    assert card.hint == "Try `logs shop since 1h file`."
    assert bot.logs.asked == []


async def test_the_log_of_a_deployment(bot: CommandBot) -> None:
    bot.deployments.put(42, "shop", "production", V2)
    for text, query in {
        "logs #42": LogQuery(lines=50),
        "logs #42 follow": LogQuery(lines=50, follow=True),
        "logs #42 file": LogQuery(lines=200_000, file=True),
        'logs #42 tail 7 grep "npm install"': LogQuery(lines=7, grep="npm install"),
    }.items():
        bot.logs.asked.clear()
        assert (await bot.say(text)).title == "log of #42"
        assert bot.logs.asked == [("#42", "production", query)]


async def test_the_log_of_a_deployment_that_one_may_not_see(bot: CommandBot) -> None:
    """It reads as if there were none, and only that of the hidden one is in the audit."""
    bot.deployments.put(42, "shop", "production", V2)
    hidden, unknown = await bot.say("logs #42", "cem"), await bot.say("logs #43", "cem")
    assert (hidden.title, unknown.title) == ("There is no deployment #42.", "There is no deployment #43.")
    assert bot.logs.asked == []
    assert [row.detail for row in await bot.audit()] == ["logs #42"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("logs #42 since 5m", "The log of a deployment has no times, so `since` cannot select its lines."),
        ("logs #42 since 14:30", "The log of a deployment has no times, so `since` cannot select its lines."),
        ("logs #x", "`#x` is not a deployment number such as #42."),
        ("logs #42 from staging", "#42 is a deployment, which has its environment already: leave `staging` out."),
        ("logs 42", "There is no app `42`."),
        ("logs shpo", "There is no app `shpo`, did you mean `shop`?"),
    ],
)
async def test_what_the_log_of_a_deployment_does_not_take(bot: CommandBot, text: str, sentence: str) -> None:
    bot.deployments.put(42, "shop", "production", V2)
    assert (await bot.say(text)).title == sentence
    assert bot.logs.asked == []
