"""Fixtures for tests of dispatch: a bot whose secret is known, and commands of the tests' own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from deploybot.command import Command, Handler, command
from deploybot.domain import AuditRow
from tests.kit.command_bot import CommandBot, open_command_bot

SECRET = "correct-horse-battery"


@pytest.fixture
async def bot() -> AsyncIterator[CommandBot]:
    async with open_command_bot(secrets=(SECRET,)) as made:
        yield made


def made(usage: str, handler: Handler, *, needs: str = "view", within: float = 60.0) -> Command:
    command(usage, needs=needs, within=within)(handler)
    found = handler.__dict__["__command__"]
    assert isinstance(found, Command)
    return found


def rows(audit: list[AuditRow]) -> list[tuple[str, str, str, str]]:
    return [(row.actor, row.action, row.subject, row.detail) for row in audit]


SORRY = "I do not know you yet: please ask an administrator to type `allow console:6666:6666 viewer`."
