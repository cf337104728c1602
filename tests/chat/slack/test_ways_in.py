"""Every way in: slash commands, mentions, threads, direct messages, buttons, modals, the home tab; in both modes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from deploybot import Button, Card, Context, Tone, command
from deploybot.chat.slack.slack_api import SlackRefused
from deploybot.command import Command
from deploybot.domain import Channel
from tests.chat.slack.workspace import ROOM, Workspace, open_workspace
from tests.doubles.timeline import Post


@command("reject <number>", needs="deploy")
async def reject(ctx: Context, number: str) -> Card:
    """Say what was asked, as a request's refusal would be."""
    return Card(title=f"{number} is rejected: {ctx.reason}")


@command("enter <number> [code <code>]", needs="deploy")
async def enter(ctx: Context, number: str, code: str = "") -> Card:
    """Say which code was given."""
    del ctx
    return Card(title=f"{number} with the code {code}")


@command("begin <number>", needs="deploy")
async def begin(ctx: Context, number: str) -> Card:
    """Say what a deployment says that the outbox tells of."""
    del ctx
    return Card(title=f"#{number} runs", key=f"deployment:{number}", queued=True)


MORE: tuple[Command, ...] = tuple(made.__dict__["__command__"] for made in (reject, enter, begin))
ASKS = Card(
    title="#7 waits",
    buttons=(
        Button("Deploy", "deploy shop@v1.4"),
        Button("Reject", "reject 7", danger=True, asks="Why do you reject it?"),
        Button("Enter", "enter 7", asks="Your one-time code", asks_code=True),
    ),
)


@pytest.fixture(params=["socket", "http"])
async def either(request: pytest.FixtureRequest) -> AsyncIterator[Workspace]:
    async with open_workspace(*MORE, http=request.param == "http") as made:
        yield made


def titles(posts: list[Post]) -> list[str]:
    return [post.text.splitlines()[0] for post in posts]


async def test_a_slash_command(either: Workspace) -> None:
    await either.ask("/deploy shop@v1.4 because it is time", "#1 deploy shop")
    (asked,) = either.bot.deployments.requests
    assert (asked.by, asked.reason) == ("ana", "it is time")
    assert max(either.double.wire.delays) < either.double.wire.ack_within


async def test_a_mention_in_a_thread_is_answered_there(either: Workspace) -> None:
    root = await either.say("shall we?")
    await either.say("@deploybot deploy shop@v1.4", thread=root)
    assert (await either.reads("#1 deploy shop")).thread == root


@pytest.mark.parametrize("why", ["thread_not_found", "restricted_action_thread_locked"])
async def test_what_a_thread_does_not_take_any_more_is_said_in_its_channel(workspace: Workspace, why: str) -> None:
    root = await workspace.say("which one?")
    workspace.double.state.channel(ROOM).refuses_replies = why
    await workspace.say("@deploybot deploy shop@v1.4", thread=root)
    assert (await workspace.reads("#1 deploy shop")).thread == ""
    await workspace.say("@deploybot deploy nothing", thread=root)
    assert (await workspace.reads("There is no app `nothing`")).thread == ""


async def test_a_slash_command_does_not_run_in_a_thread(workspace: Workspace) -> None:
    root = await workspace.say("shall we?")
    await workspace.say("/deploy shop", thread=root)
    assert workspace.double.timeline.posts[-1].text == "/deploy is not supported in threads. Sorry!"


async def test_a_direct_message_needs_no_address(either: Workspace) -> None:
    assert (await either.ask("deploy shop@v1.4", "#1 deploy shop", channel="DANA")).channel == "DANA"


async def test_what_is_not_meant_for_the_bot_is_passed_over(workspace: Workspace) -> None:
    await workspace.say("deploy shop? not today")
    await workspace.say("good morning @deploybot")
    await workspace.rest()
    assert workspace.posts == []


async def test_a_command_whose_name_slack_keeps_has_another_one(workspace: Workspace) -> None:
    await workspace.say("/status shop")
    assert workspace.double.timeline.posts[-1].text == "/status is not a valid command of this app."
    await workspace.ask("/deploy-status", "board")
    await workspace.ask("/deploybot deploy shop@v1.4", "#1 deploy shop")


async def test_help_says_what_commands_are_called_here(workspace: Workspace) -> None:
    post = await workspace.ask("/deploy-help", "What I can do")
    assert "/deploy-status" in post.text
    assert "/deploy-deploy" not in post.text
    one = await workspace.ask("@deploybot help deploy", "For deployers")
    assert "Slack keeps" not in one.text


