"""Bytes of a log as lines of bounded length. No I/O."""

from __future__ import annotations

_CUT = " …".encode()


def cut(line: bytes, limit: int) -> bytes:
    """The first `limit` bytes of a line, with a sign where there was more."""
    if len(line) <= limit:
        return line
    return line[:limit].decode("utf-8", errors="ignore").encode() + _CUT


class LogLines:
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
