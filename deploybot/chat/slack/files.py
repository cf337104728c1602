"""What is too long for a message, and the log of a deployment, uploaded into the message's thread."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Final, Protocol

from deploybot.card import Card
from deploybot.chat.slack.blocks import whole
from deploybot.chat.slack.times import Times
from deploybot.domain import Place
from deploybot.errors import DeploybotError, Unreachable

log = logging.getLogger(__name__)

WHOLE: Final = "whole.txt"
_INSIST: Final = 300.0
_REMEMBERED: Final = 2_000


class Uploader(Protocol):
    """What takes a file to Slack."""

    async def upload(self, name: str, data: bytes, channel: str, thread: str) -> None:
        """Raises Unreachable for what may pass, another DeploybotError for what will not."""


Spawn = Callable[[Coroutine[None, None, None]], None]
"""Runs something in the background."""


class Files:
    """Uploads each file of a message once, in the background: a message never waits for its files."""

    def __init__(self, uploader: Uploader, spawn: Spawn, times: Times | None = None) -> None:
        self._times = times or Times()
        self._uploader = uploader
        self._spawn = spawn
        self._done: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    def follow(self, place: Place, message: str, card: Card, *, was_cut: bool) -> None:
        """Take up what belongs to a message as it is now: its files, and if it is final and was cut, the whole."""
        thread = place.thread or message
        for file in card.files:
            if self._first(place.channel, message, file.path):
                self._spawn(self._from_disk(file.name, file.path, place.channel, thread))
        if was_cut and card.final and self._first(place.channel, message, WHOLE):
            self._spawn(self._whole(card, place.channel, thread))

    def _first(self, channel: str, message: str, what: str) -> bool:
        key = (channel, message, what)
        if key in self._done:
            return False
        self._done[key] = None
        while len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        return True

    async def _whole(self, card: Card, channel: str, thread: str) -> None:
        text = await asyncio.to_thread(whole, card)
        await self._insist(WHOLE, text.encode(errors="replace"), channel, thread)

    async def _from_disk(self, name: str, path: str, channel: str, thread: str) -> None:
        try:
            data = await asyncio.to_thread(Path(path).read_bytes)
        except OSError as problem:
            log.warning("Slack: %s cannot be uploaded: %s", name, problem)
            return
        if data:
            await self._insist(name, data, channel, thread)

    async def _insist(self, name: str, data: bytes, channel: str, thread: str) -> None:
        """Upload, again and again for some minutes while Slack does not answer."""
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + _INSIST, self._times.first_pause
        while True:
            try:
                await self._uploader.upload(name, data, channel, thread)
            except Unreachable as problem:
                wait = problem.retry_after or pause
                if loop.time() + wait > end:
                    log.warning("Slack: %s was not uploaded: %s", name, problem)
                    return
                await asyncio.sleep(wait)
                pause = min(pause * 2, self._times.longest_pause)
            except DeploybotError as problem:
                log.warning("Slack: %s was not uploaded: %s", name, problem)
                return
            else:
                return
