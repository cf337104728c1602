"""Small memory: what glibc's allocator is told, since the bot is idle nearly always (mallopt(3), malloc_trim(3)).

Each thread would get a heap of its own, of which little is ever given back. One heap for all is enough here: the
threads mostly wait. Other C libraries have neither function, and are left alone.
"""

from __future__ import annotations

import ctypes
import gc

_ARENA_MAX = -8  # M_ARENA_MAX in malloc.h
_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD
_LARGE = 1 << 20
_USUAL = gc.get_threshold()
_RARELY = 10_000


def keep_one_heap() -> None:
    """One heap for all threads, and none of what is large in it; before they are started.

    The C library would move its idea of what is large up to 32 MiB, and keep what a body of 25 MB has taken for good.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, _LARGE)


def give_back() -> None:
    """Give back what the start has used and nobody needs any more; what stays, stays: it is not looked at again."""
    gc.collect()
    gc.freeze()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def collect_rarely() -> None:
    """Look for cycles after ten thousand new objects: looking after seven hundred takes a tenth of a rush's time."""
    gc.set_threshold(_RARELY, *_USUAL[1:])


def collect_as_usual() -> None:
    """Look for cycles as often as Python does by itself."""
    gc.set_threshold(*_USUAL)
