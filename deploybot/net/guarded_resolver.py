"""Resolve names for aiohttp, but none that leads to an address that the bot never calls. Imports aiohttp."""

from __future__ import annotations

import socket

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from deploybot.net.address_guard import check_resolved


class GuardedResolver(AbstractResolver):
    """Resolves names with `inner`, or else with the system. aiohttp connects to exactly the addresses it returns.

    aiohttp asks no resolver about a host that is an address already: check that with `check_resolved`.
    """

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        """Take the resolver to ask."""
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Raises ForbiddenAddress if one of them may not be called."""
        found = await self._inner.resolve(host, port, family)
        for one in found:
            check_resolved(one["host"])
        return found

    async def close(self) -> None:
        """Close the resolver that is asked."""
        await self._inner.close()
