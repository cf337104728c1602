"""Modals and the home tab as Slack's views; pure. docs.slack.dev/reference/views."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from deploybot.card import Button, Card
from deploybot.chat.slack.slack_escaping import cut, line, visible
from deploybot.chat.slack.slack_incoming import ANSWER, REFRESH
from deploybot.chat.slack.slack_rendering import render, text_block, words

Json = dict[str, Any]

_LONGEST_REASON: Final = 500
_LONGEST_CODE: Final = 12
_LABEL: Final = 150
_QUESTION: Final = 1_500
_MOST_OPTIONS: Final = 100


def question(asks: str, about: Mapping[str, str], *, code: bool = False, card: Card | None = None) -> Json:
    """Return the modal that asks for a reason, or with `code` for a one-time code; below the texts of `card`, if any.

    Slack returns `about` with the answer.
    """
    element = {
        "type": "plain_text_input",
        "focus_on_load": True,
        "multiline": not code,
        "min_length": 1,
        "max_length": _LONGEST_CODE if code else _LONGEST_REASON,
    }
    texts = [text_block(_texts(card))] if card else []
    made = _input(line(asks) or "Why?", element)
    return _modal("One-time code" if code else "Tell why", "Send", about, [*texts, made])


def is_choice(card: Card) -> bool:
    """Return whether the only thing to do with a card is to choose one of its buttons.

    A card that says more about its choices is a message: it has more room than a window.
    """
    plain = all(not (button.asks or button.danger) for button in card.buttons) and not card.text
    return card.private and not card.ok and plain and 1 < len(card.buttons) <= _MOST_OPTIONS


def choice(card: Card, tokens: Sequence[str], about: Mapping[str, str]) -> Json:
    """Return the modal in which a person chooses one of a card's buttons: an environment, or what they meant."""
    options = [_option(button, token) for button, token in zip(card.buttons, tokens, strict=True)]
    element = {"type": "static_select", "focus_on_load": True, "placeholder": words("Choose"), "options": options}
    return _modal("Which one?", "Go", about, [text_block(_texts(card)), _input("One of these", element)])


def _texts(card: Card) -> str:
    return cut("\n".join(filter(None, (line(card.title), visible(card.hint)))), _QUESTION)


def _option(button: Button, token: str) -> Json:
    return {"text": words(line(button.label) or "…"), "value": token}


def _input(label: str, element: Json) -> Json:
    return {
        "type": "input",
        "block_id": ANSWER,
        "label": words(label, _LABEL),
        "element": {**element, "action_id": ANSWER},
    }


def _modal(title: str, submit: str, about: Mapping[str, str], blocks: list[Json]) -> Json:
    return {
        "type": "modal",
        "callback_id": "question",
        "title": words(title),
        "submit": words(submit),
        "close": words("Back"),
        "private_metadata": json.dumps(about),
        "blocks": blocks,
    }


def completed(command: str, answer: str, *, code: bool) -> str:
    """Return a button's command with the person's answer."""
    if code:
        return f"{command} code {''.join(sign for sign in answer if sign.isalnum())[:_LONGEST_CODE]}"
    return f"{command} because {' '.join(answer.split())}"


def home(cards: Sequence[Card], tokens: Sequence[str] = (), notice: Card | None = None) -> Json:
    """Return the home tab: the cards one below the other, the first with its buttons, and a button to refresh it."""
    again = {"type": "button", "text": words("Look again"), "action_id": f"{REFRESH}:0:"}
    hint = "Type /deploybot help in a channel, or message me here. Both work the same."
    shown = [
        render(card, tokens if not number else (), folds=False, has_thread=False).blocks
        for number, card in enumerate(cards)
    ]
    blocks = [block for one in shown for block in (*one, {"type": "divider"})]
    notices = [text_block(f"{line(notice.title)} {line(notice.hint)}".strip()), {"type": "divider"}] if notice else []
    return {"type": "home", "blocks": [*notices, *blocks, {"type": "actions", "elements": [again]}, text_block(hint)]}
