"""URLs for answers (`response_url`): how often each was used, and to which cards of the outbox they belong.

docs.slack.dev/interactivity/handling-user-interaction: five posts within half an hour, in any channel, from anywhere.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from deploybot.bounded_memory import BoundedDict
from deploybot.command import Incoming

_USES: Final = 5
_REMEMBERED: Final = 5_000
_KNOWN_WITHIN: Final = 1.0


@dataclass(frozen=True, slots=True)
class AskedUrl:
    """A message that was sent to the bot. `url` is its response URL, `trigger` opens one modal; each may be empty."""

    incoming: Incoming
    url: str = ""
    trigger: str = ""


class ResponseUrls:
    """Remembers response URLs."""

    def __init__(self) -> None:
        self._used: BoundedDict[str, int] = BoundedDict(_REMEMBERED)
        self._askers: BoundedDict[str, asyncio.Future[AskedUrl]] = BoundedDict(_REMEMBERED)

    def take(self, url: str) -> bool:
        """Count one more use of a URL. Return whether it is still allowed."""
        if not url:
            return False
        used = self._used[url] = self._used.get(url, 0) + 1
        return used <= _USES

    def belongs(self, key: str, asked: AskedUrl) -> None:
        """Store the message that requested the card of this key."""
        future = self._asker(key)
        if asked.url and not future.done():
            future.set_result(asked)

    async def asker(self, key: str) -> AskedUrl | None:
        """Return the message that requested the card of this key, or None.

        The outbox may know the card first, so this waits for up to a second.
        """
        try:
            async with asyncio.timeout(_KNOWN_WITHIN):
                return await asyncio.shield(self._asker(key))
        except TimeoutError:
            return None

    def _asker(self, key: str) -> asyncio.Future[AskedUrl]:
        return self._askers.setdefault(key, asyncio.get_running_loop().create_future())
