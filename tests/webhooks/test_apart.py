"""Large bodies are read by a process of their own, and mean the same."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from deploybot.domain import Push
from deploybot.http_limits import ConnectionGate
from deploybot.settings import Http
from deploybot.webhooks.large_bodies import LARGE, events_of
from deploybot.webhooks.sender_port import MalformedError, Received
from deploybot.webhooks.senders import sender
from tests.webhooks.service import Listener, pushed, serving, signed

COMMIT = "5" * 40
HEADERS = {"x-github-event": ["push"], "content-type": ["application/json"]}


def large(commits: int = 200) -> bytes:
    """The body of a push that is read apart."""
    text = "x" * (LARGE // commits)
    made = [{"id": f"{number:040x}", "message": text, "author": {"name": "ana"}} for number in range(commits)]
    return json.dumps(json.loads(pushed("shop", COMMIT)) | {"commits": made}).encode()


def spent() -> float:
    """The processor time of processes that have ended, in seconds."""
    return os.times().children_user


async def test_a_large_body_means_the_same_and_is_read_by_another_process() -> None:
    received, before = Received(headers=HEADERS, body=large(), query={}, at=1.0), spent()
    assert await events_of("github", received) == sender("github").events(received)
    assert spent() > before


async def test_a_large_body_that_cannot_be_read_is_reported_as_any_other() -> None:
    received = Received(headers=HEADERS, body=b"[" * LARGE, query={})
    with pytest.raises(MalformedError):
        await events_of("github", received)


async def test_a_large_delivery_is_received(tmp_path: Path) -> None:
    listener, body, before = Listener(), large(), spent()
    async with serving(tmp_path, listener, gate=ConnectionGate(max_body=4 * LARGE)) as bot:
        await bot.post("/hooks/shop/github", body, **signed(body))
        await bot.inbox.drained()
        assert await bot.made(1) == "noted"
    (heard,) = (event for _, _, event in listener.heard)
    assert isinstance(heard, Push)
    assert heard.after == COMMIT
    assert spent() > before


async def test_a_body_that_would_take_too_much_memory_is_refused_by_its_own_process() -> None:
    received = Received(headers=HEADERS, body=json.dumps({"x": [{}] * 6_500_000}).encode(), query={})
    with pytest.raises(MalformedError, match="memory"):
        await events_of("github", received)


async def test_the_largest_push_of_github_is_received_by_default_within_bounded_memory(tmp_path: Path) -> None:
    paths = [f"src/a/long/path/of/a/module/{number:06}/file.py" for number in range(262)]
    commits = [{"id": f"{number:040x}", "message": "x", "modified": paths} for number in range(2_048)]
    body = json.dumps(json.loads(pushed("shop", COMMIT)) | {"commits": commits}).encode()
    assert 24_000_000 < len(body) < 25 << 20
    listener = Listener()
    async with serving(tmp_path, listener, gate=ConnectionGate(max_body=Http().max_body)) as bot:
        status, _ = await bot.post("/hooks/shop/github", body, **signed(body))
        assert status == 200
        await bot.inbox.drained()
        assert await bot.made(1) == "noted"
    assert listener.commits == [COMMIT]
