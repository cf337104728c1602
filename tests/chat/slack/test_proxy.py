"""Behind an egress proxy, everything that goes to Slack goes through it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from deploybot.chat.slack.connection_problems import SlackProblems
from deploybot.chat.slack.slack_api import SlackApi
from deploybot.chat.slack.slack_check import probe
from deploybot.config.whole_settings import whole_settings
from tests.chat.slack.workspace import settings_for
from tests.doubles.slack import APP_TOKEN, BOT_TOKEN, SlackDouble

API = "http://slack.invalid/api"
ANSWER = json.dumps({"ok": True, "url": "ws://slack.invalid/socket", "user_id": "U0BOT", "team_id": "T0"}).encode()


@pytest.fixture
async def proxied(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    """A proxy in the environment that answers in place of Slack; yields what it was asked for."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.partition(b" HTTP/")[0].decode())
        kind = b"Content-Type: application/json\r\nConnection: close\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (kind, len(ANSWER), ANSWER))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    for name in ("HTTPS_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    yield asked
    server.close()
    await server.wait_closed()


async def test_calls_and_private_answers(proxied: list[str]) -> None:
    api = SlackApi(API, BOT_TOKEN, APP_TOKEN, SlackProblems())
    await api.call("auth.test")
    await api.answer("http://slack.invalid/commands/1", {"text": "only you see this"})
    await api.close()
    assert proxied == [f"POST {API}/auth.test", "POST http://slack.invalid/commands/1"]


async def test_the_test_connection_of_the_check(proxied: list[str]) -> None:
    double = SlackDouble()
    await double.start()
    slack = settings_for(double).model_copy(update={"api_url": API})
    await double.close()
    found = [one async for one in probe(whole_settings().model_validate({"slack": slack}))]
    assert found
    assert any(one.endswith("://slack.invalid/socket") for one in proxied)
