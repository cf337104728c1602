"""Upload the full text of long messages, and logs of deployments, into the message's thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Final, Protocol

from deploybot.bounded_memory import SeenKeys
from deploybot.card import Card
from deploybot.chat.resumed_uploads import ResumedUpload, Uploads
from deploybot.chat.slack.slack_rendering import whole
from deploybot.chat.slack.slack_timeouts import SLOWEST, Times
from deploybot.domain import Channel
from deploybot.errors import DeploybotError, Unreachable
from deploybot.units import show_size

log = logging.getLogger(__name__)

WHOLE: Final = "whole.txt"
_INSIST: Final = 300.0
_MOST: Final = 1_000_000_000
"""Slack's limit for a file, in bytes: https://slack.com/help/articles/201330736."""
_REMEMBERED: Final = 2_000


class Uploader(Protocol):
    """An uploader of files to Slack."""

    async def upload(self, name: str, content: bytes | Path, channel: str, thread: str, sharing: Sharing) -> None:
        """Upload a file. `sharing` is awaited just before people can see it.

        Raises Unreachable for temporary errors, another DeploybotError for permanent ones, and OSError if the file
        can't be read.
        """


Spawn = Callable[[Coroutine[None, None, None]], None]
"""Runs a coroutine in the background."""
Sharing = Callable[[], Awaitable[None]]
Explain = Callable[[Channel, str], Awaitable[bool]]
"""Posts in a thread why a file is missing there. Returns whether that arrived."""


class SlackFiles:
    """Uploads each file of a message once, in the background: a message never waits for its files.

    `uploads` stores unfinished uploads, so that the next start resumes them. Full texts of cut messages are not stored.
    Files are sent one at a time, in pieces: a log can be larger than the bot's memory. `explain` names missing ones.
    """

    def __init__(
        self,
        uploader: Uploader,
        spawn: Spawn,
        explain: Explain,
        times: Times | None = None,
        uploads: Uploads | None = None,
    ) -> None:
        self._explain = explain
        self._turn = asyncio.Lock()
        self._times = times or Times()
        self._uploader = uploader
        self._spawn = spawn
        self._uploads = uploads
        self._done = SeenKeys(_REMEMBERED)

    async def resume(self) -> None:
        """Resume the unfinished uploads of an earlier run. Raises StoreError."""
        for upload in await self._uploads.left() if self._uploads else ():
            if self._done.first_time((upload.channel, upload.message, upload.path)):
                self._spawn(self._from_disk(upload))

    async def follow(self, channel: Channel, message: str, card: Card, *, was_cut: bool) -> None:
        """Upload the files of a message, and the full text if the message is final and was cut."""
        thread = channel.thread or message
        for file in card.files:
            upload = ResumedUpload(channel.id, message, thread, file.name, file.path)
            if self._done.first_time((channel.id, message, file.path)) and await self._begin(upload):
                self._spawn(self._from_disk(upload))
        if was_cut and card.final and self._done.first_time((channel.id, message, WHOLE)):
            self._spawn(self._whole(card, ResumedUpload(channel.id, message, thread, WHOLE, "")))

    async def _begin(self, upload: ResumedUpload) -> bool:
        return self._uploads is None or await self._uploads.begin(upload)

    async def _whole(self, card: Card, upload: ResumedUpload) -> None:
        text = await asyncio.to_thread(whole, card)
        data = text.encode(errors="replace")
        await self._insist(upload, data, len(data))

    async def _from_disk(self, upload: ResumedUpload) -> None:
        try:
            size = (await asyncio.to_thread(Path(upload.path).stat)).st_size
        except OSError as problem:
            await self._give_up(upload, f"it can't be read: {problem.strerror}")
            return
        if size > _MOST:
            await self._give_up(upload, f"{show_size(size)} are more than Slack accepts")
        elif size:
            await self._insist(upload, Path(upload.path), size)
        else:
            await self._share(upload)

    async def _share(self, upload: ResumedUpload) -> None:
        """Store that the upload must not be retried."""
        if self._uploads is not None and upload.path:
            await self._uploads.share(upload)

    async def _insist(self, upload: ResumedUpload, content: bytes | Path, size: int) -> None:
        """Upload, and retry for some minutes while Slack does not answer."""
        loop = asyncio.get_running_loop()
        left, pauses = _INSIST + size / SLOWEST, iter(self._times.retry)
        while True:
            begun = loop.time()
            try:
                async with self._turn:
                    begun = loop.time()
                    await self._uploader.upload(
                        upload.name, content, upload.channel, upload.thread, lambda: self._share(upload)
                    )
            except Unreachable as problem:
                if self._uploads is not None and upload.path:
                    await self._uploads.fail(upload)
                wait = problem.retry_after or next(pauses)
                left -= loop.time() - begun + wait
                if left < 0:
                    await self._give_up(upload, str(problem), is_final=False)
                    return
                await asyncio.sleep(wait)
            except (DeploybotError, OSError) as problem:
                await self._give_up(upload, str(problem))
                return
            else:
                return

    async def _give_up(self, upload: ResumedUpload, why: str, *, is_final: bool = True) -> None:
        """Say in the thread that a file is missing there, and where it is.

        If the explanation did not arrive, the next start retries an upload that was not refused for good.
        """
        log.warning("Slack: %s was not uploaded: %s", upload.name, why)
        there = f" It is on the bot's machine: {upload.path}" if upload.path else ""
        sentence = f"{upload.name} was not uploaded: {why.rstrip('.')}.{there}"
        explained = await self._explain(Channel("slack", upload.channel, thread=upload.thread), sentence)
        if explained or is_final:
            await self._share(upload)
