"""The daily post of the audit's head."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from deploybot.chat.audit_head_posts import AuditHeadPosts
from deploybot.domain import Channel
from deploybot.ports import Tables
from deploybot.store.database import Database
from deploybot.testing import FakeClock, memory_store

SLACK = Channel("slack", "C0123456789")
DAY = 86400.0


def note(tables: Tables) -> None:
    tables.audit.append(actor="ana", action="request", subject="shop", now=1.0)


async def posted(store: Database) -> list[str]:
    items = await store.read(lambda tables: tables.outbox.due(4e9, 100))
    return [line for item in items for line in item.card.code]


@pytest.mark.parametrize(("zone", "early"), [("UTC", 3600.0), ("Europe/Berlin", 0.0)])
async def test_it_is_posted_once_a_day_from_nine_on(zone: str, early: float) -> None:
    clock = FakeClock()  # eight o'clock, UTC
    async with memory_store() as store:
        heads = AuditHeadPosts(store, clock, ZoneInfo(zone), [SLACK])
        await store.write(note)
        for seconds, count in (
            (early - 1 if early else 0, 0 if early else 1),
            (1 if early else 0, 1),
            (3600, 1),
            (DAY, 1),
        ):
            clock.advance(seconds)
            await store.write(heads.post)
            assert len(await posted(store)) == count
        await store.write(note)
        clock.advance(DAY)
        await store.write(heads.post)
        rows = await store.read(lambda tables: tables.audit.tail(2))
        assert await posted(store) == [f"{row.number}:{row.hash}" for row in rows]


async def test_a_head_that_stays_is_not_posted_again_in_the_days_after() -> None:
    clock = FakeClock()
    async with memory_store() as store:
        heads = AuditHeadPosts(store, clock, ZoneInfo("UTC"), [SLACK])
        await store.write(note)
        clock.advance(3600)
        for _ in range(10):
            await store.write(heads.post)
            assert len(await posted(store)) == 1
            clock.advance(DAY)
        clock.advance(10 * DAY)
        await store.write(heads.post)
        assert len(await posted(store)) == 1


async def test_nothing_is_posted_of_an_empty_audit() -> None:
    clock = FakeClock()
    clock.advance(DAY / 2)
    async with memory_store() as store:
        await store.write(AuditHeadPosts(store, clock, ZoneInfo("UTC"), [SLACK]).post)
        assert await posted(store) == []
