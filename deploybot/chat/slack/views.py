"""Modals and the home tab as Slack's views; pure. docs.slack.dev/reference/views."""

from __future__ import annotations

import json
from typing import Any, Final

from deploybot.card import Card
from deploybot.chat.slack.blocks import render, said, words
from deploybot.chat.slack.heard import ANSWER
from deploybot.chat.slack.literal import cut, line

Json = dict[str, Any]

REFRESH: Final = "home"
_LONGEST_REASON: Final = 500
_LONGEST_CODE: Final = 12
_LABEL: Final = 150


def question(asks: str, about: dict[str, str], *, code: bool) -> Json:
    """The modal that asks for a reason, or with `code` for a one-time code; `about` comes back with the answer."""
    element = {
        "type": "plain_text_input",
        "action_id": ANSWER,
        "focus_on_load": True,
        "multiline": not code,
        "min_length": 1,
        "max_length": _LONGEST_CODE if code else _LONGEST_REASON,
    }
    return {
        "type": "modal",
        "callback_id": "question",
        "title": words("One-time code" if code else "Tell why"),
        "submit": words("Send"),
        "close": words("Back"),
        "private_metadata": json.dumps(about),
        "blocks": [
            {"type": "input", "block_id": ANSWER, "label": words(cut(line(asks), _LABEL) or "Why?"), "element": element}
        ],
    }


def completed(command: str, answer: str, *, code: bool) -> str:
    """A button's command with what the person answered."""
    if code:
        return f"{command} code {''.join(sign for sign in answer if sign.isalnum())[:_LONGEST_CODE]}"
    return f"{command} because {' '.join(answer.split())}"


def home(card: Card) -> Json:
    """The home tab: what `status` says to this person, and a button to look again."""
    again = {"type": "button", "text": words("Look again"), "action_id": f"{REFRESH}:0:"}
    hint = "Type /deploybot help in a channel, or write to me here: everything works in both."
    blocks = [*render(card).blocks, {"type": "actions", "elements": [again]}, said(hint)]
    return {"type": "home", "blocks": blocks}
