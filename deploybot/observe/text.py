"""Bytes of a log as clean lines: no escape codes, no control characters, valid UTF-8, bounded length. No I/O."""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    rb"|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # OSC: titles, links
    rb"|[PX^_][^\x1b\n]*(?:\x1b\\)?"  # strings
    rb"|[ -/]*[0-~])"  # all others
)
# Only from the first of many: a log of nothing else would take minutes otherwise.
_LINE_ENDS = re.compile(rb"(?<!\r)\r++\n")
_OVERWRITTEN = re.compile(rb"(?m)^(\S+Z )?[^\n]*\r")
_CONTROLS = bytes({*range(32), 127} - {*b"\t\n"})
_C1 = re.compile(rb"\xc2[\x80-\x9f]")
_CUT = " …".encode()


def clean(block: bytes) -> bytes:
    """Lines as a person would have read them in a terminal: of a progress bar only its last state.

    Escape sequences are those of ECMA-48. A time that ends with `Z` in front of a line stays.
    """
    if b"\x1b" in block:
        block = _ESCAPES.sub(b"", block)
    if b"\r" in block:
        block = _OVERWRITTEN.sub(rb"\1", _LINE_ENDS.sub(b"\n", block))
    block = block.translate(None, _CONTROLS)
    if not block.isascii():
        block = _C1.sub(b"", block.decode("utf-8", errors="replace").encode())
    return block


def cut(line: bytes, limit: int) -> bytes:
    """The first `limit` bytes of a line, with a sign where there was more."""
    if len(line) <= limit:
        return line
    return line[:limit].decode("utf-8", errors="ignore").encode() + _CUT


class Lines:
    """Puts pieces of text together to lines of at most `limit` bytes; what is longer is cut and not kept."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that `piece` completes, without their ends."""
        lines = (self._rest + piece).split(b"\n")
        # One byte more than the limit is enough to know that it was longer.
        self._rest = lines.pop()[: self._limit + 1]
        return [line if len(line) <= self._limit else cut(line, self._limit) for line in lines]

    def block(self, piece: bytes) -> bytes:
        """The same as one block of lines with their ends."""
        end = piece.rfind(b"\n") + 1
        block, rest = self._rest + piece[:end] if end else b"", piece[end:]
        self._rest = (rest if end else self._rest + rest)[: self._limit + 1]
        if _has_longer(block, self._limit):
            return b"".join(cut(line, self._limit) + b"\n" for line in block[:-1].split(b"\n"))
        return block

    def flush(self) -> list[bytes]:
        """The last line, where its end never came."""
        rest, self._rest = self._rest, b""
        return [cut(rest, self._limit)] if rest else []


def _has_longer(block: bytes, limit: int) -> bool:
    """Whether a line of a block is longer than that; looks at one line in every `limit` bytes."""
    start = 0
    while len(block) - start > limit + 1:
        end = block.rfind(b"\n", start, start + limit + 1)
        if end < 0:
            return True
        start = end + 1
    return False
