"""A command that somebody sends again because Slack was slow runs once."""

from __future__ import annotations

import dataclasses

import pytest

from tests.chat.slack.workspace import QUICK, Workspace, open_workspace


async def test_a_command_sent_again_runs_once(workspace: Workspace) -> None:
    for text in (
        "/deploy shop@v1.4",
        "/deploy  shop@v1.4",
        "/deploybot deploy shop@v1.4",
        "@deploybot deploy shop@v1.4",
    ):
        await workspace.say(text)
    post = await workspace.reads("I got this ")
    await workspace.rest()
    assert post.only_for == "UANA"
    assert len(workspace.bot.deployments.requests) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("/deploy shop@v1.4", "UANA"), ("/deploy shop@v1.3", "UANA")),
        (("/deploy shop@v1.4", "UANA"), ("/deploy shop@v1.4", "UBEN")),
        (("/deploy shop@v9", "UANA"), ("/deploy shop@v1.4", "UANA")),
    ],
)
async def test_another_command_is_another_one(
    workspace: Workspace, first: tuple[str, str], second: tuple[str, str]
) -> None:
    for text, user in (first, second):
        await workspace.say(text, user)
    await workspace.rest()
    assert len(workspace.bot.deployments.requests) == (1 if "v9" in first[0] else 2)


async def test_what_was_refused_may_be_sent_again(workspace: Workspace) -> None:
    await workspace.ask("/deploy shop@v1.4 to staging", "needs the role deployer", user="UCEM")
    await workspace.bot.say("allow @cem deployer on shop")
    await workspace.ask("/deploy shop@v1.4 to staging", "#1 deploy shop", user="UCEM")


async def test_what_only_looks_may_be_asked_at_any_time(workspace: Workspace) -> None:
    for _ in range(3):
        await workspace.say("/deploy-status", channel="DANA")
    await workspace.rest()
    assert [post.text.splitlines()[0] for post in workspace.posts] == ["board"] * 3


async def test_after_a_while_it_is_meant() -> None:
    async with open_workspace(times=dataclasses.replace(QUICK, again=0.0)) as workspace:
        for _ in range(2):
            await workspace.say("/deploy shop@v1.4")
            await workspace.rest()
        assert len(workspace.bot.deployments.requests) == 2
