"""Who may read logs for long."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from deploybot.applogs.reader_shares import FOLLOWED, Shares
from deploybot.errors import UserError


def test_one_session_stays_free_whoever_reads() -> None:
    shares = Shares()
    with ExitStack() as stack:
        for person in ("ana", "ben", "cem"):
            stack.enter_context(shares.lasting(person, ["web1"], "log-1"))
        with (
            pytest.raises(UserError, match="3 people are reading logs on web1") as caught,
            shares.lasting("dia", ["web1"], ""),
        ):
            pass
        assert "without `follow`" in caught.value.hint
        with shares.lasting("dia", ["web2"], "log-9"):
            pass
    with shares.lasting("dia", ["web1"], ""):
        pass


def test_a_person_reads_so_many_logs_of_containers() -> None:
    shares = Shares()
    with ExitStack() as stack:
        for at in range(FOLLOWED):
            stack.enter_context(shares.lasting("ana", [], f"log-{at}"))
        with pytest.raises(UserError, match="You are already reading 5 logs") as caught, shares.lasting("ana", [], ""):
            pass
        assert caught.value.hint == "`cancel log-0` ends one."
        with shares.lasting("ben", [], ""):
            pass


async def test_last_lines_are_read_one_after_the_other_by_each_person() -> None:
    shares, reads, most = Shares(), 0, 0

    async def read(person: str) -> None:
        nonlocal reads, most
        async with shares.turn(person, ["web1"]):
            reads += 1
            most = max(most, reads)
            await asyncio.sleep(0)
            reads -= 1

    await asyncio.gather(*(read("ana") for _ in range(10)))
    assert most == 1
    await asyncio.gather(*(read(person) for person in ("ana", "ben", "cem")))
    assert most == 3
