"""The forms of all commands, and reading a message with them."""

from __future__ import annotations

import pytest

from deploybot import App, Card, Context, Release, Task
from deploybot.command import Command, Handler, command
from deploybot.command_loader import load
from deploybot.errors import UserError
from deploybot.parsing import (
    Call,
    parse,
    read_command,
)
from tests.kit.command_bot import EVERYTHING, SETTINGS

COMMANDS = load()
FORMS = {name: read_command(made) for name, made in COMMANDS.items()}
SHOP = SETTINGS.apps["shop"]
PRODUCTION = SHOP.environments["production"]
STAGING = SHOP.environments["staging"]


def read(text: str, visible: frozenset[tuple[str, str]] = EVERYTHING) -> Call:
    return parse(FORMS, text, SETTINGS, visible)


def refusal(text: str, visible: frozenset[tuple[str, str]] = EVERYTHING) -> UserError:
    with pytest.raises(UserError) as caught:
        read(text, visible)
    return caught.value


# Usage against signature


def made(usage: str, handler: Handler) -> Command:
    command(usage, needs="view")(handler)
    found = handler.__dict__["__command__"]
    assert isinstance(found, Command)
    return found


async def app(ctx: Context, app: App) -> Card | None: ...


async def rest(ctx: Context, *words: str) -> Card | None: ...


async def release(ctx: Context, ref: Release) -> Card | None: ...


async def task(ctx: Context, task: Task, app: App) -> Card | None: ...


def plain(ctx: Context) -> Card | None: ...
