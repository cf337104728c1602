"""Masking of text that arrives in pieces, so that no secret escapes between two of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploybot.masking.cleaning import clean
from deploybot.masking.key_shapes import open_key
from deploybot.masking.redactor import Redactor

HOLD = 65_536
"""Maximum bytes of a line that are held back, unless a known value is longer."""
_TOKEN = re.compile(rb"[A-Za-z0-9_+/=.%-]*")
_GOES_ON = re.compile(rb"[A-Za-z0-9+/_-]{32}(?:\x1b\[[0-9;]*+[mK])*\r*\n\Z")
_ENDING = 80


class Stream:
    """Cleans and masks text that arrives in chunks, line by line.

    Text is held back until it can be masked safely: an unfinished line up to `hold` bytes, the lines of an unfinished
    private key or known value, and lines of digits that may be base64 which continues.
    """

    def __init__(self, redactor: Redactor, *, hold: int = HOLD) -> None:
        """Use what `redactor` knows, including what it learns later."""
        self._redactor = redactor
        self._hold = hold
        self._held = b""
        self._swallow = False

    @property
    def pending(self) -> int:
        """Return how many of the fed bytes have not come out yet. A caller that stores an offset subtracts them."""
        return len(self._held)

    def feed(self, data: bytes) -> bytes:
        """Take the next chunk. Return the masked text that is safe now."""
        buffer = self._held + data
        if self._swallow:
            buffer = self._swallowed(buffer)
        cut = self._cut(buffer)
        self._held = buffer[cut:]
        return self._masked(buffer[:cut])

    def flush(self) -> bytes:
        """Return the masked rest, when there is no more text."""
        rest, self._held, self._swallow = self._held, b"", False
        return self._masked(rest)

    def _masked(self, data: bytes) -> bytes:
        return self._redactor.data(clean(data)) if data else data

    def _swallowed(self, buffer: bytes) -> bytes:
        """Drop the rest of a token that was too long to hold back and whose beginning was masked."""
        match = _TOKEN.match(buffer)
        rest = buffer[match.end() :] if match else buffer
        self._swallow = not rest
        return rest

    def _cut(self, buffer: bytes) -> int:
        """Return how much of the buffer can be masked now."""
        cut = buffer.rfind(b"\n") + 1
        hold = max(self._hold, 2 * self._redactor.reach)
        if len(buffer) - cut <= hold:
            return settled(self._redactor, buffer, cut)
        # Cut inside a line that is too long to hold back, but never inside a secret.
        whole = self._redactor.before(buffer, len(buffer) - self._redactor.reach)
        if whole == 0:
            self._swallow = True
            return len(buffer)
        return whole


def settled(redactor: Redactor, data: bytes, cut: int) -> int:
    """Return up to where text can be masked, so that text that follows changes nothing.

    `data` has whole lines up to `cut`. Before the returned position, private keys and known values of several lines
    have ended, and base64 does not continue.
    """
    return min(cut, open_key(data, cut), _open_value(redactor, data, cut), _open_digits(redactor, data, cut))


def _open_value(redactor: Redactor, data: bytes, cut: int) -> int:
    """Return where a known value of several lines begins that may continue after the cut."""
    starts = [
        cut - size for value in redactor.of_lines for size in _line_ends(value) if data.endswith(value[:size], 0, cut)
    ]
    return min(starts, default=cut)


def _line_ends(value: bytes) -> Iterator[int]:
    """Yield the lengths of a value's beginnings that end with a line."""
    position = value.find(b"\n")
    while 0 <= position < len(value) - 1:
        yield position + 1
        position = value.find(b"\n", position + 1)


def _open_digits(redactor: Redactor, data: bytes, cut: int) -> int:
    """Return where lines of base64 or hexadecimal digits begin that may continue after the cut.

    Of many lines, only the last ones count.
    """
    begin = cut
    while cut - begin < redactor.reach and _GOES_ON.search(data, max(0, begin - _ENDING), begin):
        begin = data.rfind(b"\n", 0, begin - 1) + 1
    return redactor.before(data[:cut], begin) if begin < cut else cut
