"""docker-py over a Unix socket that closes what it opens.

docker-py's own transport leaves a socket open, for the garbage collector to find, whenever nobody answers it.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

SCHEME = "http+docker://"
"""The scheme that docker-py gives to addresses of Unix sockets."""


class _Connection(HTTPConnection):
    """HTTP over the Unix socket at `path`."""

    path = ""

    def connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self.timeout if isinstance(self.timeout, float | int) else None)
            connection.connect(self.path)
        except OSError:
            connection.close()
            raise
        self.sock = connection


class UnixAdapter(HTTPAdapter):
    """Sends every request of a requests session to one Unix socket; keeps up to `size` connections."""

    def __init__(self, path: str, *, timeout: float, size: int) -> None:
        """Connect at the first request, and wait no longer than `timeout` seconds for anything."""
        super().__init__()
        self._pool = HTTPConnectionPool("localhost", timeout=timeout, maxsize=size)
        self._pool.ConnectionCls = type("_ConnectionTo", (_Connection,), {"path": path})

    def get_connection_with_tls_context(
        self,
        request: PreparedRequest,  # noqa: ARG002  the signature is requests'
        verify: bool | str | None,  # noqa: ARG002, FBT001  same
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002  same
        cert: tuple[str, str] | str | None = None,  # noqa: ARG002  same
    ) -> HTTPConnectionPool:
        """The one pool there is."""
        return self._pool

    def request_url(self, request: PreparedRequest, proxies: Mapping[str, str] | None) -> str:  # noqa: ARG002  same
        """The path alone: the address is the socket."""
        return request.path_url

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pool.close()
        super().close()
