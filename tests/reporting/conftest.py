"""Doubles that are started when a test asks for them, and a database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest

from deploybot.masking import Redactor
from deploybot.store.database import Database
from deploybot.testing import memory_store
from tests.reporting.doubles import SECRET, TOKEN, Collector, Double, Gitea, GitHub, GitLab, Receiver
from tests.reporting.reporting_bot import sha

AnyDouble = TypeVar("AnyDouble", bound=Double)
COMMITS = {sha(number) for number in range(1, 400)}


@pytest.fixture
async def store() -> AsyncIterator[Database]:
    async with memory_store(Redactor((TOKEN, SECRET))) as store:
        yield store


@pytest.fixture
async def github() -> AsyncIterator[GitHub]:
    async with _running(GitHub()) as double:
        yield double


@pytest.fixture
async def gitlab() -> AsyncIterator[GitLab]:
    async with _running(GitLab()) as double:
        yield double


@pytest.fixture
async def gitea() -> AsyncIterator[Gitea]:
    async with _running(Gitea()) as double:
        yield double


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with _running(Receiver()) as double:
        yield double


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with _running(Collector()) as double:
        yield double


@asynccontextmanager
async def _running(double: AnyDouble) -> AsyncIterator[AnyDouble]:
    """A double that listens, and knows the commits; at the end nothing that it documents may have been broken."""
    double.commits |= COMMITS
    await double.start()
    yield double
    await double.stop()
    assert double.breaches == []
