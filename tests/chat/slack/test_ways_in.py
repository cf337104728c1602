"""Every way in: slash commands, mentions, threads, direct messages, buttons, modals, the home tab; in both modes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.chat.slack.workspace import ROOM, Workspace, open_workspace


@pytest.fixture(params=["socket", "http"])
async def either(request: pytest.FixtureRequest) -> AsyncIterator[Workspace]:
    async with open_workspace(http=request.param == "http") as made:
        yield made


async def test_a_slash_command(either: Workspace) -> None:
    await either.ask("/deploy shop@v1.4 because it is time", "#1 deploy shop")
    assert [asked.by for asked in either.world.deployments.asked] == ["ana"]


async def test_a_mention_in_a_thread_is_answered_there(either: Workspace) -> None:
    root = await either.say("shall we?")
    await either.say("@deploybot deploy shop@v1.4", thread=root)
    assert (await either.reads("#1 deploy shop")).thread == root


async def test_a_direct_message_needs_no_address(either: Workspace) -> None:
    assert (await either.ask("deploy shop@v1.4", "#1 deploy shop", channel="DANA")).channel == "DANA"


async def test_what_is_not_meant_for_the_bot_is_passed_over(workspace: Workspace) -> None:
    await workspace.say("deploy shop? not today")
    await workspace.say("good morning @deploybot", channel=ROOM)
    await workspace.rest()
    assert workspace.posts == []
