"""The last message of a temporary bot to the client that started it: one line of JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass

_LONGEST = 10
LOOK = "See it with: deploybot chat -c 'status'"


@dataclass(frozen=True, slots=True)
class Parting:
    """Whether the bot `stays` after its client left, and why."""

    stays: bool = False
    begun: tuple[int, ...] = ()
    waiting: tuple[int, ...] = ()
    asked: bool = False

    @property
    def words(self) -> str:
        """Return a sentence for the person who leaves, or "" if nothing continues."""
        if self.begun:
            go, them, end = ("continues", "it", "it ends") if len(self.begun) == 1 else ("continue", "them", "they end")
            text = f"{_named(self.begun)} {go} in the background: a temporary bot follows {them} until {end}."
            return f"{text} {LOOK}"
        if self.asked:
            return f"Your commands continue in the background. {LOOK}"
        if self.waiting and not self.stays:
            wait, go = ("waits", "continues") if len(self.waiting) == 1 else ("wait", "continue")
            return f"{_named(self.waiting)} {wait} in the database and {go} when a bot runs again: deploybot run"
        return ""

    def line(self) -> bytes:
        """Return the message as a line for a pipe."""
        body = {"stays": self.stays, "begun": self.begun, "waiting": self.waiting, "asked": self.asked}
        return json.dumps(body).encode() + b"\n"


def read_parting(line: bytes) -> Parting | None:
    """Parse a line. Return None if it is empty: the bot ended without a message."""
    if not line.strip():
        return None
    body = json.loads(line)
    numbers = {name: tuple(map(int, body[name])) for name in ("begun", "waiting")}
    return Parting(stays=bool(body["stays"]), asked=bool(body["asked"]), **numbers)


def _named(numbers: tuple[int, ...]) -> str:
    """Return `#5`, `#5 and #6`, or `#5, #6 and 12 more`."""
    names = [f"#{number}" for number in numbers[:_LONGEST]]
    if more := len(numbers) - len(names):
        names.append(f"{more} more")
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
