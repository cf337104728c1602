"""How often a bot may speak, as https://core.telegram.org/bots/faq#my-bot-is-hitting-limits says."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field

from tests.doubles.telegram.markup import Refused


@dataclass(frozen=True, slots=True)
class Limits:
    """Messages a second in all and in one chat, and a minute in one group; edits count, too."""

    overall: int = 30
    chat: int = 1
    group: int = 20


FREE = Limits(overall=10_000, chat=10_000, group=100_000)


@dataclass(slots=True)
class Gate:
    """Counts messages, and refuses those that come too soon.

    What arrives within `on_the_way` seconds of a refusal may have left before that was read: refused, but no breach.
    """

    limits: Limits
    violations: list[str]
    on_the_way: float = 0.5
    _times: dict[str, deque[float]] = field(default_factory=dict)
    _banned: dict[str, float] = field(default_factory=dict)
    _told: dict[str, float] = field(default_factory=dict)

    def enter(self, chat: str, *, group: bool) -> None:
        """Note one message; Refused where a limit is broken, and while Telegram has asked for silence."""
        now = time.monotonic()
        self._obeyed(chat, now)
        windows = [("", 1.0, self.limits.overall), (chat, 1.0, self.limits.chat)]
        windows += [(f"{chat} a minute", 60.0, self.limits.group)] if group else []
        for name, seconds, most in windows:
            times = self._times.setdefault(name, deque())
            while times and times[0] <= now - seconds:
                times.popleft()
            if len(times) >= most:
                wait = max(math.ceil(times[0] + seconds - now), 1)
                self.violations.append(f"more than {most} messages in {seconds:g} s to {name or 'all chats'}")
                raise self.ban(chat, wait)
        for name, _, _ in windows:
            self._times[name].append(now)

    def ban(self, chat: str, seconds: float) -> Refused:
        """Ask for silence in a chat."""
        self._told[chat] = time.monotonic()
        self._banned[chat] = self._told[chat] + seconds
        asked = max(math.ceil(seconds), 1)
        return Refused(f"Too Many Requests: retry after {asked}", 429, retry_after=asked)

    def _obeyed(self, chat: str, now: float) -> None:
        left = self._banned.get(chat, 0.0) - now
        if left > 0:
            if now - self._told[chat] > self.on_the_way:
                self.violations.append(f"a message to {chat} {left:.2f} s before retry_after was over")
            raise Refused(f"Too Many Requests: retry after {math.ceil(left)}", 429, retry_after=math.ceil(left))
        self._banned.pop(chat, None)
