"""Calls of the Web API: the pace, Retry-After, failures, tokens and scopes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Literal

import pytest

from deploybot import Button, Card, Line
from deploybot.chat.outbox_worker import OutboxWorker
from deploybot.chat.slack import slack_api as api_module
from deploybot.chat.slack.connection_problems import SlackProblems
from deploybot.chat.slack.oauth_scopes import bot_scopes
from deploybot.chat.slack.slack_api import SlackApi, SlackRefused
from deploybot.chat.slack.slack_timeouts import Times
from deploybot.domain import Channel
from deploybot.errors import ChannelClosed, Unreachable
from deploybot.ports import Tables
from tests.chat.slack.workspace import QUICK, ROOM, Workspace, open_workspace, until
from tests.chat.stub import SystemClock
from tests.doubles.slack import APP_TOKEN, BOT_TOKEN, SlackDouble

CHANNEL = Channel("slack", ROOM)


@pytest.fixture
async def double() -> AsyncIterator[SlackDouble]:
    made = SlackDouble()
    made.web.rates.hurry = QUICK.hurry
    await made.start()
    yield made
    await made.close()
    assert made.violations == []


@pytest.fixture
async def api(double: SlackDouble) -> AsyncIterator[SlackApi]:
    made = SlackApi(double.api_url, BOT_TOKEN, APP_TOKEN, SlackProblems(), QUICK)
    yield made
    await made.close()


@pytest.fixture
async def usual(double: SlackDouble) -> AsyncIterator[SlackApi]:
    """At the pace of the real Slack."""
    double.web.rates.hurry = 1.0
    made = SlackApi(double.api_url, BOT_TOKEN, APP_TOKEN, SlackProblems())
    yield made
    await made.close()


async def post(api: SlackApi, channel: str = ROOM) -> None:
    await api.call("chat.postMessage", channel=channel, text="x")


async def test_a_channel_gets_messages_no_faster_than_slack_takes_them(usual: SlackApi, double: SlackDouble) -> None:
    started = time.monotonic()
    await asyncio.gather(*(post(usual) for _ in range(3)), *(post(usual, f"C0{number:05d}") for number in range(20)))
    assert len(double.timeline.posts) == 23
    assert time.monotonic() - started < 15, "one after another they would take 25 s"


async def test_what_gets_no_turn_in_time_was_not_sent(
    usual: SlackApi, double: SlackDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_module, "_TURN_WITHIN", 0.1)
    ends = await asyncio.gather(*(post(usual) for _ in range(4)), return_exceptions=True)
    late = [one for one in ends if isinstance(one, Unreachable)]
    assert late
    assert len(double.timeline.posts) == len(ends) - len(late)


async def test_edits_keep_to_fifty_a_minute_over_all_channels(usual: SlackApi, double: SlackDouble) -> None:
    message = await usual.call("chat.postMessage", channel=ROOM, text="x")
    started = time.monotonic()
    for number in range(7):
        await usual.call("chat.update", channel=ROOM, ts=message["ts"], text=f"{number}")
    assert 2 < time.monotonic() - started < 20
    assert double.web.rates.counts["chat.update"] == 7


def test_the_rates_are_below_those_of_slack() -> None:
    for method, most in (("chat.update", 50), ("conversations.info", 50), ("apps.connections.open", 20), ("", 100)):
        rate = api_module._RATES.get(method, api_module._TIER_4)
        burst = rate.count // 2
        assert burst + 60 * (rate.count - burst) / rate.seconds <= most, method


async def test_retry_after_is_obeyed(api: SlackApi, double: SlackDouble) -> None:
    double.unkind.too_many, double.unkind.retry_after = 1, 3.0
    with pytest.raises(Unreachable) as caught:
        await api.call("users.info", user="UANA")
    assert caught.value.retry_after >= 3
    with pytest.raises(Unreachable) as again:
        await api.call("users.info", user="UANA")
    assert 0 < again.value.retry_after <= caught.value.retry_after
    assert double.web.rates.counts.get("users.info", 0) == 0, "Slack is left alone"
    await asyncio.sleep(again.value.retry_after)
    with pytest.raises(SlackRefused, match="user_not_found"):
        await api.call("users.info", user="UANA")


async def test_failures_that_may_pass_are_reported_as_such(api: SlackApi, double: SlackDouble) -> None:
    double.unkind.broken = 1
    with pytest.raises(Unreachable, match="status 503"):
        await post(api)
    await double.close()
    with pytest.raises(Unreachable, match=r"chat\.postMessage"):
        await post(api)


@pytest.mark.parametrize("why", ["rate_limited", "message_limit_exceeded", "ekm_access_denied", "accesslimited"])
async def test_a_message_that_slack_throttles_or_suspends_is_kept(api: SlackApi, double: SlackDouble, why: str) -> None:
    double.state.channel(ROOM).refuses = why
    with pytest.raises(Unreachable, match=why) as caught:
        await post(api)
    assert caught.value.retry_after > 1


async def test_a_card_that_slack_throttles_waits_and_stays_one_message(workspace: Workspace) -> None:
    def put(number: int) -> Callable[[Tables], None]:
        card = Card(title=f"state {number}", key="deployment:1")
        return lambda tables: tables.outbox.put(CHANNEL, card, clock.now())

    store, clock = workspace.bot.store, SystemClock()
    outbox = OutboxWorker(store, {"slack": workspace.slack}, clock)
    task = asyncio.create_task(outbox.run())
    for number in range(2):
        workspace.double.web.throttled = 1
        await store.write(put(number))
        outbox.wake()
        await workspace.reads(f"state {number}", within=10)
        assert workspace.double.web.throttled == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [one.text for one in workspace.posts] == ["state 1"]


@pytest.mark.parametrize("garbled", ['"x"', "[]", '{"ok": true}', '{"ok": true, "user_id": "U0BOT"}'])
async def test_an_answer_that_is_none_of_slacks_ends_nothing(garbled: str, caplog: pytest.LogCaptureFixture) -> None:
    prepare = partial(_garble, garbled)
    async with open_workspace(ready=False, prepare=prepare) as workspace:
        await until(lambda: workspace.slack.problem)
        workspace.double.web.garbled = ""
        await workspace.double.wire.connected.wait()
        await until(lambda: not workspace.slack.problem)
        workspace.double.web.garbled = garbled
        workspace.double.wire.cut()
        await until(lambda: workspace.slack.problem)
        workspace.double.web.garbled = ""
        await until(lambda: workspace.double.wire.sockets)
        await workspace.ask("/deploy shop@v1.4", "#1 deploy shop")
        assert workspace.slack.problem == ""
    assert "never retrieved" not in caplog.text


async def test_what_cannot_be_sent_is_no_answer_of_slack(api: SlackApi) -> None:
    with pytest.raises(TypeError):
        await api.call("chat.postMessage", channel="C1", blocks=[object()])


async def test_a_message_is_kept_if_the_answer_is_none_of_slacks(api: SlackApi, double: SlackDouble) -> None:
    double.web.garbled = '"x"'
    with pytest.raises(Unreachable, match="the answer can't be read"):
        await post(api)


def _garble(garbled: str, double: SlackDouble) -> None:
    double.web.garbled = garbled


class BrokenEvent(asyncio.Event):
    async def wait(self) -> Literal[True]:
        raise RuntimeError("a bug")


async def test_a_background_task_that_ends_is_the_problem_and_in_the_log(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    waits = workspace.slack._doubted
    workspace.slack._doubted = BrokenEvent()
    waits.set()
    await until(lambda: workspace.slack.problem)
    assert workspace.slack.problem == "something broke (RuntimeError); see the log"
    assert "RuntimeError: a bug" in caplog.text


async def test_silence_ends(double: SlackDouble) -> None:
    api = SlackApi(double.api_url, BOT_TOKEN, APP_TOKEN, SlackProblems(), Times(answer=0.1))
    double.unkind.silent = 1
    with pytest.raises(Unreachable, match="not answered within"):
        await post(api)
    await api.close()


async def test_a_refusal_is_for_good_and_has_a_cure(api: SlackApi, double: SlackDouble) -> None:
    double.state.channel(ROOM).bot_in = False
    with pytest.raises(SlackRefused, match="not_in_channel") as caught:
        await post(api)
    assert caught.value.hint == "Invite the bot there: `/invite @deploybot`."


@pytest.mark.parametrize("why", ["is_archived", "restricted_action", "restricted_action_read_only_channel"])
async def test_a_channel_in_which_the_bot_may_not_post_is_closed(api: SlackApi, double: SlackDouble, why: str) -> None:
    double.state.channel(ROOM).refuses = why
    with pytest.raises(ChannelClosed, match=why) as caught:
        await post(api)
    assert caught.value.hint


async def test_a_scope_that_is_missing_is_said_once(
    api: SlackApi, double: SlackDouble, caplog: pytest.LogCaptureFixture
) -> None:
    double.web.scopes = "commands,chat:write"
    for _ in range(3):
        with pytest.raises(Unreachable, match="lacks the scope users:read"):
            await api.call("users.info", user="UANA")
        await post(api)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "slack-manifest" in caplog.text


async def test_a_token_that_is_revoked_is_one_line_and_the_problem(caplog: pytest.LogCaptureFixture) -> None:
    async with open_workspace() as workspace:
        workspace.double.web.dead = "token_revoked"
        await workspace.double.deliver_event({"type": "tokens_revoked", "tokens": {"bot": ["U0BOT"], "oauth": []}})
        await until(lambda: workspace.slack.problem)
        assert workspace.slack.problem.startswith("bot_token was revoked: install the app again")
        for _ in range(3):
            with pytest.raises(Unreachable, match="was revoked"):
                await workspace.slack.send(CHANNEL, Card(title="x"))
        await workspace.rest()
        assert len([one for one in caplog.records if one.levelno >= logging.ERROR]) == 1
        workspace.double.web.dead = ""
        await workspace.slack.send(CHANNEL, Card(title="x"))
        assert workspace.slack.problem == ""


async def test_a_bot_token_that_never_worked_does_not_keep_the_bot_from_starting() -> None:
    def dead(double: SlackDouble) -> None:
        double.web.dead = "invalid_auth"

    async with open_workspace(ready=False, prepare=dead) as workspace:
        await until(lambda: workspace.slack.problem)
        assert (
            workspace.slack.problem == "bot_token is unknown to Slack: check that you copied all of it (invalid_auth)"
        )
        assert workspace.double.wire.opened == 0


async def test_an_edit_refused_for_good_says_so(workspace: Workspace) -> None:
    with pytest.raises(SlackRefused, match="message_not_found"):
        await workspace.slack.edit(CHANNEL, "1.000001", Card(title="x"))


async def test_what_slack_does_not_take_as_blocks_is_said_as_text(workspace: Workspace) -> None:
    workspace.double.web.narrow = "invalid_blocks"
    message = await workspace.send(Card(title="#1 done", code=("a < b & <!channel>",), final=True))
    assert "a < b & <!channel>" in message.text
    assert message.pings == ()
    await workspace.slack.edit(CHANNEL, message.id, Card(title="#1 done", text="x" * 9_000))
    long = workspace.shown(message.id)
    assert long.text.endswith("…")
    await workspace.double.timeline.until(lambda post: bool(post.files))


async def test_details_are_not_folded_where_slack_does_not_take_containers(workspace: Workspace) -> None:
    card = Card(title="#1 done", details=(Line("release", "v2, <!channel>"),), buttons=(Button("Status", "status"),))
    workspace.double.web.refused_blocks = frozenset({"container"})
    message = await workspace.send(card)
    assert [one.label for one in message.buttons] == ["Status"]
    assert "release: v2, <!channel>" in message.text
    assert message.pings == ()
    workspace.double.web.refused_blocks = frozenset()
    assert "<details>" not in (await workspace.send(card)).html, "it is not tried again"


async def test_details_are_folded(workspace: Workspace) -> None:
    message = await workspace.send(Card(title="#1 done", details=(Line("release", "v2"),)))
    assert "<details><summary>Details</summary>" in message.html
    assert "release: v2" in message.text


async def test_the_libraries_leave_our_loggers_alone(workspace: Workspace) -> None:
    await workspace.rest()
    for name in ("", "deploybot", "deploybot.chat", "deploybot.chat.slack"):
        assert logging.getLogger(name).level in {logging.NOTSET, logging.root.level}


async def test_scopes_that_are_missing_are_named_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    def older(double: SlackDouble) -> None:
        double.web.scopes = ",".join(scope for scope in bot_scopes() if scope != "files:write")

    async with open_workspace(prepare=older) as workspace:
        assert workspace.slack.problem == ""
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 1
    assert warned[0].startswith("Slack: the app lacks files:write: paste what")
