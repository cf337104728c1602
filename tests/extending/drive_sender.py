"""Acme CI signs a POST about a build, and the build is a card; what it did not sign is refused."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

from aiohttp import ClientSession

from tests.extending.extended import example
from tests.extending.extended_bot import bot_toml, main, open_extended_bot, secret
from tests.lab import free_port

KEY = "5f8c1c0e7b6f4b0d9a64c7d23e0f9b18a1"


async def drive(home: Path) -> None:
    """See the module."""
    port = free_port()
    secret(home, "acme_secret", KEY)
    http = f'[http]\nlisten = "127.0.0.1:{port}"\n'
    path = bot_toml(home, http + example("Add a sender").bot_toml)
    body = json.dumps(
        {"pipeline": "tests", "number": 7, "result": "failed", "branch": "main", "commit": "a" * 40}
    ).encode()
    signed = hmac.digest(KEY.encode(), body, hashlib.sha256).hex()
    async with open_extended_bot(path) as bot, ClientSession() as session:
        for signature, status in ((signed[::-1], 403), (signed, 200)):
            headers = {"X-Acme-Signature": signature, "X-Acme-Delivery": "1"}
            async with session.post(f"http://127.0.0.1:{port}/hooks/shop/acme", data=body, headers=headers) as answer:
                assert answer.status == status, await answer.text()
        await bot.sees("tests #7", "main", "red")
        assert len(bot.shown) == 1


if __name__ == "__main__":
    main(drive)
