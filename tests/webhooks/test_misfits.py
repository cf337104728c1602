"""What is authentic and does not fit is reported once in chat, with the fix, and not again after a restart."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from deploybot.card import Card, Tone
from deploybot.http_limits import ConnectionGate
from deploybot.metrics import METRICS
from deploybot.settings import ImageOf
from tests.webhooks.service import SECRET, Listener, WebhookBot, pushed, serving, settings, signed

COMMIT = "5" * 40


async def post(
    bot: WebhookBot, name: str, path: str = "/hooks/shop/github", *, kind: str = "push", count: int = 1
) -> None:
    """Deliver events that name a repository, each with another commit."""
    for number in range(count):
        body = json.dumps(json.loads(pushed(name, f"{number + 1:040x}")) | {"of": f"{path} {kind} {count}"}).encode()
        status, _ = await bot.post(path, body, **signed(body, kind=kind))
        assert status == 200
    await bot.inbox.drained()


async def test_a_repository_that_was_renamed_is_reported_once(tmp_path: Path) -> None:
    listener = Listener()
    async with serving(tmp_path, listener) as bot:
        await post(bot, "store", count=3)
        (notice,) = await bot.notices()
        assert notice.title == "github sends events about acme/store to shop's webhook, but bot.toml has acme/shop."
        assert "repo" in notice.hint
        assert notice.tone is Tone.WARN
        assert notice.notification
        assert not listener.heard
    async with serving(tmp_path, listener) as bot:
        await post(bot, "store", count=2)
        assert len(await bot.notices()) == 1


async def test_another_image_of_the_own_repository_is_no_new_name(tmp_path: Path) -> None:
    made = settings()
    made.apps["shop"].images["web"] = ImageOf(service="web", image="ghcr.io/acme/shop-web", tag="latest")
    listener = Listener()
    async with serving(tmp_path, listener, made=made) as bot:
        for number, (image, repository) in enumerate((("shop-worker", "acme/shop"), ("store", "acme/store"))):
            tree = {"images": [f"ghcr.io/acme/{image}:1"], "repository": repository, "at": number + 1}
            body = json.dumps(tree).encode()
            status, _ = await bot.post("/hooks/shop/event", body, Authorization=f"Bearer {SECRET}")
            assert status == 200
            await bot.inbox.drained()
            assert len(await bot.notices()) == number
    assert not listener.heard


async def test_a_sender_all_of_whose_events_are_ignored_is_reported_until_one_is_received(tmp_path: Path) -> None:
    async with serving(tmp_path, Listener()) as bot:
        await post(bot, "elsewhere", "/hooks/github", count=4)
        assert await bot.notices() == []
    async with serving(tmp_path, Listener()) as bot:
        await post(bot, "elsewhere", "/hooks/github", kind="star", count=3)
        (notice,) = await bot.notices()
        assert notice.title == "All events that github sends to /hooks/github are ignored."
        await post(bot, "shop", "/hooks/github")
        (notice,) = await bot.notices()
        assert notice.title == "Fixed: All events that github sends to /hooks/github are ignored."
        assert notice.tone is Tone.GOOD


async def test_a_body_that_cannot_be_read_is_reported_once_a_day(tmp_path: Path) -> None:
    listener = Listener()
    async with serving(tmp_path, listener) as bot:
        for tree in ({"titel": "Deployed by hand"}, {"title": 7, "more": 1}, {"title": "Well"}):
            status, _ = await bot.post("/hooks/shop/event", json.dumps(tree).encode(), Authorization=f"Bearer {SECRET}")
            assert status == 200
            await bot.inbox.drained()
        (notice,) = await bot.notices()
        assert notice.title == "event sent something to /hooks/shop/event that cannot be read."
        assert notice.text.splitlines() == [
            "There is no key titel; did you mean title?",
            "It was accepted and ignored: nothing is posted or deployed because of it.",
        ]
        assert "docs/webhooks.md" in notice.hint
    assert len(listener.heard) == 1


async def test_a_sender_that_calls_now_and_then_is_not_reported(tmp_path: Path) -> None:
    async with serving(tmp_path, Listener()) as bot:
        await post(bot, "shop", "/hooks/github")
        await post(bot, "elsewhere", "/hooks/github", count=8)
        assert await bot.notices() == []


async def test_a_body_that_is_too_large_is_logged_counted_and_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notices: list[Card] = []
    before = METRICS.webhooks.values.get(("github", "too_large"), 0)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            async with serving(tmp_path, Listener(), gate=ConnectionGate(max_body=100_000)) as bot:
                for _ in range(3):
                    body = b"x" * 200_000
                    status, _ = await bot.post("/hooks/shop/github", body, **signed(body))
                    assert status == 413
                notices += await bot.notices()
    (notice,) = {*notices}
    assert notice.title == "A webhook to /hooks/shop/github was refused: its body has 200 kB, and `max_body` is 100 kB."
    assert "max_body" in notice.hint
    assert "do not know whether its sender is authentic" in notice.text
    lines = [one.message for one in caplog.records if "413" in one.message]
    assert len(lines) == 6
    assert "200 kB from 127.0.0.1" in lines[0]
    assert "raise max_body in [http] of bot.toml, now 100 kB" in lines[0]
    assert METRICS.webhooks.values["github", "too_large"] == before + 6


async def test_a_flood_of_bodies_that_are_too_large_does_not_flood_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path, Listener(), gate=ConnectionGate(max_body=1_000)) as bot:
        for _ in range(30):
            await bot.post("/hooks/shop/github", b"x" * 2_000)
    assert sum("413" in one.message for one in caplog.records) <= 6
