"""The client that started this bot: inform it when the bot listens, and notice when it exits. See `child_bot.py`."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator

from deploybot.chat.console.child_bot import LIFE_FD, READY_FD
from deploybot.chat.console.client_exit import Parting


class Starter:
    """The bot's ends of the two pipes named in the environment. Without them, nothing happens."""

    def __init__(self) -> None:
        """Remove the descriptors from the environment, so that the bot's child processes do not inherit them."""
        self._ready, self._life = _taken(READY_FD), _taken(LIFE_FD)

    def ready(self) -> None:
        """Report that the bot listens."""
        self._write(b"ready\n")

    def end(self) -> None:
        """Close the pipe to the client."""
        if self._ready is not None:
            os.close(self._ready)
        self._ready = None

    def part(self, parting: Parting) -> None:
        """Report what continues after the client has left, then close the pipe."""
        self._write(parting.line())
        self.end()

    @contextlib.contextmanager
    def watched(self, left: Callable[[], None]) -> Iterator[None]:
        """Call `left` when the client has exited, for whatever reason."""
        loop = asyncio.get_running_loop()
        life = self._life
        if life is None:
            yield
            return

        def gone() -> None:
            loop.remove_reader(life)
            left()

        loop.add_reader(life, gone)
        try:
            yield
        finally:
            loop.remove_reader(life)

    @property
    def is_there(self) -> bool:
        """Return whether a client started this bot."""
        return self._life is not None

    def _write(self, line: bytes) -> None:
        if self._ready is not None:
            with contextlib.suppress(OSError):
                os.write(self._ready, line)


def _taken(name: str) -> int | None:
    descriptor = os.environ.pop(name, "")
    if not descriptor:
        return None
    os.set_inheritable(int(descriptor), False)  # noqa: FBT003  the standard library's signature
    return int(descriptor)
