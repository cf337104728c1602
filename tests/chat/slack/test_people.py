"""Whoever is no full member of the workspace is nobody, by whatever way they come."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploybot import Button, Card
from deploybot.domain import Identity
from deploybot.ports import Tables
from tests.chat.slack.workspace import ROOM, Workspace, open_workspace
from tests.doubles.slack import SlackDouble

NOBODY: dict[str, dict[str, bool | str]] = {
    "guest of many channels": {"restricted": True},
    "guest of one channel": {"restricted": True, "ultra_restricted": True},
    "stranger of another workspace": {"team": "T0OTHER"},
    "stranger": {"stranger": True},
    "bot": {"bot": True},
    "removed": {"deleted": True},
}
CARD = Card(title="#7 waits", buttons=(Button("Deploy", "deploy shop@v1.4"), Button("No", "cancel 7", asks="Why?")))


async def _everything(workspace: Workspace, user: str) -> None:
    """Try each way in."""
    post = await workspace.send(CARD)
    await workspace.say("/deploy shop@v1.4", user)
    await workspace.say("@deploybot deploy shop@v1.4", user)
    await workspace.say("deploy shop@v1.4", user, f"D{user}")
    await workspace.double.press(user, post, "Deploy")
    await workspace.double.press(user, post, "No")
    await workspace.double.open_home(user)
    await workspace.rest()


@pytest.mark.parametrize("kind", NOBODY)
async def test_senders_are_ignored(workspace: Workspace, kind: str) -> None:
    workspace.double.user("UNOBODY", "eve", **NOBODY[kind])
    # Even where somebody let them in by mistake, or they were a member before.
    await workspace.bot.store.write(lambda tables: _let_in(tables, "T0TEAM"))
    await _everything(workspace, "UNOBODY")
    assert workspace.bot.deployments.requests == []
    said = [post for post in workspace.posts if "full members" in post.text]
    assert len(said) <= 1
    assert all(post.only_for == "UNOBODY" for post in said)
    assert len(workspace.posts) == 1 + len(said), "nothing else was said to anybody"


def _let_in(tables: Tables, team: str) -> None:
    eve = tables.people.named("ana")
    assert eve is not None
    tables.people.link(eve.id, Identity("slack", "UNOBODY", team))


@pytest.mark.parametrize("kind", ["guest of many channels", "stranger"])
async def test_people_learn_why_once_an_hour(workspace: Workspace, kind: str) -> None:
    workspace.double.user("UNOBODY", "eve", **NOBODY[kind])
    for number in range(3):
        await workspace.say(f"/deploy shop@v1.{number}", "UNOBODY")
    await workspace.rest()
    assert [post.text for post in workspace.posts] == ["⚠️ I only work for full members of this workspace."]


async def test_a_member_who_is_not_on_the_allowlist_learns_how_to_get_there(workspace: Workspace) -> None:
    workspace.double.user("UNEW", "nia")
    post = await workspace.ask("/deploy shop", "I do not know you yet", user="UNEW")
    assert post.only_for == "UNEW"
    assert "allow slack:T0TEAM/UNEW:nia viewer" in post.text


async def test_the_same_id_in_another_team_is_somebody_else(workspace: Workspace) -> None:
    known = await workspace.bot.store.read(lambda tables: tables.people.of(Identity("slack", "UANA", "T0OTHER")))
    assert known is None


async def test_members_of_an_organisation_are_at_home_in_all_its_workspaces() -> None:
    async with open_workspace(enterprise="E0ACME") as workspace:
        workspace.double.user("UANA", "ana", team="T0SECOND")
        await workspace.ask("/deploy shop@v1.4", "#1 deploy shop")


def _events() -> dict[str, Callable[[str], dict[str, object]]]:
    at = "1800000000.900001"
    said = {"type": "message", "channel_type": "im", "channel": "DANA", "ts": at, "event_ts": at}
    return {
        "of a bot": lambda text: {**said, "text": text, "user": "UANA", "bot_id": "B1"},
        "an edit": lambda text: {**said, "subtype": "message_changed", "message": {"text": text, "user": "UANA"}},
        "edited": lambda text: {**said, "text": text, "user": "UANA", "edited": {"ts": at, "user": "UANA"}},
        "hidden": lambda text: {**said, "text": text, "user": "UANA", "hidden": True},
        "of a bot, older kind": lambda text: {**said, "text": text, "subtype": "bot_message", "username": "ana"},
        "a shared file": lambda text: {**said, "text": text, "user": "UANA", "subtype": "file_share"},
    }


@pytest.mark.parametrize("kind", _events())
async def test_messages_that_nobody_wrote_just_now_are_ignored(workspace: Workspace, kind: str) -> None:
    await workspace.double.deliver_event(_events()[kind]("deploy shop@v1.4"))
    await workspace.rest()
    assert workspace.posts == []
    assert workspace.bot.deployments.requests == []


async def test_an_old_message_is_reported_and_not_run(workspace: Workspace) -> None:
    workspace.bot.clock.advance(-4_000)
    event = {"type": "app_mention", "user": "UANA", "channel": ROOM, "text": "<@U0BOT> deploy shop@v1.4"}
    at = workspace.double.state.new_ts()
    workspace.bot.clock.advance(4_000)
    await workspace.double.deliver_event({**event, "ts": at, "event_ts": at})
    await workspace.reads("so I did not run it")
    assert workspace.bot.deployments.requests == []


async def test_a_command_that_waited_for_slack_is_reported_and_not_run() -> None:
    def away(double: SlackDouble) -> None:
        double.unkind.broken = 10_000

    async with open_workspace(http=True, prepare=away) as workspace:
        await workspace.say("/deploy shop@v1.4")
        workspace.bot.clock.advance(400)
        workspace.double.unkind.broken = 0
        await workspace.reads("so I did not run it")
        assert workspace.bot.deployments.requests == []


async def test_where_slack_does_not_say_who_it_is_nothing_is_done(workspace: Workspace) -> None:
    workspace.double.web.scopes = "commands,chat:write"
    post = await workspace.ask("/deploy shop@v1.4", "I cannot look you up in Slack")
    assert post.only_for == "UANA"
    workspace.double.web.scopes = "commands,chat:write,users:read"
    await workspace.ask("/deploy shop@v1.4", "#1 deploy shop")


async def test_people_are_looked_up_once_in_a_while(workspace: Workspace) -> None:
    for number in range(5):
        await workspace.say(f"/deploy shop@v1.{number}")
    await workspace.rest()
    assert workspace.double.web.rates.counts["users.info"] <= 5
    before = workspace.double.web.rates.counts["users.info"]
    await workspace.say("/deploy shop@v1.4")
    await workspace.rest()
    assert workspace.double.web.rates.counts["users.info"] == before


async def test_somebody_whom_slack_does_not_know_is_a_stranger(workspace: Workspace) -> None:
    payload = {"type": "app_mention", "user": "UGHOST", "channel": ROOM, "text": "<@U0BOT> deploy shop@v1.4"}
    at = workspace.double.state.new_ts()
    await workspace.double.deliver_event({**payload, "ts": at, "event_ts": at})
    await workspace.rest()
    assert workspace.posts == []