async def test_mentions_of_people_and_links_are_what_was_typed(workspace: Workspace) -> None:
    workspace.double.user("UNEW", "nia")
    await workspace.ask("/allow @nia:nia viewer on shop", "nia")
    person = await workspace.bot.store.read(lambda tables: tables.people.named("nia"))
    assert person is not None
    held = await workspace.bot.store.read(lambda tables: tables.people.identities(person.id))
    assert [(one.platform, one.team, one.user) for one in held] == [("slack", "T0TEAM", "UNEW")]


async def test_the_answer_to_a_mistake_is_seen_by_its_sender_alone(either: Workspace) -> None:
    assert (await either.ask("/deploy shpo", "shpo", "shop")).only_for == "UANA"
    assert (await either.ask("@deploybot deploy shopp", "shopp")).only_for == "UANA"


async def test_a_button_runs_its_command_once(either: Workspace) -> None:
    post = await either.send(ASKS)
    await either.double.press("UANA", post, "Deploy")
    await either.reads("#1 deploy shop")
    await either.double.press("UBEN", post, "Deploy")
    assert (await either.reads("pressed already")).only_for == "UBEN"
    assert len(either.bot.deployments.requests) == 1


async def test_a_button_that_asks_for_a_reason(either: Workspace) -> None:
    post = await either.send(ASKS)
    await either.double.press("UANA", post, "Reject", answer="it  breaks\nthe <shop> & more")
    await either.reads("7 is rejected: it breaks the <shop> & more")
    assert [one for one in either.double.timeline.posts if one.id.startswith("V")] == []


async def test_a_button_that_asks_for_a_code(either: Workspace) -> None:
    post = await either.send(ASKS)
    await either.double.press("UANA", post, "Enter", answer="123 456")
    await either.reads("7 with the code 123456")


async def test_a_modal_says_what_is_asked(workspace: Workspace) -> None:
    post = await workspace.send(ASKS)
    await workspace.double.press("UANA", post, "Reject")
    modal = await workspace.reads("Why do you reject it?")
    assert (modal.only_for, [press.label for press in modal.buttons]) == ("UANA", ["Send"])


async def test_a_token_is_no_right(workspace: Workspace) -> None:
    post = await workspace.send(ASKS)
    await workspace.double.press("UCEM", post, "Deploy")
    await workspace.reads("needs the role deployer")
    assert workspace.bot.deployments.requests == []


async def test_where_there_is_a_choice_a_modal_offers_it(either: Workspace) -> None:
    await either.say("/deploy wiki")
    modal = await either.reads("Which one?")
    assert modal.only_for == "UANA"
    labels = [press.label for press in modal.buttons]
    assert len(labels) == 2
    await either.double.press("UANA", modal, labels[0])
    await either.reads("#1 deploy wiki")


async def test_a_choice_is_buttons_where_no_modal_can_be_opened(either: Workspace) -> None:
    post = await either.ask("@deploybot deploy wiki", "wiki")
    assert (post.only_for, len(post.buttons)) == ("UANA", 2)
    await either.double.press("UANA", post, post.buttons[1].label)
    await either.reads("#1 deploy wiki")


async def test_a_choice_that_comes_too_late_for_a_modal_is_buttons(workspace: Workspace) -> None:
    workspace.double.state.trigger_life = 0.0
    post = await workspace.ask("/deploy wiki", "wiki")
    assert len(post.buttons) == 2
    asks = await workspace.send(ASKS)
    await workspace.double.press("UANA", asks, "Reject")
    await workspace.reads("Press the button again")


async def test_the_home_tab_shows_the_board(either: Workspace) -> None:
    await either.double.open_home("UANA")
    home = await either.reads("board", channel="home:UANA")
    await either.double.press("UANA", home, "Look again")
    await either.double.timeline.until(lambda post: post.id == "home" and post.edits == 1)


async def test_a_card_is_edited_in_place(workspace: Workspace) -> None:
    channel = Channel("slack", ROOM)
    post = await workspace.send(Card(title="#1 runs", key="deployment:1", tone=Tone.BUSY, final=False))
    await workspace.slack.edit(channel, post.id, Card(title="#1 done", key="deployment:1", tone=Tone.GOOD))
    assert titles(workspace.posts) == ["✅ #1 done"]
    assert workspace.shown(post.id).edits == 1


