"""How often Slack may be asked (docs.slack.dev/apis/web-api/rate-limits), and who was told to wait."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

MINUTE: Final = 60.0
PER_MINUTE: Final = {
    "apps.connections.open": 20,
    "auth.test": 300,
    "chat.postEphemeral": 100,
    "chat.update": 50,
    "conversations.info": 50,
    "files.completeUploadExternal": 100,
    "files.getUploadURLExternal": 100,
    "users.info": 100,
    "views.open": 100,
    "views.publish": 100,
    "views.update": 100,
}
_POSTS_BURST: Final = 3.0


@dataclass(slots=True)
class _Bucket:
    """One message a second to a channel, a few at once."""

    level: float = 0.0
    at: float = 0.0


@dataclass(slots=True)
class Rates:
    """Counts calls; times are monotonic seconds. `hurry` is how many times faster than Slack's the rates are.

    What arrives within `on_the_way` seconds of a refusal may have left before that was read: refused, but no breach.
    """

    hurry: float = 1.0
    on_the_way: float = 0.5

    _calls: dict[str, deque[float]] = field(default_factory=dict)
    _posts: dict[str, _Bucket] = field(default_factory=dict)
    _quiet: dict[str, float] = field(default_factory=dict)
    _told: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def refuse(self, method: str, channel: str) -> tuple[float, str]:
        """The seconds to wait (0.0 for none), and what was broken, where the caller could have known better."""
        now = time.monotonic()
        self.counts[method] = self.counts.get(method, 0) + 1
        key = f"{method} {channel}" if method == "chat.postMessage" else method
        quiet = self._quiet.get(key, 0.0) - now
        if quiet > 0.0:
            known = now - self._told[key] > self.on_the_way
            return quiet, known * f"{method} was called {quiet:.1f} s before its Retry-After was over"
        wait = self._post(channel, now) if method == "chat.postMessage" else self._call(method, now)
        if wait:
            self.hush(method, channel, wait)
            return wait, f"{method} was called too often ({channel})"
        return 0.0, ""

    def hush(self, method: str, channel: str, seconds: float) -> None:
        """Keep that whoever calls this within so many seconds does wrong."""
        key = f"{method} {channel}" if method == "chat.postMessage" else method
        self._told[key] = time.monotonic()
        self._quiet[key] = self._told[key] + seconds - 0.05

    def _post(self, channel: str, now: float) -> float:
        bucket = self._posts.setdefault(channel, _Bucket(at=now))
        bucket.level = max(0.0, bucket.level - (now - bucket.at) * self.hurry)
        bucket.at = now
        if bucket.level + 1 > _POSTS_BURST:
            return 1.0 / self.hurry
        bucket.level += 1
        return 0.0

    def _call(self, method: str, now: float) -> float:
        most = PER_MINUTE.get(method)
        if most is None:
            return 0.0
        calls = self._calls.setdefault(method, deque())
        while calls and calls[0] <= now - MINUTE / self.hurry:
            calls.popleft()
        if len(calls) >= most:
            return calls[0] + MINUTE / self.hurry - now
        calls.append(now)
        return 0.0
