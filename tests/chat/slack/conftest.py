"""A workspace with the bot in it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.chat.slack.workspace import Workspace, open_workspace


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    async with open_workspace() as made:
        yield made
