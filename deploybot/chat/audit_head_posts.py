"""Post the audit's newest hash once a day.

Everybody has then read it, so a chain that is rewritten later no longer contains it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from deploybot.card import Card
from deploybot.domain import Channel
from deploybot.errors import StoreError
from deploybot.ports import Clock, Store, Tables

AT = time(9)
_LOOKS = 900.0
_POSTED = "audit head "
log = logging.getLogger(__name__)


class AuditHeadPosts:
    """Posts the newest hash to `channels` daily at nine, or at the bot's next start after that.

    Posts nothing if the audit has no new rows.
    """

    def __init__(self, store: Store, clock: Clock, zone: ZoneInfo, channels: Sequence[Channel]) -> None:
        """Take the ports, and the time zone in which it is nine o'clock."""
        self._store = store
        self._clock = clock
        self._zone = zone
        self._channels = channels

    async def run(self) -> None:
        """Post once a day until cancelled."""
        while self._channels:
            try:
                await self._store.write(self.post)
            except StoreError as problem:
                log.warning("the audit's head is not posted yet: %s", problem)
            await asyncio.sleep(min(self._until_nine(), _LOOKS))

    def post(self, tables: Tables) -> None:
        """Queue today's post. Skip it if it was queued already, it is too early, or the audit has no new rows."""
        now = self._clock.now()
        here = datetime.fromtimestamp(now, self._zone)
        rows = tables.audit.tail(1)
        if here.time() < AT or not rows or not tables.seen.first("audit", f"day {here.date()}", now):
            return
        (head,) = rows
        # `seen` forgets after two days, and an audit may have no new row for longer.
        last, posted = f"{_POSTED}{head.number}", tables.notices.open(_POSTED)
        if last in posted:
            return
        for old in posted:
            tables.notices.close(old)
        tables.notices.add(last, last, "", now)
        mark = f"{head.number}:{head.hash}"
        card = Card(
            notification=True,
            title=f"The audit has {head.number:,} rows.",
            code=(mark,),
            hint=f"`deploybot audit verify --head {mark}` shows whether one of them was changed after today.",
        )
        for channel in self._channels:
            tables.outbox.put(channel, card, now)

    def _until_nine(self) -> float:
        """Return the seconds until the next nine o'clock, at least one."""
        now = self._clock.now()
        here = datetime.fromtimestamp(now, self._zone)
        day = here.date() + timedelta(days=here.time() >= AT)
        return max(datetime.combine(day, AT, self._zone).timestamp() - now, 1.0)
