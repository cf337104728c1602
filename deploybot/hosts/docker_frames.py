"""What the Docker Engine sends as a stream, taken apart: chunked HTTP bodies and frames of two streams. No I/O.

Chunked transfer coding is RFC 9112, section 7.1. Frames are described in the Engine API under "Attach to a
container": eight bytes (stream, three zeros, length as big-endian 32 bits), then the payload. A container with a
terminal has no frames. Both classes keep no more than what has arrived of the one piece they wait for.
"""

from __future__ import annotations

import re
import struct

_LINE_END = b"\r\n"
_LONGEST_SIZE_LINE = 1024
_HEADER = struct.Struct(">BxxxL")
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d) ")
_LONGEST_TIME = 36
"""The length of a match, with the blank after it."""


class BadStream(ValueError):
    """The bytes are not what the protocol allows."""


class Chunked:
    """Takes the chunked transfer coding off a body. `done` is True once its end was seen, and only then."""

    def __init__(self) -> None:
        self.done = False
        self._buffer = b""
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        """The part of the body that is in `data`. Raises BadStream where no size of a chunk stands in its place."""
        buffer = self._buffer + data if self._buffer else data
        position, end, pieces = 0, len(buffer), list[bytes]()
        while not self.done and position < end:
            if self._left:
                piece = buffer[position : position + self._left]
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
                continue
            # The end of the chunk before stands in front of every size but the first.
            start = position + 2 if buffer.startswith(_LINE_END, position) else position
            line_end = buffer.find(_LINE_END, start)
            if line_end < 0:
                break
            self._left = _chunk_size(buffer[start:line_end])
            self.done = not self._left
            position = line_end + 2
        self._buffer = buffer[position:]
        if len(self._buffer) > _LONGEST_SIZE_LINE:
            raise BadStream("no chunk size where one should be")
        return b"".join(pieces)


def _chunk_size(line: bytes) -> int:
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError:
        raise BadStream("no chunk size where one should be") from None


class Frames:
    """Joins stdout and stderr of a container's log into one run of whole lines, each beginning with its time.

    Whether there are frames is seen from the first byte, for a log with times begins with a digit where it has
    none. The Engine cuts lines at 16 KiB and sets a time before every part: here they are one line again. Where
    the other stream speaks in the middle of a line, the line is ended first, so that nothing is mixed or kept back.
    """

    def __init__(self) -> None:
        self._framed: bool | None = None
        self._buffer = b""
        self._left = 0
        self._stream = 0
        self._open = 0
        self._skip = False

    def feed(self, data: bytes) -> bytes:
        """The part of the log that is in `data`, the next part of a body."""
        if self._framed is None and data:
            self._framed = data[0] < ord("0")
        return self._split(self._buffer + data) if self._framed else data

    def _split(self, buffer: bytes) -> bytes:
        """Take the frames out of `buffer`; what is incomplete of a header or of its time stays for later."""
        out: list[bytes] = []
        position, end = 0, len(buffer)
        unpack = _HEADER.unpack_from
        while position < end:
            if not self._left:
                if end - position < _HEADER.size:
                    break
                self._stream, self._left = unpack(buffer, position)
                position += _HEADER.size
                if self._open and self._left:
                    self._skip = self._open == self._stream
                    if not self._skip:
                        out.append(b"\n")
                continue
            if self._skip and end - position < min(self._left, _LONGEST_TIME):
                break
            payload = buffer[position : position + self._left]
            position += len(payload)
            self._left -= len(payload)
            self._open = 0 if payload.endswith(b"\n") else self._stream
            if self._skip:
                repeated = _TIME.match(payload)
                payload = payload[repeated.end() :] if repeated else payload
                self._skip = False
            out.append(payload)
        self._buffer = buffer[position:]
        return b"".join(out)
