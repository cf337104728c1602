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
from deploybot.chat.slack.slack_timeouts import Times
from deploybot.domain import Channel
from deploybot.errors import DeploybotError, Unreachable

log = logging.getLogger(__name__)

WHOLE: Final = "whole.txt"
_INSIST: Final = 300.0
_REMEMBERED: Final = 2_000


class Uploader(Protocol):
    """An uploader of files to Slack."""

    async def upload(self, name: str, data: bytes, channel: str, thread: str, sharing: Sharing) -> None:
        """Upload a file. `sharing` is awaited just before people can see it.

        Raises Unreachable for temporary errors, another DeploybotError for permanent ones.
        """


Spawn = Callable[[Coroutine[None, None, None]], None]
"""Runs a coroutine in the background."""
Sharing = Callable[[], Awaitable[None]]


class SlackFiles:
    """Uploads each file of a message once, in the background: a message never waits for its files.

    `uploads` stores unfinished uploads, so that the next start resumes them. Full texts of cut messages are not stored.
    """

    def __init__(
        self, uploader: Uploader, spawn: Spawn, times: Times | None = None, uploads: Uploads | None = None
    ) -> None:
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
        await self._insist(upload, text.encode(errors="replace"))

    async def _from_disk(self, upload: ResumedUpload) -> None:
        try:
            data = await asyncio.to_thread(Path(upload.path).read_bytes)
        except OSError as problem:
            log.warning("Slack: %s cannot be uploaded: %s", upload.name, problem)
            data = b""
        if data:
            await self._insist(upload, data)
        else:
            await self._share(upload)

    async def _share(self, upload: ResumedUpload) -> None:
        """Store that the upload must not be retried."""
        if self._uploads is not None and upload.path:
            await self._uploads.share(upload)

    async def _insist(self, upload: ResumedUpload, data: bytes) -> None:
        """Upload, and retry for some minutes while Slack does not answer."""
        loop = asyncio.get_running_loop()
        end, pauses = loop.time() + _INSIST, iter(self._times.retry)
        while True:
            try:
                await self._uploader.upload(
                    upload.name, data, upload.channel, upload.thread, lambda: self._share(upload)
                )
            except Unreachable as problem:
                if self._uploads is not None and upload.path:
                    await self._uploads.fail(upload)
                wait = problem.retry_after or next(pauses)
                if loop.time() + wait > end:
                    log.warning("Slack: %s was not uploaded: %s", upload.name, problem)
                    return
                await asyncio.sleep(wait)
            except DeploybotError as problem:
                log.warning("Slack: %s was not uploaded: %s", upload.name, problem)
                await self._share(upload)
                return
            else:
                return
