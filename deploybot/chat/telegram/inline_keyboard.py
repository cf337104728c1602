"""Buttons as an inline keyboard (https://core.telegram.org/bots/api#inlinekeyboardbutton).

A button carries 64 bytes: its token, then a separator and as much of its question as fits, or the only user who may
press it. This is no secret and grants nothing: someone who sends another question only asks themselves. The dispatcher
checks what a command may do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from deploybot.card import Button
from deploybot.chat.console.terminal_text import clean_line
from deploybot.chat.telegram.telegram_escaping import cut

_DATA = 64
_LABEL = 40
_ROW = 3
_ROW_LABELS = 32
_MOST = 90
_REASON = "?"
_CODE = "#"
_OWNER = "!"
_SHAPE = re.compile(r"(?P<token>[A-Za-z0-9_-]*)(?:(?P<sign>[?#!])(?P<rest>.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Data:
    """The data of a pressed button: its token, what it asks for (`because`, `code` or nothing), its only user."""

    token: str
    asks: str = ""
    question: str = ""
    owner: str = ""


def data_of(button: Button, token: str, owner: str = "") -> str:
    """Return the callback data of a button. `owner` is the only user who may press it, or "" for everybody."""
    if not button.asks:
        return f"{token}{_OWNER}{owner}" if owner else token
    start = token + (_CODE if button.asks_code else _REASON)
    room = _DATA - len(start.encode())
    return start + clean_line(button.asks).encode()[:room].decode("utf-8", "ignore")


def read_data(data: str) -> Data:
    """Parse callback data, which may contain anything."""
    match = _SHAPE.fullmatch(data)
    if match is None:
        return Data("")
    token, sign, rest = match["token"], match["sign"], match["rest"] or ""
    if sign == _OWNER:
        return Data(token, owner=rest)
    return Data(token, {_REASON: "because", _CODE: "code"}.get(sign, ""), rest)


def keyboard(buttons: Sequence[Button], tokens: Sequence[str], owner: str = "") -> InlineKeyboardMarkup | None:
    """Return the buttons in rows, or None if there are none."""
    rows: list[list[InlineKeyboardButton]] = []
    room = 0
    for button, token in zip(buttons[:_MOST], tokens[:_MOST], strict=True):
        label = cut(clean_line(button.label).strip() or clean_line(button.command), _LABEL)
        style = "danger" if button.danger else "success" if button.primary else None
        made = InlineKeyboardButton(label, callback_data=data_of(button, token, owner), style=style)
        if not rows or len(rows[-1]) == _ROW or len(label) > room:
            rows.append([])
            room = _ROW_LABELS
        rows[-1].append(made)
        room -= len(label)
    return InlineKeyboardMarkup(rows) if rows else None
