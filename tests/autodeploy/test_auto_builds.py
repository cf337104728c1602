"""Deployments that wait for green builds, and those that only ask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.domain import Build, BuildState
from tests.autodeploy.conftest import open_autodeploy_bot


async def test_green_builds_of_the_same_commit_are_waited_for(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"branch": "develop", "after": "ci"}}) as bot:
        made = await bot.push("develop")
        assert await bot.deployed() == []
        await bot.built("f" * 40)
        await bot.built(made, BuildState.RUNNING)
        await bot.built(made, BuildState.RUNNING, "lint")
        await bot.built(made)
        assert await bot.deployed() == []
        assert await bot.cards() == []
        await bot.built(made, BuildState.FAILED, "lint")
        (card,) = await bot.cards()
        assert card.text == "Its builds are not green: lint failed."
        await bot.built(made, BuildState.PASSED, "lint", attempt=2)
        assert await bot.deployed() == [made]
        (card,) = await bot.cards()
        assert (card.title, card.final) == ("shop/staging: push to develop by ana is being deployed", True)


async def test_only_the_named_checks_count_and_only_their_last(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"branch": "develop", "checks": ["test", "build"]}}) as bot:
        made = await bot.push("develop")
        await bot.built(made, BuildState.FAILED, "lint")
        await bot.built(made, name="test", key="1", number=1, at=5.0)
        await bot.built(made, BuildState.FAILED, "test", key="2", number=2, at=6.0)
        await bot.built(made, name="build")
        assert await bot.deployed() == []
        await bot.built(made, name="test", key="2", number=2, attempt=2, at=7.0)
        assert await bot.deployed() == [made]


@pytest.mark.parametrize("auto", [{"after": "ci"}, {"checks": ["test"]}])
async def test_a_build_for_a_fork_says_nothing(tmp_path: Path, auto: dict[str, object]) -> None:
    """Whoever has a fork can have any commit built in a request of their own, with less to run or another base."""
    async with open_autodeploy_bot(tmp_path, {"auto": {"branch": "develop", **auto}}) as bot:
        made = await bot.push("develop")
        await bot.built(made, branch="mallory:develop", key="1", at=1.0)
        assert await bot.deployed() == []
        await bot.built(made, BuildState.FAILED, branch="develop", key="2", at=2.0)
        await bot.built(made, branch="fork:#12", key="3", at=3.0)
        assert await bot.deployed() == []
        await bot.built(made, branch="develop", key="2", attempt=2, at=4.0)
        await bot.built(made, BuildState.FAILED, branch="mallory:develop", key="4", at=5.0)
        assert await bot.deployed() == [made]


async def test_a_commit_that_jenkins_builds_again_heals(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"branch": "develop", "after": "ci"}}) as bot:
        made = await bot.push("develop")
        for number, state in ((41, BuildState.FAILED), (42, BuildState.PASSED)):
            event = Build(sender="jenkins", key=f"shop:{number}", name="shop", state=state, commit=made, run=number)
            await bot.hear(event)
            await bot.look()
            assert await bot.deployed() == ([made] if number == 42 else [])


async def test_a_check_of_another_sender_deploys_nothing_and_the_channel_learns_how_to_name_it(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"branch": "develop", "checks": ["test"]}}) as bot:
        made = await bot.push("develop")
        year = 365 * 86400.0
        script = Build(sender="event", key="1", name="test", state=BuildState.PASSED, commit=made, at=1000 * year)
        await bot.hear(script)
        await bot.look()
        assert (await bot.deployed(), await bot.cards()) == ([], [])
        bot.clock.advance(1000)
        await bot.look()
        (card,) = await bot.cards()
        said = (
            'github:test has not been reported yet. event reports a build of that name: write checks = ["event:test"].'
        )
        assert card.text == said
        await bot.built(made, BuildState.FAILED)
        assert await bot.deployed() == []
    auto = {"branch": "develop", "checks": ["event:test"]}
    hooks = {name: {"secret": {"env": "HOOK"}} for name in ("github", "event")}
    async with open_autodeploy_bot(tmp_path, {"auto": auto}, hooks=hooks) as bot:
        made = await bot.push("develop")
        await bot.hear(replace(script, commit=made))
        await bot.look()
        assert await bot.deployed() == [made]


async def test_the_bots_own_statuses_are_no_builds(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"branch": "develop", "after": "ci"}}) as bot:
        made = await bot.push("develop")
        await bot.built(made, name="deploybot/staging")
        assert await bot.deployed() == []


async def test_builds_without_a_sender_are_reported_after_a_while(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"branch": "develop", "after": "ci"}}) as bot:
        await bot.push("develop")
        assert await bot.cards() == []
        bot.clock.advance(1000)
        await bot.look()
        (card,) = await bot.cards()
        assert card.text == "No build has been reported as passed."


async def test_ask_only_says_a_card_with_a_button(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"branch": "develop", "ask": True}}) as bot:
        await bot.push("develop")
        second = await bot.push("develop")
        assert await bot.deployed() == []
        old, new = await bot.cards()
        assert (old.title, old.buttons) == ("shop/staging: push to develop by ana was replaced by a newer one", ())
        assert [button.command for button in new.buttons] == [f"deploy shop@{second} to staging"]
        assert (await bot.say(new.buttons[0].command, "eve")).ok
        await bot.settle()
        assert (await bot.cards())[1].title == "shop/staging: push to develop by ana is deployed"
        await bot.push("develop")
        assert len(await bot.cards()) == 3
        refused = await bot.say("why deploy shop staging", "ana")
        assert not any("automatic" in line.name for line in refused.lines)
