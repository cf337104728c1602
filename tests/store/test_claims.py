"""The first administrator's code."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploybot.store.database import Database
from tests.store.examples import NOW

CODE = "plum-anchor-violet-1729"


@pytest.fixture
async def claims(store: Database) -> Database:
    await store.write(lambda tables: tables.claims.issue(CODE, NOW + 600))
    return store


async def _try(store: Database, code: str, now: float = NOW) -> bool:
    return await store.write(lambda tables: tables.claims.consume(code, now))


async def test_the_right_code_works_once(claims: Database) -> None:
    assert await _try(claims, CODE)
    assert not await _try(claims, CODE)


async def test_without_a_code_none_is_right(store: Database) -> None:
    assert not await _try(store, "")


async def test_wrong_tries_do_not_end_it(claims: Database) -> None:
    assert [await _try(claims, wrong) for wrong in ("", "a", CODE.upper(), CODE + " ", "\ud800")] == [False] * 5
    assert await _try(claims, CODE)


async def test_it_ends_in_time(claims: Database) -> None:
    assert not await _try(claims, CODE, NOW + 600)
    assert not await _try(claims, CODE, NOW)


async def test_a_new_code_replaces_the_old_one(claims: Database) -> None:
    await claims.write(lambda tables: tables.claims.issue("another", NOW + 600))
    assert not await _try(claims, CODE)
    assert await _try(claims, "another")


async def test_the_code_itself_is_not_kept(claims: Database, path: Path) -> None:
    await claims.aclose()
    for file in path.parent.iterdir():
        assert CODE.encode() not in file.read_bytes()
