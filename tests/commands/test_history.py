from __future__ import annotations

from dataclasses import replace

import pytest

from commands.history import TONES
from deploybot import State, Tone
from deploybot.domain import Deployment, Kind, Plan, Release, RequestVerdict, ServerPlan
from tests.kit.command_bot import V1, V2, CommandBot


def deployment(number: int, *, kind: Kind = Kind.DEPLOY, environment: str = "production", task: str = "") -> Deployment:
    servers = tuple(ServerPlan(server=name, steps=(), replaces=V1) for name in ("web1", "web2"))
    return Deployment(
        number=number,
        plan=Plan(kind=kind, app="shop", environment=environment, release=V2, servers=servers, task=task),
        state=State.SUCCEEDED,
        requester=1,
        requester_name="ana",
        created=1_800_000_000.0,
        started=1_800_000_060.0,
        finished=1_800_000_072.0,
    )


async def test_nothing_that_came_up_is_nothing_to_go_back_to(bot: CommandBot) -> None:
    bot.deployments.rows = {
        1: replace(deployment(1), state=State.FAILED),
        2: deployment(2, kind=Kind.RESTART),
    }
    assert (await bot.say("history shop production")).hint == ""


async def test_a_table(bot: CommandBot) -> None:
    bot.deployments.rows = {
        1: deployment(1),
        2: replace(deployment(2, kind=Kind.ROLLBACK), state=State.RESTORED),
        3: replace(deployment(3, kind=Kind.TASK, task="migrate"), state=State.RUNNING, finished=0.0),
        4: replace(deployment(4, kind=Kind.RESTART), state=State.WAITING, started=0.0, finished=0.0),
    }
    card = await bot.say("history shop production")
    assert card.title == "The last 4 deployments of shop/production"
    assert card.hint == "`rollback shop to #1` goes back to what #1 deployed."
    assert card.table
    assert card.table.columns == ("#", "when (UTC)", "who", "what", "where", "from → to", "result", "took")
    assert card.table.rows == (
        ("4", "2027-01-15 08:00", "ana", "restart", "production", "v1.4", "waiting", ""),
        ("3", "2027-01-15 08:01", "ana", "run migrate", "production", "v1.4", "running", ""),
        (
            "2",
            "2027-01-15 08:01",
            "ana",
            "rollback",
            "production",
            "v1.3 → v1.4",
            "failed, rolled back to v1.3",
            "12 s",
        ),
        ("1", "2027-01-15 08:01", "ana", "deploy", "production", "v1.3 → v1.4", "succeeded", "12 s"),
    )
    assert card.table.tones == (Tone.BUSY, Tone.BUSY, Tone.WARN, Tone.GOOD)


async def test_what_never_began_says_why(bot: CommandBot) -> None:
    never = replace(deployment(1), state=State.CANCELLED, started=1_800_000_072.0)
    bot.deployments.rows = {
        1: never,
        2: replace(never, number=2, verdict=RequestVerdict.VOID),
        3: replace(never, number=3, verdict=RequestVerdict.EXPIRED),
        4: replace(never, number=4, replaced_by=5),
    }
    card = await bot.say("history shop production")
    assert card.table
    assert [row[-2:] for row in card.table.rows] == [
        ("replaced by #5", ""),
        ("expired", ""),
        ("void", ""),
        ("cancelled", ""),
    ]


async def test_servers_may_have_run_different_releases(bot: CommandBot) -> None:
    parts = (
        ServerPlan(server="web1", steps=(), replaces=V1),
        ServerPlan(server="web2", steps=(), replaces=Release.of_commit("9" * 40)),
    )
    one = deployment(1)
    bot.deployments.rows = {1: replace(one, plan=replace(one.plan, servers=parts))}
    card = await bot.say("history shop 1")
    assert card.title == "1 deployment of shop so far"
    assert card.table
    assert card.table.rows[0][5] == "v1.3 and 9999999999 → v1.4"


async def test_only_what_one_may_see(bot: CommandBot) -> None:
    bot.deployments.rows = {1: deployment(1), 2: deployment(2, environment="staging")}
    card = await bot.say("history shop", "cem")
    assert card.table
    assert [row[0] for row in card.table.rows] == ["2"]


async def test_nothing_yet(bot: CommandBot) -> None:
    card = await bot.say("history shop")
    assert (card.title, card.hint) == ("Nothing has been deployed to shop yet.", "Start with `deploy shop`.")


@pytest.mark.parametrize(("count", "shown"), [("0", 1), ("2", 2), ("999999999", 5)])
async def test_how_many(bot: CommandBot, count: str, shown: int) -> None:
    bot.deployments.rows = {number: deployment(number) for number in range(1, 6)}
    card = await bot.say(f"history shop {count}")
    assert card.table
    assert len(card.table.rows) == shown


def test_every_state_has_a_tone() -> None:
    assert set(TONES) == set(State)