async def test_buttons_that_stay_keep_working_over_edits(workspace: Workspace) -> None:
    channel = Channel("slack", ROOM)
    post = await workspace.send(ASKS)
    await workspace.slack.edit(channel, post.id, Card(title="#7 waits on", buttons=ASKS.buttons[:1]))
    again = workspace.shown(post.id)
    assert again.buttons == post.buttons[:1]
    await workspace.double.press("UANA", again, "Deploy")
    await workspace.reads("#1 deploy shop")


async def test_where_the_bot_is_not_in_the_channel_its_sender_is_answered(workspace: Workspace) -> None:
    workspace.double.state.channel("C0OTHER").bot_in = False
    post = await workspace.ask("/deploy shop@v1.4", "#1 deploy shop", channel="C0OTHER")
    assert post.only_for == "UANA"
    assert "/invite @deploybot" in post.text


async def test_unknown_payloads_are_acknowledged_and_passed_over(either: Workspace) -> None:
    for kind, payload in (
        ("interactive", {"type": "shortcut", "callback_id": "x", "trigger_id": "1.2"}),
        ("interactive", {"type": "view_closed", "view": {"id": "V1"}}),
        ("interactive", {"type": "block_actions", "actions": [], "user": {}, "container": {}}),
        ("interactive", {"type": "view_submission", "view": {"private_metadata": "nonsense"}, "user": {"id": "UANA"}}),
        ("events_api", {"type": "event_callback", "event": {"type": "reaction_added"}, "event_id": "Ev1"}),
        ("events_api", {"type": "event_callback", "event_id": "Ev2"}),
        ("slash_commands", {"command": "/deploy"}),
    ):
        assert await either.double.wire.hand_over(kind, payload) is not None, payload
    await either.rest()
    assert either.posts == []


async def test_a_deployment_requested_outside_the_bots_channels_is_shown_to_its_requester() -> None:
    channel = Channel("slack", "C0OTHER")
    running = Card(title="#1 runs", key="deployment:1", tone=Tone.BUSY, final=False)
    async with open_workspace(*MORE) as workspace:
        workspace.double.state.channel(channel.id).bot_in = False
        sending = asyncio.create_task(workspace.slack.send(channel, running))
        await workspace.say("/begin 1", channel=channel.id)
        message = await sending
        await workspace.slack.edit(channel, message, replace(running, title="#1 runs on"))
        await workspace.slack.edit(channel, message, replace(running, title="#1 done", tone=Tone.GOOD, final=True))
        told = [(post.text.splitlines()[0], post.only_for) for post in workspace.posts]
        assert told == [("⏳ #1 runs", "UANA"), ("✅ #1 done", "UANA")]
        assert "/invite @deploybot" in workspace.posts[0].text
        with pytest.raises(SlackRefused, match="not_in_channel"):
            await workspace.slack.send(channel, replace(running, key="deployment:2"))


async def test_a_missing_reason_is_asked_for_in_a_modal(either: Workspace) -> None:
    await either.say("/lock shop staging")
    modal = await either.reads("`lock shop staging` needs a reason.", "Why?")
    assert (modal.only_for, [press.label for press in modal.buttons]) == ("UANA", ["Send"])
    await either.double.press("UANA", modal, "Send", answer="we <measure>")
    await either.reads("shop/staging is locked by ana until somebody unlocks it: “we <measure>”.")


async def test_a_reason_is_asked_for_after_the_last_picker(either: Workspace) -> None:
    await either.say("/lock")
    for title, label in (("Which app?", "shop"), ("Which environment of shop?", "staging")):
        modal = await either.reads(title)
        await either.double.press("UANA", modal, label)
    modal = await either.reads("`lock shop staging` needs a reason.")
    await either.double.press("UANA", modal, "Send", answer="we measure")
    await either.reads("shop/staging is locked by ana")


async def test_a_reason_is_a_button_where_no_modal_can_be_opened(workspace: Workspace) -> None:
    post = await workspace.ask("@deploybot lock shop staging", "needs a reason")
    assert (post.only_for, [press.label for press in post.buttons]) == ("UANA", ["Give the reason"])
    await workspace.double.press("UANA", post, "Give the reason", answer="we measure")
    await workspace.reads("shop/staging is locked by ana")


async def test_a_question_for_a_reason_that_comes_too_late_for_a_modal_is_a_button(workspace: Workspace) -> None:
    workspace.double.state.trigger_life = 0.0
    post = await workspace.ask("/lock shop staging", "needs a reason")
    assert [press.label for press in post.buttons] == ["Give the reason"]
