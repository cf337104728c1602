"""Answers that only their sender sees, and what is done where Slack does not take them."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from deploybot import Button, Card, Context, UserError, command
from deploybot.chat.slack.response_urls import ResponseUrls
from deploybot.chat.slack.slack_api import SlackRefused
from deploybot.command import Command
from deploybot.errors import Unreachable
from tests.chat.slack.workspace import QUICK, ROOM, Workspace, open_workspace


@command("chatter", needs="view")
async def chatter(ctx: Context) -> Card:
    """Say more than a response_url takes."""
    for number in range(6):
        await ctx.reply(Card(title=f"line {number}", private=True))
    return Card(title="over", private=True)


@command("follow", needs="view")
async def follow(ctx: Context) -> Card:
    """Say a card that changes."""
    for number in range(3):
        await ctx.reply(Card(title=f"log {number}", key="log-1", stream=True, final=False))
    return Card(title="log over", key="log-1", stream=True)


@command("wrong", needs="view")
async def wrong(ctx: Context) -> Card:
    """Be refused."""
    del ctx
    raise UserError("No such thing.")


MORE: tuple[Command, ...] = tuple(made.__dict__["__command__"] for made in (chatter, follow, wrong))


async def test_after_five_answers_the_rest_comes_another_way() -> None:
    async with open_workspace(*MORE) as workspace:
        await workspace.say("/chatter")
        await workspace.reads("over")
        assert [post.only_for for post in workspace.posts] == ["UANA"] * 7


async def test_a_card_that_changes_is_reported_at_its_end_where_the_bot_is_not() -> None:
    async with open_workspace(*MORE) as workspace:
        workspace.double.state.channel("C0OTHER").bot_in = False
        await workspace.say("/follow", channel="C0OTHER")
        await workspace.reads("log over", "/invite @deploybot")
        assert len(workspace.posts) == 1


async def test_a_refusal_that_slack_fails_to_take_is_said_again() -> None:
    async with open_workspace(*MORE) as workspace:
        await workspace.ask("/deploy-status", "board")
        workspace.double.unkind.broken = 1
        await workspace.ask("/wrong", "No such thing")


async def test_a_mention_where_the_bot_was_thrown_out_is_only_in_the_log(workspace: Workspace) -> None:
    event = {"type": "app_mention", "user": "UANA", "channel": "C0GONE", "text": "<@U0BOT> apps"}
    workspace.double.state.channel("C0GONE").bot_in = False
    at = workspace.double.state.new_ts()
    await workspace.double.deliver_event({**event, "ts": at, "event_ts": at})
    await workspace.rest()
    assert workspace.posts == []


async def test_answers_are_refused_or_fail(workspace: Workspace) -> None:
    address = workspace.double._answer_url(ROOM, "UANA")
    with pytest.raises(SlackRefused, match="expired_url"):
        await workspace.slack.api.answer(f"{address}x", {"text": "x"})
    workspace.double.unkind.too_many, workspace.double.unkind.retry_after = 1, 3.0
    with pytest.raises(Unreachable) as caught:
        await workspace.slack.api.answer(address, {"text": "x"})
    assert caught.value.retry_after == 3
    with pytest.raises(Unreachable):
        await workspace.slack.api.answer("http://127.0.0.1:9/x", {"text": "x"})


def test_no_address_is_no_answer() -> None:
    assert not ResponseUrls().take("")


async def test_a_question_about_a_button_that_is_gone_is_not_asked(workspace: Workspace) -> None:
    post = await workspace.send(Card(title="#7 waits", buttons=(Button("Reject", "cancel 7", asks="Why?"),)))
    other = await workspace.send(Card(title="#8 waits", buttons=(Button("Reject", "cancel 8", asks="Why?"),)))
    action = {**workspace.double._action(post, "Reject")}
    trigger = workspace.double.state.new_trigger("UANA", ROOM)
    await workspace.double.press_raw("UANA", other, action, trigger)
    await workspace.reads("does not work any more")
    assert workspace.double.state.views == {}


@pytest.mark.parametrize("command", ["/deploy-status", "@deploybot status"])
async def test_in_a_busy_channel_nobody_waits_for_others_and_neither_does_the_outbox(command: str) -> None:
    async with open_workspace(times=dataclasses.replace(QUICK, hurry=2.0)) as workspace:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(workspace.say(f"{command} because {number}") for number in range(30)))
        started = loop.time()
        await workspace.send(Card(title="#1 runs", key="deployment:1", final=False))
        assert loop.time() - started < 10, "thirty answers in the channel take 16 s"
        await workspace.rest()
        answers = [post for post in workspace.posts if "board" in post.text]
        assert len(answers) == 30
        assert {post.only_for for post in answers} == {"", "UANA"}
        assert all(("too many messages" in post.text) == bool(post.only_for) for post in answers)


@command("private", needs="view")
async def private(ctx: Context) -> Card:
    """Answer with more than fits, and only to the person who asks."""
    del ctx
    return Card(title="all of it", private=True, code=tuple(f"line {number:05d}" for number in range(3_000)))


PRIVATE: Command = private.__dict__["__command__"]


@pytest.mark.parametrize("is_in", [True, False])
async def test_what_a_private_answer_cannot_hold_comes_by_direct_message(*, is_in: bool) -> None:
    async with open_workspace(PRIVATE) as workspace:
        workspace.double.state.channel(ROOM).bot_in = is_in
        await workspace.say("/private")
        answer = await workspace.reads("Too long for one message.", "I sent you the rest in a direct message.")
        assert (answer.channel, answer.only_for) == (ROOM, "UANA")
        assert "thread" not in answer.text
        whole = await workspace.double.timeline.until(lambda one: bool(one.files))
        assert whole.channel == "DUANA"
        assert b"line 00000\n" in whole.files[0][1]


async def test_a_private_answer_promises_nothing_where_direct_messages_are_off() -> None:
    async with open_workspace(PRIVATE) as workspace:
        workspace.double.state.direct = False
        await workspace.say("/private")
        answer = await workspace.reads("Too long for one message.", "The rest is missing: ", "messages_tab_disabled")
        assert "thread" not in answer.text
        await workspace.rest()
        assert workspace.posts == [answer]
