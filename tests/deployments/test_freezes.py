"""Freezes: what they stop, what waits for their end, and what they let through."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploybot.domain import Deployment, Role, State
from deploybot.ports import Tables
from deploybot.testing import Outcome
from tests.kit.bot import V1, V2, BotUnderTest, Team, fetched, open_as, open_bot, shop_settings

# The clock of the tests begins on Friday, 2027-01-15 at 08:00 UTC.
HOUR = 3600.0
NOW = "Fri 08:00 - Fri 18:00"
TEAM: Team = {
    "ana": [(Role.ADMIN, "*", "*")],
    "ben": [(Role.DEPLOYER, "*", "*")],
    "cem": [(Role.APPROVER, "*", "*")],
}


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[BotUnderTest]:
    async with open_as(BotUnderTest, tmp_path, shop_settings(tmp_path / "data"), team=TEAM) as bot:
        bot.wait(clock_check=0.001)
        yield bot


async def _frozen(bot: BotUnderTest, command: str) -> int:
    """A deployment that was requested before a freeze of two hours, and waits for its end."""
    async with bot.busy():
        number = await bot.ask(command, "ben")
        await bot.say("freeze shop production for 2h because we measure", "ben")
    await bot.until(number, lambda one: one.frozen_until > 0)
    return number


async def test_what_is_requested_in_a_freeze_is_refused_until_it_ends(tmp_path: Path) -> None:
    async with open_bot(tmp_path, freeze=[NOW]) as bot:
        card = await bot.say("deploy shop@v1 to production")
        assert (card.ok, card.title) == (
            False,
            "shop/production is frozen until 2027-01-15 18:00 UTC (Fri 08:00 - Fri 18:00 in bot.toml).",
        )
        assert card.hint == (
            "Rollbacks and restarts still work. In an emergency, an admin can deploy with `--break-glass`."
        )
        bot.clock.advance(10 * HOUR)
        number = await bot.ask("deploy shop@v1 to production")
        assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_a_dry_run_and_a_time_after_the_freeze_are_not_refused(tmp_path: Path) -> None:
    async with open_bot(tmp_path, freeze=NOW) as bot:
        dry = await bot.say("deploy shop@v1 to production --dry-run")
        assert dry.footer.endswith(
            "frozen until 2027-01-15 18:00 UTC (Fri 08:00 - Fri 18:00 in bot.toml), nothing was done"
        )
        assert not (await bot.say("deploy shop@v1 to production --at 17:59")).ok
        assert not (await bot.say("deploy shop@v1 to production --in 9h")).ok
        at = await bot.deployment(await bot.ask("deploy shop@v1 to production --at 18:00"))
        later = await bot.deployment(await bot.ask("deploy shop@v2 to production --in 10h"))
        assert 0 <= later.not_before - at.not_before < 60


async def test_a_time_in_the_next_freeze_is_refused(tmp_path: Path) -> None:
    async with open_bot(tmp_path, freeze=["Fri 16:00 - Mon 08:00"]) as bot:
        assert (await bot.say("deploy shop@v1 to production --at 15:59")).ok
        card = await bot.say("deploy shop@v1 to production --at 16:00")
        assert card.title.startswith("shop/production will be frozen then, until 2027-01-18 08:00 UTC")


async def test_a_start_on_a_day_is_on_that_day_in_the_bots_zone(tmp_path: Path) -> None:
    async with open_bot(tmp_path, freeze=["Fri 16:00 - Mon 08:00"]) as bot:
        at = await bot.deployment(await bot.ask("deploy shop@v1 to production --at Mon 08:00"))
        assert at.not_before == datetime(2027, 1, 18, 8, tzinfo=UTC).timestamp()
        card = await bot.say("deploy shop@v1 to production --at Mon 07:59")
        assert card.title.startswith("shop/production will be frozen then, until 2027-01-18 08:00 UTC")
        for words, refusal in (
            ("today 00:01", "That time is over."),
            ("2027-01-14 08:00", "That time is over."),
            ("0001-01-01 00:00", "That time is over."),
            ("9999-12-31 23:59", "That is more than 31 days away."),
        ):
            assert (await bot.say(f"deploy shop@v1 to production --at {words}")).title == refusal


async def test_what_ran_well_comes_back_and_restarts_in_a_freeze(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    await bot.deploy(V2)
    await bot.say("freeze shop production for 2h because we measure", "ben")
    for command in ("rollback shop from production", "restart shop from production"):
        assert (await bot.end_of(await bot.ask(command))).state is State.SUCCEEDED
    assert bot.current() == {V1.id}
    assert not (await bot.say("run shop migrate on production")).ok


async def test_an_admin_who_breaks_the_glass_is_let_through(bot: BotUnderTest) -> None:
    await bot.say("freeze shop production for 2h because we measure", "ben")
    assert not (await bot.say("deploy shop@v1 to production --break-glass because it burns", "ben")).ok
    number = await bot.ask("deploy shop@v1 to production --break-glass because it burns", "ana")
    ended = await bot.end_of(number)
    assert (ended.state, ended.glass) == (State.SUCCEEDED, "freeze")


async def test_what_waits_for_its_turn_when_a_freeze_begins_starts_when_it_ends(bot: BotUnderTest) -> None:
    async with bot.busy():
        number = await bot.ask("deploy shop@v1 to production", "ben")
        await bot.say("freeze shop production for 2h because we measure", "ben")
    await bot.until(number, lambda one: one.frozen_until > 0)
    assert "Waits for the end of the freeze, 2027-01-15 10:00 UTC." in (await bot.card(number)).text
    queue = await bot.say("queue")
    assert queue.lines[0].text.endswith("· waits for the end of the freeze, 2027-01-15 10:00 UTC")
    bot.clock.advance(2 * HOUR)
    assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_what_waits_for_a_freeze_starts_when_a_person_ends_it(bot: BotUnderTest) -> None:
    async with bot.busy():
        number = await bot.ask("deploy shop@v1 to production", "ben")
        await bot.say("freeze shop production for 2h because we measure", "ben")
    await bot.until(number, lambda one: one.frozen_until > 0)
    assert (await bot.say("unfreeze shop production", "ben")).title == (
        "Your freeze is over. shop/production is not frozen any more."
    )
    assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_it_waits_on_after_a_restart_of_the_bot_and_can_be_cancelled(bot: BotUnderTest) -> None:
    async with bot.busy():
        number = await bot.ask("deploy shop@v1 to production", "ben")
        await bot.say("freeze shop production for 2h because we measure", "ben")
    await bot.until(number, lambda one: one.frozen_until > 0)
    bot.clock.advance(HOUR)
    await bot.restart()
    assert (await bot.deployment(number)).state is State.WAITING
    await bot.say(f"cancel #{number}", "ben")
    ended = await bot.end_of(number)
    assert (ended.state, ended.outcome) == (State.CANCELLED, "Cancelled by ben. It had not started.")


async def test_what_waits_for_a_freeze_is_in_nobodys_way_and_replaces_nothing_newer(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    await bot.deploy(V2)
    waits = await _frozen(bot, "deploy shop@v3 to production")
    back = await bot.ask("rollback shop from production")
    assert (await bot.end_of(back)).state is State.SUCCEEDED
    bot.clock.advance(2 * HOUR)
    ended = await bot.end_of(waits)
    assert (ended.state, ended.outcome) == (
        State.FAILED,
        f"#{back} deployed v1 (1111111111) while this waited for the end of the freeze. Nothing was done.",
    )
    assert bot.current() == {V1.id}


async def test_what_failed_meanwhile_is_nothing_newer(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    waits = await _frozen(bot, "deploy shop@v3 to production")
    for host in ("web1", "web2"):
        bot.hosts[host].script("fetch", Outcome(code=1), Outcome(effect=fetched))
    broke = await bot.ask("deploy shop@v2 to production --break-glass because it burns")
    assert (await bot.end_of(broke)).state is State.FAILED
    bot.clock.advance(2 * HOUR)
    assert (await bot.end_of(waits)).state is State.SUCCEEDED


async def test_a_freeze_that_is_over_does_not_count_against_what_waited(bot: BotUnderTest) -> None:
    """What began after it is nothing that was deployed meanwhile, although it was requested before it ended."""
    late = await bot.ask("deploy shop@v1 to production --in 3h", "ben")
    early = await bot.ask("deploy shop@v2 to production --in 1h", "ben")
    await bot.say("freeze shop production for 30m because we measure", "ben")
    bot.clock.advance(HOUR)
    assert (await bot.end_of(early)).state is State.SUCCEEDED
    assert (await bot.deployment(late)).frozen_until > 0
    bot.clock.advance(2 * HOUR)
    assert (await bot.end_of(late)).state is State.SUCCEEDED


async def test_a_rollback_to_what_never_ran_there_is_something_new(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    await bot.say("freeze shop production for 2h because we measure", "ben")
    assert not (await bot.say("rollback shop from production to v3", "ben")).ok
    assert bot.current() == {V1.id}


@pytest.mark.parametrize("later", ["deploy shop@v3 to production", "restart shop from production"])
async def test_after_a_freeze_the_older_request_comes_first(bot: BotUnderTest, later: str) -> None:
    """Also where the newer one is there first."""
    bot.wait(clock_check=1000.0)
    await bot.deploy(V2)
    older = await _frozen(bot, "deploy shop@v1 to production")
    async with bot.busy():
        await bot.say("unfreeze shop production", "ben")
        newer = await bot.ask(later)
    first, second = await bot.end_of(older), await bot.end_of(newer)
    assert (first.state, second.state) == (State.SUCCEEDED, State.SUCCEEDED)
    assert first.finished <= second.started


async def test_what_is_about_to_begin_waits_too(bot: BotUnderTest) -> None:
    """It is running for people as soon as it is stored; its first step would come in the freeze."""
    plan = await bot.deployments._planner.deploy(bot.app, bot.production, V1)

    def store(tables: Tables) -> Deployment:
        made = tables.deployments.add(plan, requester=bot.person, reason="", channel=None, now=bot.clock.now())
        return tables.deployments.move(made.number, State.RUNNING, now=bot.clock.now())

    number = (await bot.store.write(store)).number
    await bot.say("freeze shop production for 2h because we measure", "ben")
    await bot.deployments.queue.resume()
    await bot.until(number, lambda one: one.frozen_until > 0)
    assert (await bot.deployment(number)).state is State.WAITING
    bot.clock.advance(2 * HOUR)
    assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_a_freeze_that_bot_toml_has_no_more_stops_nothing(tmp_path: Path) -> None:
    async with open_as(BotUnderTest, tmp_path, shop_settings(tmp_path / "data"), team=TEAM) as bot:
        async with bot.busy():
            number = await bot.ask("deploy shop@v1 to production")
            await bot.restart(shop_settings(tmp_path / "data", freeze=["Fri 08:00 - Mon 08:00"]))
        await bot.until(number, lambda one: one.frozen_until > 0)
        await bot.restart(shop_settings(tmp_path / "data"))
        assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_a_freeze_that_ends_while_it_is_noted_stops_nothing(bot: BotUnderTest) -> None:
    """The bot reads that it is frozen, somebody ends the freeze, and only then the bot writes."""
    async with bot.busy():
        number = await bot.ask("deploy shop@v1 to production", "ben")
        await bot.say("freeze shop production for 2h because we measure", "ben")
    await bot.until(number, lambda one: one.frozen_until > 0)
    await bot.say("unfreeze shop production", "ben")
    await bot.store.write(lambda tables: bot.deployments.queue._wait_for_thaw(tables, number))
    assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_a_lock_and_a_freeze_are_waited_for_and_the_lock_counts_then(bot: BotUnderTest) -> None:
    number = await _frozen(bot, "deploy shop@v1 to production")
    await bot.say("lock shop production for 1h because I look at it", "cem")
    bot.clock.advance(2 * HOUR)
    assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_the_cards_of_freeze_and_unfreeze_know_bot_toml(tmp_path: Path) -> None:
    async with open_bot(tmp_path, freeze=NOW) as bot:
        both = "(by ana: “we measure”; Fri 08:00 - Fri 18:00 in bot.toml)"
        card = await bot.say("freeze shop production until 9:30 because we measure")
        assert card.title in {
            f"shop/production is frozen until 2027-01-15 18:00 UTC {both}.",
            "shop/production is frozen until 2027-01-15 18:00 UTC (Fri 08:00 - Fri 18:00 in bot.toml).",
        }
        ended = await bot.say("unfreeze shop production")
        still = "shop/production is still frozen until 2027-01-15 18:00 UTC (Fri 08:00 - Fri 18:00 in bot.toml)."
        assert ended.title == f"Your freeze is over. {still}"
        again = await bot.say("unfreeze shop production")
        assert (again.title, again.text) == ("No person has frozen shop/production.", still)


async def test_a_scheduled_deployment_waits_for_a_freeze_that_was_made_later(bot: BotUnderTest) -> None:
    number = await bot.ask("deploy shop@v1 to production --in 1h", "ben")
    await bot.say("freeze shop production for 2h because we measure", "ben")
    bot.clock.advance(HOUR)
    await bot.until(number, lambda one: one.frozen_until > 0)
    bot.clock.advance(HOUR + 1)
    assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_a_freeze_can_be_longer_than_what_is_left_of_the_schedule_and_the_bot_down(bot: BotUnderTest) -> None:
    """Nobody was late: at its time the deployment was frozen."""
    number = await bot.ask("deploy shop@v1 to production --in 1h", "ben")
    await bot.say("freeze shop production for 9h because we measure", "ben")
    bot.clock.advance(HOUR)
    await bot.until(number, lambda one: one.frozen_until > 0)
    bot.clock.advance(3 * HOUR)
    await bot.restart()
    assert (await bot.deployment(number)).state is State.WAITING
    bot.clock.advance(5 * HOUR)
    assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_an_approval_may_come_in_a_freeze(tmp_path: Path) -> None:
    settings = shop_settings(tmp_path / "data", approvals=1, approval_within="1d")
    async with open_as(BotUnderTest, tmp_path, settings, team=TEAM) as bot:
        bot.wait(clock_check=0.001)
        number = await bot.ask("deploy shop@v1 to production", "ben")
        await bot.say("freeze shop production for 2h because we measure", "ben")
        assert (await bot.say(f"approve #{number}", "cem")).ok
        await bot.until(number, lambda one: one.frozen_until > 0)
        bot.clock.advance(2 * HOUR)
        assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_windows_of_bot_toml_and_a_freeze_of_a_person_are_one(tmp_path: Path) -> None:
    async with open_bot(tmp_path, freeze=["Fri 09:00 - Fri 18:00"]) as bot:
        await bot.say("freeze shop production until 9:30 because we measure")
        card = await bot.say("deploy shop@v1 to production")
        assert card.title == (
            "shop/production is frozen until 2027-01-15 18:00 UTC "
            "(by ana: “we measure”; Fri 09:00 - Fri 18:00 in bot.toml)."
        )


async def test_a_freeze_without_an_end_refuses_what_waits(tmp_path: Path) -> None:
    async with open_bot(tmp_path) as bot:
        async with bot.busy():
            number = await bot.ask("deploy shop@v1 to production")
            settings = shop_settings(tmp_path / "data", freeze=["00:00 - 12:00", "12:00 - 00:00"])
            await bot.restart(settings)
        ended = await bot.end_of(number)
        assert (ended.state, ended.outcome) == (
            State.FAILED,
            "shop/production is frozen without an end (00:00 - 12:00, 12:00 - 00:00 in bot.toml). Nothing was done.",
        )


async def test_status_and_why_say_until_when(bot: BotUnderTest) -> None:
    await bot.say("freeze shop production until tomorrow because we measure", "ben")
    assert "frozen until 2027-01-16 00:00 UTC (by ben: “we measure”)" in str(await bot.say("status shop"))
    why = await bot.say("why deploy shop production")
    assert [one.text for one in why.lines if one.name == "freeze"] == [
        "shop/production is frozen until 2027-01-16 00:00 UTC (by ben: “we measure”)."
    ]
    assert why.hint == "Allowed after the freeze: ana, ben, cem."


async def test_why_names_the_hours_of_bot_toml_also_outside_of_them(tmp_path: Path) -> None:
    async with open_bot(tmp_path, freeze=["Fri 16:00 - Mon 08:00"]) as bot:
        why = await bot.say("why deploy shop production")
        assert [one.text for one in why.lines if one.name == "freeze"] == [
            "It is not frozen. bot.toml freezes it Fri 16:00 - Mon 08:00."
        ]
