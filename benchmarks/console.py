"""A console client of few lines, for timing: JSON lines over the bot's socket, as docs/console.md specifies them."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from tests.lab import LabError

Message = dict[str, Any]
_LONGEST = 120.0


class Console:
    """One connection. What is said is answered by the card as it ends: a deployment's when the deployment does."""

    def __init__(self, path: Path) -> None:
        """Connect to the bot's socket."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_LONGEST)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("rb")
        self._numbers = itertools.count(1)
        self._cards: dict[str, Message] = {}
        self._put({"type": "hello", "version": 1})
        self._get()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave."""
        self._lines.close()
        self._socket.close()

    def ask(self, text: str) -> Message:
        """Type a line, and return the card as it is when all is over."""
        last: Message = {}
        for card in self.cards(text):
            last = card
        return last

    def cards(self, text: str) -> Iterator[Message]:
        """Type a line; its cards as they come, of a deployment the last one alone."""
        request = str(next(self._numbers))
        self._put({"type": "say", "id": request, "text": text})
        while (message := self._get())["type"] != "done" or message["request"] != request:
            if message.get("request") == request:
                yield message["card"]
        if follows := message.get("follows", ""):
            yield self._until_final(follows)

    def _until_final(self, key: str) -> Message:
        while not self._cards.get(key, {"final": False}).get("final", True):
            self._get()
        return self._cards.pop(key)

    def _put(self, message: Message) -> None:
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def _get(self) -> Message:
        line = self._lines.readline()
        if not line:
            raise LabError("the bot closed the console")
        message: Message = json.loads(line)
        if message["type"] == "card" and not message.get("request"):
            self._cards[message["message"]] = message["card"]
        return message


def well(card: Message) -> Message:
    """The card, if it tells of a good end; LabError with its words where it does not."""
    if not card.get("ok", True) or card.get("tone") in {"bad", "unknown"}:
        raise LabError(f"not what was to be measured: {json.dumps(card, ensure_ascii=False)}")
    return card
