"""Decode the frames of stdout and stderr in a container's log. No I/O.

They are described in the Engine API under "Attach to a container": eight bytes (stream, three zeros, length as
big-endian 32 bits), then the payload. A container with a terminal has no frames.
"""

from __future__ import annotations

import re
import struct

_NEWLINE = 10
_HEADER = struct.Struct(">BxxxL")
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d) ")
_LONGEST_TIME = 36
"""The length of a match, including the blank after it."""


class Frames:
    """Join a container log's stdout and stderr into one stream of whole lines.

    The Engine splits lines at 16 KiB and puts a time before every part. This joins them again. If the other stream
    starts in the middle of a line, the line is ended first, so nothing is mixed or delayed. Only an incomplete frame is
    buffered.
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
