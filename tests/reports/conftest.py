"""Doubles that are started when a test asks for them, and a database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from deploybot.store.database import Database
from deploybot.testing import memory_store
from tests.reports.doubles import Collector, Gitea, GitHub, GitLab, Receiver
from tests.reports.scene import sha

COMMITS = {sha(number) for number in range(1, 400)}


@pytest.fixture
async def store() -> AsyncIterator[Database]:
    async with memory_store() as store:
        yield store


@pytest.fixture
async def github() -> AsyncIterator[GitHub]:
    double = GitHub()
    double.commits |= COMMITS
    await double.start()
    yield double
    await double.stop()
    assert double.breaches == []


@pytest.fixture
async def gitlab() -> AsyncIterator[GitLab]:
    double = GitLab()
    double.commits |= COMMITS
    await double.start()
    yield double
    await double.stop()
    assert double.breaches == []


@pytest.fixture
async def gitea() -> AsyncIterator[Gitea]:
    double = Gitea()
    double.commits |= COMMITS
    await double.start()
    yield double
    await double.stop()
    assert double.breaches == []


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    double = Receiver()
    await double.start()
    yield double
    await double.stop()
    assert double.breaches == []


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    double = Collector()
    await double.start()
    yield double
    await double.stop()
    assert double.breaches == []
