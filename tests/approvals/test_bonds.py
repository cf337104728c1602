"""What a request is bound to, looked at anew: what has changed, and what does not answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from deploybot.deployments.fingerprint_check import FingerprintCheck
from deploybot.domain import Deployment, Request, Running, ServerFacts
from deploybot.domain.image_tags import TagPattern
from deploybot.errors import Cancelled, Unreachable, UserError, Voided
from deploybot.settings import ImageOf
from deploybot.testing import FakeClock
from tests.deployments.conftest import PausingStop
from tests.kit.bot import V3, BotUnderTest

MOVED = ("release: `main` was 2222222222, now 3333333333",)


class Bound:
    """A request for main to production, and what looks whether it is still the same; time passes in pauses only."""

    def __init__(self, bot: BotUnderTest, deployment: Deployment, request: Request) -> None:
        self.bot, self.deployment, self.request = bot, deployment, request
        clock = FakeClock()
        self.bonds = FingerprintCheck(bot.settings, bot.deployments._planner, clock)
        self.stop = PausingStop(clock)

    async def changes(self) -> tuple[str, ...]:
        return await self.bonds.changes(self.deployment, self.request)

    async def insist(self) -> None:
        await self.bonds.insist(self.deployment, self.request, self.stop)


@pytest.fixture
async def bound(bot: BotUnderTest) -> Bound:
    number = await bot.ask("deploy shop@main to production")
    return Bound(bot, await bot.deployment(number), await bot.request_of(number))


async def test_the_same_is_insisted_on_without_a_pause(bound: Bound) -> None:
    assert await bound.changes() == ()
    await bound.insist()
    assert bound.stop.pauses == []


async def test_a_ref_that_moved_or_is_gone_is_reported(bound: Bound) -> None:
    bound.bot.refs.known["main"] = V3.id
    assert await bound.changes() == MOVED
    with pytest.raises(Voided) as caught:
        await bound.insist()
    assert caught.value.changed == MOVED
    del bound.bot.refs.known["main"]
    assert await bound.changes() == ("release: `main` was 2222222222, now gone",)


async def test_what_a_ref_means_may_depend_on_the_environment(bound: Bound) -> None:
    runs = Running("shop", "production", "web1", V3, bound.deployment.number, 1.0, healthy=True)
    await bound.bot.store.write(lambda tables: tables.running.put(runs))
    host = bound.bot.hosts["web1"]
    host.server_facts = replace(host.server_facts, current=V3.id)
    bound.request = replace(bound.request, binding=bound.bonds.bind(bound.deployment.plan, ":current"))
    assert await bound.changes() == (
        "release: `:current` was 2222222222, now 3333333333",
        "what it replaces: web1 was nothing, now 3333333333",
    )


async def test_a_release_that_nobody_typed_does_not_move(bound: Bound) -> None:
    bound.request = replace(bound.request, binding=bound.bonds.bind(bound.deployment.plan, None))
    bound.bot.refs.known.clear()
    assert await bound.changes() == ()


async def test_another_bot_toml_is_reported_by_its_keys(bound: Bound) -> None:
    bound.bot.app.__dict__["restart"] = "./other"
    assert await bound.changes() == ('config: apps.shop.restart was "./restart", now "./other"',)


async def test_a_place_that_bot_toml_does_not_have_any_more_is_reported(bound: Bound) -> None:
    del bound.bot.settings.apps["shop"]
    assert await bound.changes() == ("config: bot.toml no longer has shop production",)


async def test_what_changed_is_why_where_it_could_not_be_done_any_more(bound: Bound) -> None:
    host = bound.bot.hosts["web1"]
    host.server_facts = replace(host.server_facts, disk_free=1)
    with pytest.raises(UserError, match="web1"):
        await bound.changes()
    bound.bot.refs.known["main"] = V3.id
    assert await bound.changes() == MOVED


async def test_an_image_that_moved_is_why_it_could_not_be_done_any_more(bot: BotUnderTest) -> None:
    bot.app.images["web"] = ImageOf(image="acme/shop", tag="1.4")
    bot.images.known["acme/shop"] = {"1.4": f"sha256:{'1' * 64}"}
    number = await bot.ask("deploy shop@main to production")
    bound = Bound(bot, await bot.deployment(number), await bot.request_of(number))
    bot.images.known["acme/shop"] = {"1.4": f"sha256:{'2' * 64}"}
    host = bot.hosts["web1"]
    host.server_facts = replace(host.server_facts, disk_free=1)
    assert await bound.changes() == ("image: web was 1.4 sha256:1111111111, now 1.4 sha256:2222222222",)


async def test_an_image_by_a_pattern_is_bound_as_one_by_a_range(bot: BotUnderTest) -> None:
    bot.app.images["web"] = ImageOf(image="acme/shop", tag=TagPattern(r"build-(\d+)"))
    bot.images.known["acme/shop"] = {"build-9": f"sha256:{'1' * 64}"}
    number = await bot.ask("deploy shop@main to production")
    bound = Bound(bot, await bot.deployment(number), await bot.request_of(number))
    assert await bound.changes() == ()
    bot.images.known["acme/shop"]["build-10"] = f"sha256:{'2' * 64}"
    assert await bound.changes() == ("image: web was build-9 sha256:1111111111, now build-10 sha256:2222222222",)


async def test_a_plan_is_held_to_what_was_asked_for_and_no_ref_is_looked_up(bound: Bound) -> None:
    bound.bot.refs.down = "it is being moved"
    plan = bound.deployment.plan
    bound.bonds.kept(plan, bound.request)
    other = replace(plan, release=V3, servers=plan.servers[:1])
    with pytest.raises(Voided) as caught:
        bound.bonds.kept(other, bound.request)
    assert caught.value.changed[0] == MOVED[0]
    assert caught.value.changed[-1] == "what it replaces: web2 was nothing, now not there"


async def test_what_does_not_answer_is_asked_again_every_two_seconds_for_a_minute(bound: Bound) -> None:
    bound.bot.refs.down = "it is being moved"
    with pytest.raises(Unreachable, match="it is being moved"):
        await bound.insist()
    assert bound.stop.pauses == [2.0] * 31


async def test_an_answer_that_comes_late_is_good_enough(bound: Bound) -> None:
    class Healing(PausingStop):
        async def pause(self, seconds: float) -> None:
            await PausingStop.pause(self, seconds)
            bound.bot.refs.down = ""

    bound.stop = Healing(FakeClock())
    bound.bot.refs.down = "it is being moved"
    await bound.insist()
    assert bound.stop.pauses == [2.0]


async def test_a_wish_to_stop_counts_before_anything_is_asked(bound: Bound) -> None:
    bound.stop.set(Cancelled("ana"))
    bound.bot.refs.down = "it is being moved"
    with pytest.raises(Cancelled, match="ana"):
        await bound.insist()
    assert bound.stop.pauses == []


async def test_a_cancellation_while_a_server_is_asked_is_no_answer(bound: Bound) -> None:
    """What was cancelled in the middle of the look has not been found unchanged."""

    async def cancelled(directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:  # noqa: ARG001  the port's
        bound.stop.set(Cancelled("ana"))
        await asyncio.Event().wait()
        raise AssertionError

    bound.bot.hosts["web1"].facts = cancelled  # type: ignore[method-assign]
    with pytest.raises(Cancelled, match="ana"):
        await bound.insist()
