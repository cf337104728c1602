"""RE2 over bytes: the time is linear in the length of the text, whatever the text is.

One pass reads about 800 MB/s, for three alternatives or for a thousand.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol, cast

import re2  # type: ignore[import-untyped]

_MEMORY = 8 << 20
_MEMORY_OF_LARGE = 32 << 20
"""Memory limits of RE2 for one pattern, in bytes. It uses memory only for states that texts really reach."""
_LARGE = 8_000
MOST = 50_000
"""Maximum length of a pattern in bytes. Longer ones get no table of states in that memory, and are 100 times slower."""


class BytesMatch(Protocol):
    """A match, like `re.Match`."""

    @property
    def lastindex(self) -> int | None:
        """Return the last group that matched."""

    def start(self, group: int = 0, /) -> int:
        """Return where a group begins."""

    def span(self, group: int = 0, /) -> tuple[int, int]:
        """Return where a group begins and ends."""


class BytesPattern(Protocol):
    """A pattern, like `re.Pattern`."""

    def search(self, data: bytes, pos: int | None = None) -> BytesMatch | None:
        """Find the first match."""

    def finditer(self, data: bytes) -> Iterator[BytesMatch]:
        """Yield all matches that do not overlap. At one position, the first alternative of the pattern wins."""


@lru_cache(maxsize=256)
def compiled(pattern: bytes) -> BytesPattern:
    """Compile a pattern in RE2's syntax (github.com/google/re2/wiki/Syntax), in which a byte is a character."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = _MEMORY_OF_LARGE if len(pattern) > _LARGE else _MEMORY
    options.log_errors = False
    return cast("BytesPattern", re2.compile(pattern, options))
