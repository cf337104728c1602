"""Decode the Docker Engine's streams: chunked HTTP bodies, and frames of stdout and stderr. No I/O.

Chunked transfer coding is RFC 9112, section 7.1. Frames are described in the Engine API under "Attach to a container":
eight bytes (stream, three zeros, length as big-endian 32 bits), then the payload. A container with a terminal has no
frames. Both classes buffer only the piece that is still incomplete.
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
"""The length of a match, including the blank after it."""


class BadStream(ValueError):
    """The bytes violate the protocol."""


class Chunked:
    """Decode a body with chunked transfer coding. `done` is True only after the end was received."""

    def __init__(self) -> None:
        self.done = False
        self._buffer = b""
        self._left = 0
        self._gap = 0

    def feed(self, data: bytes) -> bytes:
        """Return the part of the body in `data`. Raises BadStream if a chunk size is missing or invalid."""
        buffer = self._buffer + data
        position, end, pieces = 0, len(buffer), list[bytes]()
        while position < end and not self.done:
            if not self._left:
                line_end = buffer.find(_LINE_END, position + self._gap)
                if line_end < 0:
                    break
                self._left = _chunk_size(buffer[position + self._gap : line_end])
                self.done = not self._left
                # From now on the previous chunk's line end comes before every size.
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
    """Return a chunk's size (RFC 9112, 7.1). Accept only digits: a negative size would never end."""
    size = _SIZE.fullmatch(line)
    if size is None:
        raise BadStream("no chunk size where one should be")
    return int(size[1], 16)


class Frames:
    """Join a container log's stdout and stderr into one stream of whole lines.

    The Engine splits lines at 16 KiB and puts a time before every part. This joins them again. If the other stream
    starts in the middle of a line, the line is ended first, so nothing is mixed or delayed.
    """

    def __init__(self, *, framed: bool | None = None) -> None:
        """Set whether the log has frames. If omitted, the first byte decides.

        Omit it only for a log with times, because such a log begins with a digit if it has no frames.
        """
        self._framed = framed
        self._buffer = b""
        self._left = 0
        self._stream = 0
        self._open = 0
        self._skip = False

    def feed(self, data: bytes) -> bytes:
        """Return the part of the log in `data`, the next part of a body."""
        if self._framed is None and data:
            self._framed = data[0] < ord("0")
        return self._split(self._buffer + data) if self._framed else data

    def _split(self, buffer: bytes) -> bytes:
        """Extract the frames from `buffer`. Keep an incomplete header or time for later."""
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
        """Take frames that each end with a whole line, as nearly all do. Return where the first other frame begins."""
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
        """Read the header of a frame that is not a whole line."""
        self._stream, self._left = _HEADER.unpack_from(buffer, position)
        if self._open and self._left:
            self._skip = self._open == self._stream
            if not self._skip:
                out.append(b"\n")

    def _take(self, payload: bytes, out: list[bytes]) -> int:
        """Take the part of a frame's payload that has arrived. Return its size."""
        size = len(payload)
        self._left -= size
        self._open = 0 if payload.endswith(b"\n") else self._stream
        if self._skip:
            repeated = _TIME.match(payload)
            payload = payload[repeated.end() :] if repeated else payload
            self._skip = False
        out.append(payload)
        return size
