"""Export the audit to syslog: RFC 5424 over a local socket, UDP (RFC 5426) or TCP with octet counting (RFC 6587).

The message is the row as ASCII JSON. Receivers cut off messages that are too long. A row over the limit is therefore
sent without its longest text, which is named in `left_out`. The row's hash is always included and covers that text.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import socket
import termios
import time
from collections.abc import AsyncIterator, Sequence

from deploybot.domain import AuditRow
from deploybot.errors import Unreachable, system_words
from deploybot.net.address_guard import check_resolved
from deploybot.ports import ChatFinding
from deploybot.reporting.audit_sinks.audit_sink import Reached, rfc3339
from deploybot.settings.address_values import syslog_target

LONGEST = {"unix": 8192, "tcp": 8192, "udp": 2048}
"""Maximum bytes per message: the default of rsyslog, and what RFC 5426 says every UDP receiver should accept."""
_PRIORITY = 10 * 8 + 6
"""authpriv, informational (RFC 5424, 6.2.1)."""
_WITHIN = 10.0
_RENEW = 300.0
_LOOK = 0.02
_LONGEST_NAME = 255


def message(row: AuditRow, host: str, longest: int) -> bytes:
    """Return a row as an RFC 5424 message."""
    head = f"<{_PRIORITY}>1 {rfc3339(row.at) or '-'} {host} deploybot {os.getpid()} audit - "
    return (head + row.short_line(longest - len(head))).encode("ascii")


class SyslogSink:
    """A syslog receiver. `address` is written as in bot.toml."""

    def __init__(self, address: str, *, within: float = _WITHIN) -> None:
        """Take the address, and how long a batch may take in seconds. Nothing is opened yet."""
        self._address = address
        self._within = within
        self._kind, self._host, self._port = syslog_target(address)
        self._socket: socket.socket | None = None
        self._opened = 0.0

    @property
    def name(self) -> str:
        """Return `syslog ADDRESS`."""
        return f"syslog {self._address}"

    async def send(self, rows: Sequence[AuditRow], mark: str) -> Reached:
        """Send rows. With TCP, wait until the other machine has received them; UDP has no acknowledgement."""
        del mark
        host = _own_name()
        try:
            async with asyncio.timeout(self._within):
                line = await self._line()
                for row in rows:
                    data = message(row, host, LONGEST[self._kind])
                    framed = b"%d %b" % (len(data), data) if self._kind == "tcp" else data
                    await asyncio.get_running_loop().sock_sendall(line, framed)
                await self._arrived(line)
        except BaseException as error:
            await self.close()
            if isinstance(error, OSError):  # also TimeoutError
                raise self._unreachable(error) from error
            raise
        return Reached(rows[-1].number)

    async def check(self) -> AsyncIterator[ChatFinding]:
        """Check that there is a receiver, without sending anything."""
        try:
            async with asyncio.timeout(self._within):
                (await self._open()).close()
        except OSError as error:
            raise self._unreachable(error) from error
        text = f"{self._address} can be sent to; UDP does not show whether anything listens"
        yield ChatFinding("receiver", text if self._kind == "udp" else f"{self._address} accepts connections")

    async def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _line(self) -> socket.socket:
        """Return the connection, or a new one if the other side has closed it.

        With UDP, open a new one every five minutes, to resolve the name again.
        """
        if self._socket is not None and self._kind == "udp" and time.monotonic() - self._opened > _RENEW:
            await self.close()
        if self._socket is not None and self._kind == "tcp" and _has_ended(self._socket):
            await self.close()
        if self._socket is None:
            self._socket, self._opened = await self._open(), time.monotonic()
        return self._socket

    async def _open(self) -> socket.socket:
        """Connect to the first address that answers. Raises the OSError of the last one."""
        problem: OSError | None = None
        for family, kind, address in await self._addresses():
            made = socket.socket(family, kind)
            made.settimeout(0)
            try:
                await asyncio.get_running_loop().sock_connect(made, address)
            except OSError as error:
                made.close()
                problem = error
            except BaseException:
                made.close()
                raise
            else:
                return made
        raise problem or OSError("its name does not resolve")

    async def _addresses(self) -> list[tuple[int, int, str | tuple[object, ...]]]:
        if self._kind == "unix":
            return [(socket.AF_UNIX, socket.SOCK_DGRAM, self._host)]
        kind = socket.SOCK_DGRAM if self._kind == "udp" else socket.SOCK_STREAM
        found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=kind)
        for *_, address in found:
            check_resolved(str(address[0]))
        return [(family, kind, address) for family, _, _, _, address in found]

    async def _arrived(self, line: socket.socket) -> None:
        """Wait until the other machine has acknowledged everything (TCP only). Raises OSError if it has not."""
        if code := line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(code, os.strerror(code))
        if self._kind != "tcp":
            return
        while _unacknowledged(line):  # noqa: ASYNC110  the system has no event for this
            await asyncio.sleep(_LOOK)
        if _has_ended(line):
            raise ConnectionResetError("it closed the connection")

    def _unreachable(self, error: OSError) -> Unreachable:
        why = f"no answer within {self._within:g} s" if isinstance(error, TimeoutError) else system_words(error)
        return Unreachable(self.name, why, hint=_hint(self._kind, self._host))


def _hint(kind: str, path: str) -> str:
    if kind == "unix":
        return f"Check that a syslog service listens at {path} (rsyslog, syslog-ng, systemd-journald)."
    return "Check its address in bot.toml and that this machine can reach it."


def _own_name() -> str:
    """Return this machine's name as an RFC 5424 HOSTNAME: printable ASCII without spaces."""
    name = "".join(letter for letter in socket.gethostname() if "!" <= letter <= "~")
    return name[:_LONGEST_NAME] or "-"


def _unacknowledged(line: socket.socket) -> int:
    """Return how many bytes the other side has not acknowledged yet (SIOCOUTQ of tcp(7))."""
    value = array.array("i", [0])
    fcntl.ioctl(line.fileno(), termios.TIOCOUTQ, value)
    return value[0]


def _has_ended(line: socket.socket) -> bool:
    """Return whether the other side has closed the connection. Data that it sent is discarded."""
    try:
        while answer := line.recv(1 << 12):
            del answer
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
