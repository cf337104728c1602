"""Processes that the demo's server started, found by their environment even if they outlive it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "DEPLOYBOT_DEMO"
"""The variable that everything started on the demo's server has. Its value is the demo's folder."""
_WITHIN = 5.0
_PAUSE = 0.02


def strays(folder: Path) -> Iterator[int]:
    """Yield the running processes of a demo's server.

    A process that has just ended does not count, because its environment is gone.
    """
    mark = os.fsencode(f"{MARK}={folder}")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def end_strays(folder: Path) -> tuple[int, ...]:
    """Kill all strays, including those that start meanwhile. Return those that are left after five seconds."""
    end = time.monotonic() + _WITHIN
    while (left := tuple(strays(folder))) and time.monotonic() < end:
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        # Processes that are not children send no event at their end, except by pidfd_open(2), which not every kernel
        # and sandbox has. New ones may start meanwhile, too.
        time.sleep(_PAUSE)
    return left
