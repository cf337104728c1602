"""The home tab: a person's role, what waits with its buttons, what runs; renewed when something changes."""

from __future__ import annotations

from dataclasses import replace

from deploybot.card import Button, Card, Tone
from deploybot.domain import Channel
from tests.chat.slack.workspace import ROOM, Workspace
from tests.doubles.timeline import Post

APPROVE = Button("Approve #7", "approve #7", primary=True)
REJECT = Button("Reject #7", "reject #7", danger=True, asks="Why?")
HOME = "home:UANA"


async def opened(workspace: Workspace) -> Post:
    """The home tab of ana, with a request that she may decide."""
    bot = workspace.bot
    bot.deployments.put(7, "shop", "staging", bot.releases.known["v1.4"])
    bot.deployments.waiting = [APPROVE, REJECT]
    await workspace.double.open_home("UANA")
    return await workspace.reads("board", channel=HOME)


async def test_it_shows_what_waits_the_role_and_the_board(workspace: Workspace) -> None:
    home = await opened(workspace)
    assert [button.label for button in home.buttons] == ["Approve #7", "Reject #7", "Look again"]
    channels = [home.text.index(word) for word in ("queue", "You are ana.", "admin", "board")]
    assert channels == sorted(channels)


async def test_a_request_is_approved_there_once(workspace: Workspace) -> None:
    home = await opened(workspace)
    workspace.bot.deployments.waiting = []
    await workspace.double.press("UANA", home, "Approve #7")
    await workspace.double.timeline.until(
        lambda post: post.channel == HOME and "Approve #7" not in {one.label for one in post.buttons}
    )
    assert workspace.bot.deployments.approved == [("ana", 7, "")]


async def test_a_reason_is_asked_there(workspace: Workspace) -> None:
    home = await opened(workspace)
    await workspace.double.press("UANA", home, "Reject #7", answer="too risky today")
    await workspace.double.timeline.until(lambda post: post.channel == HOME and post.edits == 1)
    assert workspace.bot.deployments.rejected == [("ana", 7, "too risky today")]


async def test_a_refusal_is_shown_above_it(workspace: Workspace) -> None:
    home = await opened(workspace)
    del workspace.bot.deployments.rows[7]
    await workspace.double.press("UANA", home, "Approve #7")
    home = await workspace.reads("There is no deployment #7.", channel=HOME)
    assert home.text.index("There is no deployment #7.") < home.text.index("queue")
    assert {post.channel for post in workspace.double.timeline.posts if post.author == "deploybot"} == {HOME}


async def test_it_is_renewed_when_the_state_of_a_deployment_changes(workspace: Workspace) -> None:
    await opened(workspace)
    channel, running = (
        Channel("slack", ROOM),
        Card(title="#7 shop · running", key="deployment:7", tone=Tone.BUSY, final=False),
    )
    message = await workspace.slack.send(channel, running)
    home = await workspace.double.timeline.until(lambda post: post.channel == HOME and post.edits == 1)
    for second in range(3):
        await workspace.slack.edit(channel, message, replace(running, text=f"{second} s"))
    await workspace.slack.edit(channel, message, replace(running, title="#7 shop · succeeded"))
    home = await workspace.double.timeline.until(lambda post: post.channel == HOME and post.edits >= 2)
    assert home.edits == 2


async def test_what_is_no_deployment_renews_nothing(workspace: Workspace) -> None:
    await opened(workspace)
    home_tab = workspace.slack._handler.home
    await workspace.slack.send(Channel("slack", ROOM), Card(title="A push", key="event:7", final=False))
    assert not home_tab._renews
    await workspace.slack.send(Channel("slack", ROOM), Card(title="#7 shop · running", key="deployment:7", final=False))
    home = await workspace.double.timeline.until(lambda post: post.channel == HOME and post.edits >= 1)
    assert home.edits == 1


async def test_a_person_without_a_role_sees_why(workspace: Workspace) -> None:
    bot = workspace.bot
    ben = await bot.store.read(lambda tables: tables.people.named("ben"))
    assert ben is not None
    await bot.store.write(lambda tables: tables.people.revoke(ben.id))
    await workspace.double.open_home("UBEN")
    home = await workspace.double.timeline.until(lambda post: post.channel == "home:UBEN")
    assert [button.label for button in home.buttons] == ["Look again"]
    assert "board" not in home.text
