"""Uploads that were begun, in rows: the next start goes on with them, and none is shared a second time.

Slack does not tell whether a call that shares a file and was cut off has done so. So an upload counts as shared from
just before that call: of a bot that is killed in it, the log may be missing, and is never there twice.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass

from deploybot.errors import StoreError
from deploybot.ports import Clock, Store, Tables

_BEGUN = "slack-upload"
_SHARED = "slack-uploaded"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Upload:
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
    """The rows, kept for two days. Where the database is down, uploads go on without them."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def begin(self, upload: Upload) -> bool:
        """Keep that it is to be done; False where it was shared already."""

        def begin(tables: Tables) -> bool:
            if upload.key in tables.seen.known(_SHARED):
                return False
            tables.seen.first(_BEGUN, upload.key, self._clock.now())
            return True

        try:
            return await self._store.write(begin)
        except StoreError as error:
            log.warning("Slack: %s is not taken up again by a restart: %s", upload.name, error)
            return True

    async def share(self, upload: Upload) -> None:
        """It is about to be shared."""
        await self._move(upload, _BEGUN, _SHARED)

    async def fail(self, upload: Upload) -> None:
        """It was not shared, and may be tried again."""
        await self._move(upload, _SHARED, _BEGUN)

    async def _move(self, upload: Upload, old: str, new: str) -> None:
        def move(tables: Tables) -> None:
            tables.seen.forget(old, upload.key)
            tables.seen.first(new, upload.key, self._clock.now())

        try:
            await self._store.write(move)
        except StoreError as error:
            log.warning("Slack: how far the upload of %s is could not be kept: %s", upload.name, error)

    async def left(self) -> tuple[Upload, ...]:
        """Those that were begun and not shared. StoreError."""
        keys = await self._store.read(lambda tables: tables.seen.known(_BEGUN))
        return tuple(Upload(**json.loads(key)) for key in keys)
