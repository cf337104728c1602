r"""Regular expressions of bot.toml for texts of others: RE2 takes a time that grows with the text and no faster.

With `re`, a pattern such as `(\d+\.?)+-x` and a tag of many digits would hold up the whole bot. The syntax is that of
RE2 (github.com/google/re2/wiki/Syntax): no look-ahead and no back-reference.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol, cast


class LinearMatch(Protocol):
    """A match, as `re.Match`."""

    def __getitem__(self, group: int, /) -> str:
        """The text of a group; 0 is all of it."""

    def groups(self) -> tuple[str | None, ...]:
        """The texts of all groups."""


class LinearPattern(Protocol):
    """A pattern, as `re.Pattern`."""

    def fullmatch(self, text: str) -> LinearMatch | None:
        """Match a text as a whole."""


@lru_cache(maxsize=256)
def compiled(pattern: str) -> LinearPattern:
    """Compile a pattern. Raises ValueError that says what is wrong with it."""
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415  pure modules stay quick to import

    options = re2.Options()
    options.log_errors = False
    try:
        return cast("LinearPattern", re2.compile(pattern, options))
    except re2.error as error:
        why = error.args[0] if error.args else ""
        raise ValueError(why.decode(errors="replace") if isinstance(why, bytes) else str(why)) from None
