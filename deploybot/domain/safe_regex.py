r"""Regular expressions from bot.toml for untrusted texts. RE2 matches in time linear in the length of the text.

With `re`, a pattern such as `(\d+\.?)+-x` and a tag of many digits could block the whole bot. The syntax is that of
RE2 (github.com/google/re2/wiki/Syntax): no look-ahead and no back-reference.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol, cast


class LinearMatch(Protocol):
    """A match, like `re.Match`."""

    def __getitem__(self, group: int, /) -> str:
        """Return the text of a group; 0 is the whole match."""

    def groups(self) -> tuple[str | None, ...]:
        """Return the texts of all groups."""


class LinearPattern(Protocol):
    """A pattern, like `re.Pattern`."""

    def fullmatch(self, text: str) -> LinearMatch | None:
        """Match a text as a whole."""


@lru_cache(maxsize=256)
def compiled(pattern: str) -> LinearPattern:
    """Compile a pattern. Raises ValueError with what is wrong with it."""
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415  keeps pure modules quick to import

    options = re2.Options()
    options.log_errors = False
    try:
        return cast("LinearPattern", re2.compile(pattern, options))
    except re2.error as error:
        why = error.args[0] if error.args else ""
        raise ValueError(why.decode(errors="replace") if isinstance(why, bytes) else str(why)) from None
