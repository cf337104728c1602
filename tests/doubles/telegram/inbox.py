"""Updates on their way to the bot: kept until they are confirmed, by long polls or by a webhook."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import dataclass, field

import aiohttp

from tests.doubles.telegram.markup import Refused
from tests.doubles.telegram.rooms import Json
from tests.doubles.timeline import Unkind

_AGAIN = 0.2
_DELIVER_WITHIN = 5.0


@dataclass(slots=True)
class Webhook:
    """Where updates are delivered, and the secret that goes with them."""

    url: str = ""
    secret: str = ""
    error: str = ""


@dataclass(slots=True)
class Inbox:
    """What waits for the bot. `confirmed` are the updates it will not be given again."""

    unkind: Unkind
    allowed: tuple[str, ...] = ()
    webhook: Webhook = field(default_factory=Webhook)
    confirmed: list[int] = field(default_factory=list)
    polls: int = 0
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1000))
    _waiting: list[Json] = field(default_factory=list)
    _again: list[Json] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _poll: asyncio.Future[None] | None = None
    _post: asyncio.Task[None] | None = None

    @property
    def pending(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def put(self, kind: str, content: Json) -> int:
        """Have something happen; 0 where the bot has not asked for such updates."""
        if self.allowed and kind not in self.allowed:
            return 0
        number = next(self._numbers)
        self._waiting.append({"update_id": number, kind: content})
        self._changed.set()
        return number

    async def poll(self, offset: int, limit: int, seconds: float) -> list[Json]:
        """`getUpdates`. A second poller ends the first."""
        if self.webhook.url:
            raise Refused(
                "Conflict: can't use getUpdates method while webhook is active; "
                "use deleteWebhook to delete the webhook first",
                409,
            )
        self.polls += 1
        self._confirm(offset)
        if self._poll is not None and not self._poll.done():
            self._poll.set_exception(_conflict())
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._poll = mine
        # A poll whose client has gone is ended by the next one, and nobody hears of it.
        mine.add_done_callback(lambda ended: ended.exception())
        return await self._next(mine, limit, seconds)

    async def _next(self, ended: asyncio.Future[None], limit: int, seconds: float) -> list[Json]:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not (self._waiting or self._again):
                    self._changed.clear()
                    changed = asyncio.create_task(self._woken())
                    try:
                        await asyncio.wait([changed, ended], return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        changed.cancel()
                    if ended.done():
                        ended.result()
        again, self._again = self._again, []
        given = [*again, *self._waiting][:limit]
        self._repeat(given)
        return given

    async def _woken(self) -> None:
        await self._changed.wait()

    def _repeat(self, given: list[Json]) -> None:
        """Give what was given just now once more, confirmed or not."""
        if given and self.unkind.twice > 0:
            self.unkind.twice -= 1
            self._again += given

    def _confirm(self, offset: int) -> None:
        for one in [one for one in self._waiting if int(str(one["update_id"])) < offset]:
            self._waiting.remove(one)
            self.confirmed.append(int(str(one["update_id"])))

    def deliver(self, webhook: Webhook) -> None:
        """Deliver by webhook from now on; without a URL, wait for polls again."""
        self.webhook = webhook
        if webhook.url and self._poll is not None and not self._poll.done():
            self._poll.set_exception(Refused("Conflict: terminated by setWebhook request", 409))
        if self._post is not None:
            self._post.cancel()
        self._post = asyncio.create_task(self._deliver()) if webhook.url else None

    async def close(self) -> None:
        """Deliver nothing more."""
        if self._post is not None:
            self._post.cancel()
            await asyncio.gather(self._post, return_exceptions=True)

    async def _deliver(self) -> None:
        """One update after the other; one that is not taken is delivered again, and holds up those behind it."""
        async with aiohttp.ClientSession() as session:
            while True:
                while self._waiting:
                    if await self._delivered(session, self._waiting[0]):
                        done = self._waiting.pop(0)
                        self.confirmed.append(int(str(done["update_id"])))
                        if self.unkind.twice > 0:
                            self.unkind.twice -= 1
                            await self._delivered(session, done)
                    else:
                        await asyncio.sleep(_AGAIN)
                self._changed.clear()
                await self._changed.wait()

    async def _delivered(self, session: aiohttp.ClientSession, update: Json) -> bool:
        headers = {"X-Telegram-Bot-Api-Secret-Token": self.webhook.secret} if self.webhook.secret else {}
        try:
            async with asyncio.timeout(_DELIVER_WITHIN):
                async with session.post(self.webhook.url, json=update, headers=headers) as answer:
                    self.webhook.error = "" if answer.ok else f"Wrong response from the webhook: {answer.status}"
                    return answer.ok
        except (aiohttp.ClientError, TimeoutError) as error:
            self.webhook.error = f"Connection failed: {type(error).__name__}"
            return False


def _conflict() -> Refused:
    return Refused(
        "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running", 409
    )
