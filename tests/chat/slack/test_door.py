"""HTTP mode: what Slack did not sign just now is not heard, and everything else is acknowledged at once."""

from __future__ import annotations

import asyncio
import io
import os
import random
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import aiohttp
import pytest

from tests.chat.slack.workspace import SIGNING_SECRET, Workspace, dice, open_workspace, tell
from tests.doubles.slack.wire import encode, post, signed

N = int(os.environ.get("N", "500"))
NOW = 1_800_000_000
FORM = "application/x-www-form-urlencoded"
DEPLOY = {
    "command": "/deploy",
    "text": "shop@v1.4",
    "user_id": "UANA",
    "channel_id": "C0OPS00",
    "trigger_id": "1.1",
    "team_id": "T0TEAM",
}


@pytest.fixture
async def served() -> AsyncIterator[Workspace]:
    async with open_workspace(http=True) as made:
        yield made


async def knock(workspace: Workspace, body: bytes, headers: dict[str, str]) -> int:
    status, _ = await post(workspace.double.wire.hook, body, {"Content-Type": FORM, **headers})
    return status


async def test_a_signed_request_is_received_once(served: Workspace) -> None:
    body = urlencode(DEPLOY).encode()
    headers = signed(SIGNING_SECRET, body, NOW)
    assert [await knock(served, body, headers) for _ in range(3)] == [200] * 3
    await served.reads("#1 deploy shop")
    assert len(served.bot.deployments.requests) == 1


async def test_slack_asks_whose_address_it_is(served: Workspace) -> None:
    body, content = encode("events_api", {"type": "url_verification", "challenge": "3eZbrw1a", "token": "x"})
    headers = {**signed(SIGNING_SECRET, body, NOW), "Content-Type": content}
    status, text = await post(served.double.wire.hook, body, headers)
    assert (status, text) == (200, '{"challenge": "3eZbrw1a"}')


@pytest.mark.parametrize("age", [301, -301, 86_400])
async def test_a_request_of_another_time_is_refused(served: Workspace, age: int) -> None:
    body = urlencode(DEPLOY).encode()
    assert await knock(served, body, signed(SIGNING_SECRET, body, NOW - age)) == 401


async def test_forgeries_are_refused(served: Workspace) -> None:
    rolls = dice()
    body = urlencode(DEPLOY).encode()
    right = signed(SIGNING_SECRET, body, NOW)
    accepted = 0
    async with aiohttp.ClientSession() as session:
        for _ in range(N):
            forged, headers = forge(rolls, body, right)
            async with session.post(served.double.wire.hook, data=forged, headers=headers) as answer:
                accepted += answer.status == 200
                assert await answer.text() == ""
    await served.rest()
    tell(f"{accepted} of {N} forgeries accepted")
    assert accepted == 0
    assert served.bot.deployments.requests == []


def forge(rolls: random.Random, body: bytes, right: dict[str, str]) -> tuple[bytes, list[tuple[str, str]]]:
    """A request that Slack did not sign: something of a right one is changed."""
    at, signature = right["X-Slack-Request-Timestamp"], right["X-Slack-Signature"]
    place = rolls.randrange(3, len(signature))
    other = rolls.choice([sign for sign in "0123456789abcdef" if sign != signature[place]])
    ways = [
        (body + b"&x=1", at, [signature]),
        (body, str(NOW + rolls.randint(1, 200)), [signature]),
        (body, at, [signature[:place] + other + signature[place + 1 :]]),
        (body, at, [signature[:place]]),
        (body, at, [signature, signature]),
        (body, at, []),
        (body, at, [signed("another secret", body, NOW)["X-Slack-Signature"]]),
        (body, at, [signature.upper()]),
        (body, rolls.choice(["", "x", "-1", "1e9", "9" * 40, f"{NOW}.0"]), [signature]),
        (body, at, [rolls.choice(["v0=", "v1=" + signature[3:], "v0=" + "é" * 64, ""])]),
    ]
    made, stamp, signatures = rolls.choice(ways)
    headers = [("Content-Type", FORM), ("X-Slack-Request-Timestamp", stamp)]
    return made, headers + [("X-Slack-Signature", one) for one in signatures]


async def test_a_body_that_is_too_large_is_refused(served: Workspace) -> None:
    body = b"x" * ((1 << 20) + 1)
    headers = {"Content-Type": FORM, **signed(SIGNING_SECRET, body, NOW)}
    url = served.double.wire.hook
    async with aiohttp.ClientSession() as session, session.post(url, data=io.BytesIO(body), headers=headers) as answer:
        assert answer.status == 413


async def test_a_slow_body_does_not_keep_others_waiting(served: Workspace) -> None:
    host, port = served.double.wire.hook.split("/")[2].split(":")
    writers = []
    for _ in range(20):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /slack/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nslow")
        writers.append(writer)
    await served.ask("/deploy shop@v1.4", "#1 deploy shop")
    assert max(served.double.wire.delays) < served.double.wire.ack_within
    for writer in writers:
        writer.close()


async def test_signed_nonsense_is_acknowledged(served: Workspace) -> None:
    for body in (b"", b"{", b"payload=%7B", b"\xff\xfe", b"payload=null", b"payload=%5B%5D"):
        assert await knock(served, body, signed(SIGNING_SECRET, body, NOW)) == 200
    await served.rest()
    assert served.posts == []


async def test_events_that_slack_sends_again_run_once(served: Workspace) -> None:
    event = {"type": "app_mention", "user": "UANA", "channel": "C0OPS00", "text": "<@U0BOT> deploy shop@v1.4"}
    at = served.double.state.new_ts()
    for number in range(3):
        await served.double.deliver_event({**event, "ts": at, "event_ts": at}, event_id=f"Ev{number // 2}")
    await served.reads("#1 deploy shop")
    await served.rest()
    assert len(served.posts) == 1
