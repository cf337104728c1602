"""The command menu that Telegram shows beside the input, one for each kind of chat."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

from telegram import (
    BotCommand,
    BotCommandScope,
    BotCommandScopeAllChatAdministrators,
    BotCommandScopeAllGroupChats,
    BotCommandScopeAllPrivateChats,
)

from deploybot.command import Command
from deploybot.domain import Action

_NAME = re.compile(r"[a-z0-9_]{1,32}")
_DESCRIPTION = 256
_MOST = 100
_PRIVATE_ONLY = frozenset({"claim"})


def menus(commands: Iterable[Command]) -> tuple[tuple[BotCommandScope, tuple[BotCommand, ...]], ...]:
    """Return the menu for each kind of chat. A menu grants nothing; it omits commands that are mostly refused.

    It also omits names that Telegram does not accept (with a hyphen), and everything after the first hundred. All
    commands can still be typed.
    """
    known = sorted((one for one in commands if _NAME.fullmatch(one.name)), key=lambda one: one.name)
    shared = [one for one in known if one.name not in _PRIVATE_ONLY]
    ordinary = [one for one in shared if one.needs is not Action.ADMIN]
    return (
        (BotCommandScopeAllPrivateChats(), _entries(known)),
        (BotCommandScopeAllGroupChats(), _entries(ordinary)),
        (BotCommandScopeAllChatAdministrators(), _entries(shared)),
    )


def _entries(commands: Iterable[Command]) -> tuple[BotCommand, ...]:
    return tuple(BotCommand(one.name, _first_line(one)) for one in islice(commands, _MOST))


def _first_line(one: Command) -> str:
    return one.help.split("\n", 1)[0][:_DESCRIPTION] or one.usage[:_DESCRIPTION]
