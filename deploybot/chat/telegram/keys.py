"""Buttons as an inline keyboard (https://core.telegram.org/bots/api#inlinekeyboardbutton).

A button carries 64 bytes: its token of the desk, a sign for what it asks, and the question, as much as fits. That is
no secret and no right: who sends another question asks it of themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from deploybot.card import Button
from deploybot.chat.telegram.literal import cut
from deploybot.chat.text import clean_line

_DATA = 64
_LABEL = 40
_ROW = 3
_ROW_LABELS = 32
_MOST = 90
_REASON = "?"
_CODE = "#"


@dataclass(frozen=True, slots=True)
class Data:
    """What a pressed button says: its token, and what it asks first (`because`, `code` or nothing)."""

    token: str
    asks: str = ""
    question: str = ""


def data_of(button: Button, token: str) -> str:
    """The callback data of a button."""
    if not button.asks:
        return token
    start = token + (_CODE if button.asks_code else _REASON)
    room = _DATA - len(start.encode())
    return start + clean_line(button.asks).encode()[:room].decode("utf-8", "ignore")


def read_data(data: str) -> Data:
    """Callback data read back; anything at all may arrive."""
    for sign, asks in ((_REASON, "because"), (_CODE, "code")):
        token, found, question = data.partition(sign)
        if found and _REASON not in token and _CODE not in token:
            return Data(token, asks, question)
    return Data(data)


def keyboard(buttons: Sequence[Button], tokens: Sequence[str]) -> InlineKeyboardMarkup:
    """The buttons in rows; an empty keyboard takes those away that were there."""
    rows: list[list[InlineKeyboardButton]] = []
    room = 0
    for button, token in zip(buttons[:_MOST], tokens[:_MOST], strict=True):
        label = cut(clean_line(button.label).strip() or clean_line(button.command), _LABEL)
        made = InlineKeyboardButton(
            label, callback_data=data_of(button, token), style="danger" if button.danger else None
        )
        if not rows or len(rows[-1]) == _ROW or len(label) > room:
            rows.append([])
            room = _ROW_LABELS
        rows[-1].append(made)
        room -= len(label)
    return InlineKeyboardMarkup(rows)
