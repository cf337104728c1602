"""Which secrets are refused: empty ones, those too short to be masked, and webhook secrets that are easy to guess."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from deploybot.config.config_errors import Problem
from deploybot.config.config_tables import within
from deploybot.settings import ArtifactSettings, Hook, Secret, Settings

_SHORTEST = 4
_HEX_DIGITS, _BASE64_DIGITS = 32, 22  # number of digits of 16 bytes
_DIFFERENT = 8


def guessable(settings: Settings) -> Iterator[Problem]:
    """Yield webhook secrets that could be guessed: those that look like fewer than 16 random bytes."""
    for path, part in within(settings):
        if not (isinstance(part, Hook | ArtifactSettings) and isinstance(part.secret, Secret)):
            continue
        value = part.secret.reveal().removeprefix("whsec_")
        long_enough = _HEX_DIGITS if set(value.lower()) <= set("0123456789abcdef") else _BASE64_DIGITS
        if value and (len(value) < long_enough or len(set(value)) < _DIFFERENT):
            text = "is too easy to guess: use at least 16 random bytes, such as from `openssl rand -hex 32`"
            yield Problem((*path, "secret"), text)


def usable(value: str, what: str, *, one_line: bool) -> str:
    """Return the value if it can be masked in all output and passed as a variable. Raises ValueError otherwise.

    With `one_line`, no control characters are accepted: no header can contain them.
    """
    if not value.strip():
        raise ValueError(f"{what} is empty")
    if len(value) < _SHORTEST:
        raise ValueError(f"{what} has fewer than {_SHORTEST} characters: too short to be masked in logs")
    if "\0" in value:
        raise ValueError(f"{what} contains a NUL byte")
    if one_line and any(unicodedata.category(one) == "Cc" for one in value):
        raise ValueError(f"{what} contains a line break or another control character: copy the value again")
    return value
