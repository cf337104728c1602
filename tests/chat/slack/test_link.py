"""Socket Mode: sockets that are refreshed, cut, dead or refused; envelopes that come twice."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from functools import partial

import pytest

from deploybot.chat.slack import slack_connection
from deploybot.chat.slack.connection_problems import SlackProblems
from deploybot.chat.slack.slack_timeouts import Times
from tests.chat.slack.workspace import QUICK, Workspace, open_workspace, until
from tests.doubles.slack import SlackDouble
from tests.doubles.slack.wire import Wire

USUAL = Times()


async def test_a_socket_that_will_be_closed_is_replaced_before() -> None:
    async with open_workspace(times=dataclasses.replace(QUICK, linger=3.0)) as workspace:
        wire = workspace.double.wire
        (old,) = wire.sockets
        await wire.warn()
        await until(lambda: wire.opened >= 2)
        assert old in wire.sockets, "what Slack still says on the old one is heard"
        for number in range(2):
            await workspace.say(f"/deploy blog@v1.{3 + number}")
        await until(lambda: old not in wire.sockets)
        await workspace.rest()
        assert len(workspace.bot.deployments.requests) == 2
        assert workspace.slack.problem == ""


async def test_a_socket_that_is_cut_is_replaced(workspace: Workspace) -> None:
    wire = workspace.double.wire
    for _ in range(3):
        opened = wire.opened
        wire.cut()
        await until(partial(_is_back, wire, opened))
    await workspace.ask("/deploy shop@v1.4", "#1 deploy shop")


def _is_back(wire: Wire, before: int) -> bool:
    return wire.opened > before and bool(wire.sockets)


async def test_a_dead_socket_is_noticed_and_replaced() -> None:
    async with open_workspace(ready=False, prepare=lambda double: setattr(double.wire, "deaf", True)) as workspace:
        wire = workspace.double.wire
        await until(lambda: wire.opened >= 1)
        wire.deaf = False
        await until(lambda: wire.opened >= 2)
        await workspace.ask("/deploy shop@v1.4", "#1 deploy shop")


def test_the_usual_times_replace_a_dead_socket_within_a_minute() -> None:
    # Four pings without an answer, a look, and a connection that takes as long as it may.
    assert USUAL.ping * 4 + USUAL.look + USUAL.retry.first + 10 < 60


async def test_what_is_handed_over_again_after_a_cut_runs_once(workspace: Workspace) -> None:
    workspace.double.unkind.dropped = 1
    await workspace.say("@deploybot deploy shop@v1.4")
    workspace.double.unkind.twice = 1
    await workspace.say("@deploybot deploy blog@v1.4")
    await workspace.rest()
    assert [asked.app for asked in workspace.bot.deployments.requests] == ["shop", "blog"]
    assert not [post for post in workspace.posts if "already" in post.text]


async def test_an_envelope_that_comes_twice_runs_once(workspace: Workspace) -> None:
    workspace.double.unkind.twice = 1
    await workspace.say("/deploy shop@v1.4")
    post = await workspace.reads("#1 deploy shop")
    await workspace.rest()
    assert [one for one in workspace.posts if one.channel == post.channel] == [post]
    assert len(workspace.bot.deployments.requests) == 1


async def test_acknowledged_while_the_web_api_is_silent() -> None:
    async with open_workspace(times=dataclasses.replace(QUICK, answer=4.0)) as workspace:
        workspace.double.unkind.silent = 3
        for number in range(20):
            await workspace.say("@deploybot status shop", channel=f"C0{number:05d}")
        assert max(workspace.double.wire.delays) < workspace.double.wire.ack_within < 4.0
        await workspace.rest()
        assert len(workspace.posts) == 20


async def test_socket_mode_that_is_off_is_said(caplog: pytest.LogCaptureFixture) -> None:
    async with open_workspace(ready=False, prepare=lambda double: setattr(double.wire, "disabled", True)) as workspace:
        await until(lambda: workspace.slack.problem)
        assert "Socket Mode is disabled" in workspace.slack.problem
        workspace.double.wire.disabled = False
        await until(lambda: not workspace.slack.problem)
    assert len([record for record in caplog.records if "is disabled" in record.getMessage()]) == 1


def _without_the_app_token(double: SlackDouble) -> None:
    double.web.dead_app = "invalid_auth"


async def test_an_app_token_that_does_not_work_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async with open_workspace(ready=False, prepare=_without_the_app_token) as workspace:
        await until(lambda: workspace.slack.problem)
        assert workspace.slack.problem.startswith("app_token is unknown to Slack: ")
    assert len([one for one in caplog.records if one.levelno >= logging.WARNING]) == 1


async def test_closing_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    started = time.monotonic()
    async with open_workspace(times=QUICK) as workspace:
        await workspace.double.wire.warn()
        await until(lambda: workspace.double.wire.opened >= 2)
    assert time.monotonic() - started < 20
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("steps", range(6))
async def test_however_early_it_is_stopped_no_session_is_left_open(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Stopped `steps` turns of the loop after a socket was replaced: its closing has not begun, or is half done."""
    sockets: list[slack_connection._Socket] = []
    replaced = asyncio.Event()

    async def url() -> str:
        return ""

    async def handle(*_: object) -> None:
        """Nothing comes."""

    async def connected() -> slack_connection._Socket:
        fresh = slack_connection._Socket("", handle, 5.0)
        sockets.append(fresh)
        if len(sockets) > 1:
            replaced.set()
        return fresh

    link = slack_connection.SlackConnection(url, handle, SlackProblems(), QUICK)
    monkeypatch.setattr(link, "_connect", connected)
    running = asyncio.create_task(link.run())
    await replaced.wait()
    for _ in range(steps):
        await asyncio.sleep(0)  # a turn of the loop
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(sockets) > 1
    assert all(one.aiohttp_client_session.closed for one in sockets)


async def test_a_socket_that_cannot_be_closed_is_in_the_log(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    drop, broken = slack_connection._Socket.drop, [RuntimeError("a bug")]

    async def fail_once(socket: slack_connection._Socket) -> None:
        await drop(socket)
        if broken:
            raise broken.pop()

    monkeypatch.setattr(slack_connection._Socket, "drop", fail_once)
    await workspace.double.wire.warn()
    await until(lambda: "closing the previous socket failed" in caplog.text)
    assert "RuntimeError: a bug" in caplog.text
    assert workspace.slack.problem == ""
