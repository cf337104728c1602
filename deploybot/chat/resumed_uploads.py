"""Unfinished uploads, stored in rows: the next start resumes them, and none is shared twice.

If a call that shares a file is cut off, no platform reports whether it succeeded. So an upload counts as shared from
just before that call. If the bot is killed during it, the log may be missing, but never appears twice.
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
    """An unfinished upload: the message it belongs to, its thread, its display name, its local path."""

    channel: str
    message: str
    thread: str
    name: str
    path: str

    @property
    def key(self) -> str:
        """Return the key under which it is stored."""
        return json.dumps(asdict(self), sort_keys=True)


class Uploads:
    """The uploads of one platform, stored for two days. If the database fails, uploads continue without it."""

    def __init__(self, store: Store, clock: Clock, platform: str) -> None:
        """Take the ports, and the platform of the uploads."""
        self._store = store
        self._clock = clock
        self._platform = platform
        self._begun = f"{platform}-upload"
        self._shared = f"{platform}-uploaded"

    async def begin(self, upload: ResumedUpload) -> bool:
        """Store that an upload has started. Return False if it was shared already."""

        def begin(tables: Tables) -> bool:
            if upload.key in tables.seen.known(self._shared):
                return False
            tables.seen.first(self._begun, upload.key, self._clock.now())
            return True

        try:
            return await self._store.write(begin)
        except StoreError as error:
            log.warning("%s: the upload of %s will not resume after a restart: %s", self._platform, upload.name, error)
            return True

    async def share(self, upload: ResumedUpload) -> None:
        """Store that the upload is about to be shared."""
        await self._move(upload, self._begun, self._shared)

    async def fail(self, upload: ResumedUpload) -> None:
        """Store that the upload was not shared and may be retried."""
        await self._move(upload, self._shared, self._begun)

    async def _move(self, upload: ResumedUpload, old: str, new: str) -> None:
        def move(tables: Tables) -> None:
            tables.seen.forget(old, upload.key)
            tables.seen.first(new, upload.key, self._clock.now())

        try:
            await self._store.write(move)
        except StoreError as error:
            log.warning(
                "%s: the progress of the upload of %s could not be saved: %s", self._platform, upload.name, error
            )

    async def left(self) -> tuple[ResumedUpload, ...]:
        """Return the uploads that were started and not shared. Raises StoreError."""
        keys = await self._store.read(lambda tables: tables.seen.known(self._begun))
        return tuple(ResumedUpload(**json.loads(key)) for key in keys)
