"""The page on which people try the doubles: by HTTP, and in a real browser where there is one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
from aiohttp import ClientSession

from deploybot.card import Button, Card
from tests.doubles.browser import PROGRAMS, browser
from tests.doubles.page import READY, Chat, Page
from tests.parity.conftest import connected, furnished
from tests.parity.platforms import SlackWay, TelegramWay

LOCK = Button("Lock <b>it</b>", "lock shop staging", danger=True, asks="Why?")
NAMES = {"slack slash": "slack", "telegram group": "telegram"}


@asynccontextmanager
async def shown(name: str, folder: Path) -> AsyncIterator[tuple[Page, SlackWay | TelegramWay, str, str]]:
    """A page with one chat, the way to it, and the room and person that are looked at."""
    async with furnished() as bot, connected(bot, name, folder=folder) as (way,):
        assert isinstance(way, SlackWay | TelegramWay)
        room, ana = way.new_channel(), way.user("ana")
        rooms = {room: "deploys", "{user}": "private"}
        page = Page({NAMES[name]: Chat(way.chat_double, {ana: "ana", way.user("ben"): "ben"}, rooms)})
        await page.start()
        try:
            yield page, way, room, ana
        finally:
            await page.close()


@pytest.mark.parametrize("name", NAMES)
async def test_what_a_person_does_reaches_the_bot_and_what_they_see_is_recorded(name: str, tmp_path: Path) -> None:
    async with shown(name, tmp_path) as (page, way, room, ana), ClientSession(page.url) as session:
        here = {"chat": NAMES[name], "as": ana, "room": room}
        async with session.post("/say", json={**here, "text": "/deploy wiki"}) as answer:
            assert answer.status == 200
        await way.answered("ana", room)
        async with session.get("/posts", params=here) as answer:
            posts = await answer.json()
        question = next(post for post in reversed(posts) if post["buttons"])
        label = question["buttons"][0]["label"]
        async with session.post("/press", json={**here, "id": question["id"], "label": label}) as answer:
            assert answer.status == 200
        await way.answered("ana", room)
        assert [asked.app for asked in way.bot.deployments.requests] == ["wiki"]


async def test_nothing_is_given_away_or_taken_that_is_not_there(tmp_path: Path) -> None:
    async with shown("slack slash", tmp_path) as (page, _, room, ana), ClientSession(page.url) as session:
        here = {"chat": "slack", "as": ana, "room": room}
        for path in ("/posts?chat=slack", "/posts?chat=irc&as=a&room=b", "/file?" + urlencode(here), "/server.py"):
            async with session.get(path) as answer:
                assert answer.status == 404, path
        async with session.post("/say", data={**here, "text": "/deploy shop"}) as answer:
            assert answer.status == 415
        async with session.get("/") as answer:
            assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


@pytest.mark.needs("|".join(PROGRAMS))
@pytest.mark.parametrize("name", NAMES)
async def test_a_person_with_a_browser(name: str, tmp_path: Path) -> None:
    async with shown(name, tmp_path) as (page, way, room, ana), browser(tmp_path / "profile") as window:
        query = urlencode({"chat": NAMES[name], "as": ana, "room": room})
        await window.open(f"{page.url}/?{query}", ready=READY)
        await window.type("#text", "/deploy shop@v1.4 to staging because <b>bold</b> & <script>alert(1)</script>")
        await way.answered("ana", room)
        await window.until("document.querySelector('main').innerText.includes('in staging')")
        assert [asked.by for asked in way.bot.deployments.requests] == ["ana"]
        await way.chat.send(way.channel(room), Card(title="Lock it? <img src=x onerror=alert(1)>", buttons=(LOCK,)))
        await window.click(LOCK.label)
        if isinstance(way, SlackWay):
            # With the focus it is left as it is; without, the page may be drawn again, with an empty one.
            typed = "(one => one && (one.focus(), one.value = 'too risky', true))"
            await window.until(f"{typed}(document.querySelector('.field'))")
            await window.click("Send")
        else:
            await window.until("document.querySelector('main').innerText.includes('Why?')")
            await window.ask("[...document.querySelectorAll('article .more button')].pop().click()")
            await window.type("#text", "too risky")
        answer = await way.answered("ana", room)
        assert "too risky" in answer.sight.text
        assert await window.ask("document.querySelectorAll('article script, article img').length") == 0
