"""Somebody types a command at the relay, and the relay gets the answer and the card of the deployment, edited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web

from deploybot.cli.check_command import understood
from deploybot.config import load
from deploybot.domain import Identity, Role
from deploybot.ports import Tables
from tests.extending.extended import example
from tests.extending.extended_bot import WITHIN, bot_toml, main, open_extended_bot, problems, secret
from tests.lab import free_port

TABLE = example("Add a chat").bot_toml
TOKEN = "a-token-of-enough-letters"


class Relay:
    """The relay: what it was posted, in order, and the text of each message now."""

    def __init__(self) -> None:
        self.messages: dict[str, str] = {}
        self.rooms: set[str] = set()
        self._changed = asyncio.Condition()

    async def take(self, request: web.Request) -> web.Response:
        """Take a message, or an edit of one."""
        if request.headers["Authorization"] != f"Bearer {TOKEN}":
            return web.Response(status=401)
        body: dict[str, Any] = await request.json()
        ident = body["edits"] or f"m{len(self.messages) + 1}"
        async with self._changed:
            self.messages[ident] = body["text"]
            self.rooms.add(body["room"])
            self._changed.notify_all()
        return web.json_response({"id": ident})

    async def shows(self, fits: Callable[[str], bool]) -> str:
        """Wait until a message fits; its id."""

        def found() -> str:
            return next((ident for ident, text in self.messages.items() if fits(text)), "")

        async with asyncio.timeout(WITHIN), self._changed:
            await self._changed.wait_for(found)
        return found()


async def drive(home: Path) -> None:
    """See the module."""
    port, ours = free_port(), free_port()
    secret(home, "relay_token", TOKEN)
    table = TABLE.replace("https://relay.example.com", f"http://127.0.0.1:{port}")
    path = bot_toml(home, f'channel = "relay:shop"\n[http]\nlisten = "127.0.0.1:{ours}"\n{table}')
    relay = Relay()
    app = web.Application()
    app.router.add_post("/messages", relay.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with open_extended_bot(path) as bot:
            await bot.world.store.write(_let_in)
            await _talk(relay, f"http://127.0.0.1:{ours}/relay")
    finally:
        await runner.cleanup()
    assert f"  the relay by http://127.0.0.1:{port}/messages, channel relay:ops" in [*understood(load(path, {}))]
    assert problems(bot_toml(home, table)) == "relay: needs the bot's HTTP server: add [http]"
    wrong = problems(bot_toml(home, f'channel = "relay:#1"\n[http]\nlisten = "127.0.0.1:1"\n{table}'))
    assert wrong.startswith('apps.shop.channel: should be a room of the relay, such as "relay:ops", got "relay:#1"')


async def _talk(relay: Relay, address: str) -> None:
    """Type at the relay."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    line = {"user": "7", "room": "ops", "text": "whoami", "id": "1"}
    async with ClientSession() as session:
        async with session.post(address, json=line) as answer:
            assert answer.status == 403
        async with session.post(address, json={"user": "7"}, headers=headers) as answer:
            assert answer.status == 400
        async with session.post(address, json=line, headers=headers) as answer:
            assert answer.status == 200
        await relay.shows(lambda text: "ben" in text)
        more = {**line, "text": "deploy shop to production", "id": "2"}
        async with session.post(address, json=more, headers=headers) as answer:
            assert answer.status == 200
        await relay.shows(lambda text: "#1 shop/production" in text and ("succeeded" in text or "failed" in text))
    assert relay.rooms == {"ops", "shop"}


def _let_in(tables: Tables) -> None:
    tables.people.grant(tables.people.add("ben", Identity("relay", "7")).id, Role.ADMIN)


if __name__ == "__main__":
    main(drive)
