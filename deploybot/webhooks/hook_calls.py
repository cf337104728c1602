"""Call the bot's own webhook addresses as a sender would, to test an address or to send payloads again."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp

from deploybot.errors import Unreachable, system_words
from deploybot.webhooks.hook_addresses import HookAddress
from deploybot.webhooks.sender_port import Signed

_WITHIN = aiohttp.ClientTimeout(total=15.0)


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """The bot's answer: `result` is its word for the outcome, `delivery` the number of the stored delivery or 0."""

    status: int
    result: str
    delivery: int = 0
    error: str = ""


async def call(
    session: aiohttp.ClientSession, base: str, address: HookAddress, signed: Signed, body: bytes
) -> HookAnswer:
    """Send a delivery to the bot that listens at `base`. Raises Unreachable."""
    url = address.url(base, signed)
    try:
        async with session.post(url, data=body, headers=dict(signed.headers), timeout=_WITHIN) as answer:
            text = await answer.text()
            if answer.content_type != "application/json":
                return HookAnswer(answer.status, "", error=text.strip()[:200])
            found = await answer.json()
            return HookAnswer(answer.status, found["result"], found.get("delivery", 0), found.get("error", ""))
    except (aiohttp.ClientError, TimeoutError) as error:
        cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
        why = system_words(cause) if isinstance(cause, OSError) else str(cause)
        raise Unreachable(f"the bot at {base}", why, hint="`deploybot run` starts it.") from error
