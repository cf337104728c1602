"""Split the bytes of a log into lines of bounded length. No I/O."""

from __future__ import annotations

_CUT = " …".encode()


def cut(line: bytes, limit: int) -> bytes:
    """Return the first `limit` bytes of a line, with ` …` added if there was more."""
    if len(line) <= limit:
        return line
    return line[:limit].decode("utf-8", errors="ignore").encode() + _CUT


class LogLines:
    """Joins pieces of text into lines of at most `limit` bytes; the rest of longer lines is dropped."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the lines that `piece` completes, without their line ends."""
        lines = (self._rest + piece).split(b"\n")
        # One byte more than the limit is enough to know that the line was longer.
        self._rest = lines.pop()[: self._limit + 1]
        return [line if len(line) <= self._limit else cut(line, self._limit) for line in lines]

    def block(self, piece: bytes) -> bytes:
        """Do the same as `feed`, but return one block of lines with their line ends."""
        end = piece.rfind(b"\n") + 1
        block, rest = self._rest + piece[:end] if end else b"", piece[end:]
        self._rest = (rest if end else self._rest + rest)[: self._limit + 1]
        if _has_longer(block, self._limit):
            return b"".join(cut(line, self._limit) + b"\n" for line in block[:-1].split(b"\n"))
        return block

    def flush(self) -> list[bytes]:
        """Return the last line, if its line end never came."""
        rest, self._rest = self._rest, b""
        return [cut(rest, self._limit)] if rest else []


def _has_longer(block: bytes, limit: int) -> bool:
    """Return whether a line of a block is longer than `limit`; checks one line in every `limit` bytes."""
    start = 0
    while len(block) - start > limit + 1:
        end = block.rfind(b"\n", start, start + limit + 1)
        if end < 0:
            return True
        start = end + 1
    return False
