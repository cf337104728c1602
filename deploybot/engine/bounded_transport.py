"""Give docker-py a transport that limits the bytes and the time of every answer, whatever the other side does.

requests, urllib3 and http.client limit only the wait for each byte. They accept heads, chunk sizes and trailers of any
length. So the limit is below them: the socket counts the bytes it receives, and checks the deadline before it waits.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import urlsplit

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.response import BaseHTTPResponse

from deploybot.engine.stream_connection import EngineAddress, tls_context
from deploybot.untrusted_input import Unreadable

MOST_BYTES = 4 << 20
"""Default maximum bytes of one answer, including its head and chunk markers."""
_REDIRECTS = range(300, 400)
_limit: ContextVar[int] = ContextVar("_limit", default=MOST_BYTES)


@contextmanager
def limited(most: int) -> Iterator[None]:
    """Limit each answer in this block to `most` bytes."""
    token = _limit.set(most)
    try:
        yield
    finally:
        _limit.reset(token)


class _Budget:
    """The limits of an answer: `begin` sets them, `spend` counts the bytes."""

    _end = 0.0
    _left = 0
    _most = 0

    def begin(self, end: float, most: int) -> None:
        """Allow `most` bytes until the monotonic clock shows `end`."""
        self._end, self._left, self._most = end, most, most

    def remaining(self) -> float:
        """Return the seconds left. Raises TimeoutError at the deadline, Unreadable if the bytes are used up."""
        if self._left < 0:
            raise Unreadable(f"its answer is longer than {self._most:,} bytes")
        if (left := self._end - time.monotonic()) <= 0:
            raise TimeoutError("the answer did not finish in time")
        return left

    def spend(self, count: int) -> int:
        """Count the bytes that arrived."""
        self._left -= count
        return count


class _BoundedSocket(_Budget, socket.socket):
    """A socket that receives only what its budget allows."""

    def recv_into(self, buffer: memoryview, nbytes: int = 0, flags: int = 0) -> int:  # type: ignore[override]  # http.client's kind of buffer
        self.settimeout(self.remaining())
        return self.spend(super().recv_into(buffer, nbytes, flags))


class _BoundedTls(_Budget, ssl.SSLSocket):
    """A TLS socket that receives only what its budget allows."""

    def recv_into(self, buffer: memoryview, nbytes: int | None = None, flags: int = 0) -> int:  # type: ignore[override]  # http.client's kind of buffer
        self.settimeout(self.remaining())
        return self.spend(super().recv_into(buffer, nbytes, flags))


class _Connection(HTTPConnection):
    """HTTP to the Engine at `address`. A request and its whole answer may take `within` seconds."""

    address = EngineAddress("")
    within = 0.0
    sock: _BoundedSocket | _BoundedTls | None

    def putrequest(
        self,
        method: str,
        url: str,
        skip_host: bool = False,  # noqa: FBT001, FBT002  the signature is urllib3's
        skip_accept_encoding: bool = False,  # noqa: FBT001, FBT002  same
    ) -> None:
        self._end = time.monotonic() + self.within
        if self.sock is not None:
            self.sock.begin(self._end, _limit.get())
            self.sock.settimeout(self.within)
        super().putrequest(method, url, skip_host, skip_accept_encoding)

    def connect(self) -> None:
        self.sock = _dialled(self.address, self._end)
        self.sock.begin(self._end, _limit.get())


def _dialled(address: EngineAddress, end: float) -> _BoundedSocket | _BoundedTls:
    parts, left = urlsplit(address.url), max(end - time.monotonic(), 0.001)
    if parts.scheme == "unix":
        return _unix(parts.path, left)
    # Connect only after checking the TLS files.
    context = tls_context(address.tls) if address.tls else None
    plain = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=left)
    plain.settimeout(max(end - time.monotonic(), 0.001))
    if context is None:
        return _BoundedSocket(fileno=plain.detach())
    try:
        context.sslsocket_class = _BoundedTls
        wrapped = context.wrap_socket(plain, server_hostname=parts.hostname)
    except BaseException:
        plain.close()
        raise
    assert isinstance(wrapped, _BoundedTls)  # noqa: S101  as set in the context
    return wrapped


def _unix(path: str, seconds: float) -> _BoundedSocket:
    connection = _BoundedSocket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


class BoundedAdapter(HTTPAdapter):
    """Send every request of a requests session to one Engine. Keep up to `size` connections open.

    Redirects and compressed answers are refused: an Engine sends neither, and both would bypass the limits.
    """

    def __init__(self, address: EngineAddress, *, within: float, size: int) -> None:
        """Connect at the first request; `within` is the seconds for a whole answer."""
        super().__init__()
        host = urlsplit(address.url).netloc or "localhost"
        self._pool = HTTPConnectionPool(host, timeout=within, maxsize=size)
        self._pool.ConnectionCls = type("_ConnectionTo", (_Connection,), {"address": address, "within": within})

    def get_connection_with_tls_context(
        self,
        request: PreparedRequest,  # noqa: ARG002  the signature is requests'
        verify: bool | str | None,  # noqa: ARG002, FBT001  same
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002  same
        cert: tuple[str, str] | str | None = None,  # noqa: ARG002  same
    ) -> HTTPConnectionPool:
        """Return the only pool."""
        return self._pool

    def request_url(self, request: PreparedRequest, proxies: Mapping[str, str] | None) -> str:  # noqa: ARG002  same
        """Return the path alone: the connection already leads to the Engine."""
        return request.path_url

    def add_headers(self, request: PreparedRequest, **kwargs: object) -> None:  # noqa: ARG002  same
        """Ask for an uncompressed answer."""
        request.headers["Accept-Encoding"] = "identity"

    def build_response(self, req: PreparedRequest, resp: BaseHTTPResponse) -> Response:
        """Return the answer. Raises Unreadable if an Engine would not send it."""
        if resp.status in _REDIRECTS:
            raise Unreadable("it redirects, which an Engine never does")
        if resp.headers.get("content-encoding", "identity").lower() != "identity":
            raise Unreadable("its answer is compressed, which the bot did not ask for")
        response = super().build_response(req, resp)
        # Without this, requests would guess the encoding, which takes seconds for a long answer.
        response.encoding = "utf-8"
        return response

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pool.close()
        super().close()
