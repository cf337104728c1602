"""What the Docker Engine sends as a stream, taken apart: chunked HTTP bodies and frames of two streams. No I/O.

Chunked transfer coding is RFC 9112, section 7.1. Frames are described in the Engine API under "Attach to a
container": eight bytes (stream, three zeros, length as big-endian 32 bits), then the payload. A container with a
terminal has no frames. Both classes keep no more than what has arrived of the one piece they wait for.
"""

from __future__ import annotations

import re
import struct

_LINE_END = b"\r\n"
_NEWLINE = 10
_LONGEST_SIZE_LINE = 1024
_SIZE = re.compile(rb" *+([0-9A-Fa-f]{1,16}) *+(?:;.*)?", re.DOTALL)
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
        self._gap = 0

    def feed(self, data: bytes) -> bytes:
        """The part of the body that is in `data`. Raises BadStream where no size of a chunk stands in its place."""
        buffer = self._buffer + data
        position, end, pieces = 0, len(buffer), list[bytes]()
        while position < end and not self.done:
            if not self._left:
                line_end = buffer.find(_LINE_END, position + self._gap)
                if line_end < 0:
                    break
                self._left = _chunk_size(buffer[position + self._gap : line_end])
                self.done = not self._left
                # From now on the end of the chunk before stands in front of every size.
                self._gap, position = 2, line_end + 2
            piece = buffer[position : position + self._left]
            pieces.append(piece)
            position += len(piece)
            self._left -= len(piece)
        self._buffer = buffer[position:]
        if len(self._buffer) > _LONGEST_SIZE_LINE:
            raise BadStream("no chunk size where one should be")
        return b"".join(pieces)


def _chunk_size(line: bytes) -> int:
    """The size before a chunk (RFC 9112, 7.1): digits alone, since a size below 0 would have no end."""
    size = _SIZE.fullmatch(line)
    if size is None:
        raise BadStream("no chunk size where one should be")
    return int(size[1], 16)


class Frames:
    """Joins stdout and stderr of a container's log into one run of whole lines.

    The Engine cuts lines at 16 KiB and sets a time before every part: here they are one line again. Where the other
    stream speaks in the middle of a line, the line is ended first, so that nothing is mixed or kept back.
    """

    def __init__(self, *, framed: bool | None = None) -> None:
        """Say whether there are frames; left out, it is seen from the first byte.

        That takes a log with times: without frames it begins with a digit.
        """
        self._framed = framed
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
        while position < end:
            if not self._left:
                position = self._whole_lines(buffer, position, out)
                if end - position < _HEADER.size:
                    break
                self._begin(buffer, position, out)
                position += _HEADER.size
                continue
            if self._skip and end - position < min(self._left, _LONGEST_TIME):
                break
            position += self._take(buffer[position : position + self._left], out)
        self._buffer = buffer[position:]
        return b"".join(out)

    def _whole_lines(self, buffer: bytes, position: int, out: list[bytes]) -> int:
        """Take frames as long as each holds a whole line, as nearly all do; where the first other one begins."""
        last = len(buffer) - _HEADER.size
        while not self._open and position <= last:
            start = position + _HEADER.size
            stop = start + _HEADER.unpack_from(buffer, position)[1]
            if stop > len(buffer) or buffer[stop - 1] != _NEWLINE:
                break
            out.append(buffer[start:stop])
            position = stop
        return position

    def _begin(self, buffer: bytes, position: int, out: list[bytes]) -> None:
        """Read the header of a frame that needs a closer look."""
        self._stream, self._left = _HEADER.unpack_from(buffer, position)
        if self._open and self._left:
            self._skip = self._open == self._stream
            if not self._skip:
                out.append(b"\n")

    def _take(self, payload: bytes, out: list[bytes]) -> int:
        """Take what has come of a frame's payload; how much that was."""
        size = len(payload)
        self._left -= size
        self._open = 0 if payload.endswith(b"\n") else self._stream
        if self._skip:
            repeated = _TIME.match(payload)
            payload = payload[repeated.end() :] if repeated else payload
            self._skip = False
        out.append(payload)
        return size
