"""Uploads that were begun, in rows: the next start goes on with them, and none is shared a second time.

No platform tells whether a call that shares a file and was cut off has done so. So an upload counts as shared from just
before that call: of a bot that is killed in it, the log may be missing, and is never there twice.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass

from deploybot.errors import StoreError
from deploybot.ports import Clock, Store, Tables

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ResumedUpload:
    """A file on its way: the message it belongs to, the thread it goes into, its name for people, its path here."""

    channel: str
    message: str
    thread: str
    name: str
    path: str

    @property
    def key(self) -> str:
        """What it is kept as."""
        return json.dumps(asdict(self), sort_keys=True)


class Uploads:
    """The rows of one platform, kept for two days. Where the database is down, uploads go on without them."""

    def __init__(self, store: Store, clock: Clock, platform: str) -> None:
        """Take the ports, and whose uploads these are."""
        self._store = store
        self._clock = clock
        self._platform = platform
        self._begun = f"{platform}-upload"
        self._shared = f"{platform}-uploaded"

    async def begin(self, upload: ResumedUpload) -> bool:
        """Keep that it is to be done; False where it was shared already."""

        def begin(tables: Tables) -> bool:
            if upload.key in tables.seen.known(self._shared):
                return False
            tables.seen.first(self._begun, upload.key, self._clock.now())
            return True

        try:
            return await self._store.write(begin)
        except StoreError as error:
            log.warning("%s: %s is not taken up again by a restart: %s", self._platform, upload.name, error)
            return True

    async def share(self, upload: ResumedUpload) -> None:
        """It is about to be shared."""
        await self._move(upload, self._begun, self._shared)

    async def fail(self, upload: ResumedUpload) -> None:
        """It was not shared, and may be tried again."""
        await self._move(upload, self._shared, self._begun)

    async def _move(self, upload: ResumedUpload, old: str, new: str) -> None:
        def move(tables: Tables) -> None:
            tables.seen.forget(old, upload.key)
            tables.seen.first(new, upload.key, self._clock.now())

        try:
            await self._store.write(move)
        except StoreError as error:
            log.warning("%s: how far the upload of %s is could not be kept: %s", self._platform, upload.name, error)

    async def left(self) -> tuple[ResumedUpload, ...]:
        """Those that were begun and not shared. StoreError."""
        keys = await self._store.read(lambda tables: tables.seen.known(self._begun))
        return tuple(ResumedUpload(**json.loads(key)) for key in keys)
