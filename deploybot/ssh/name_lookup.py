"""Resolve names on a server and check the addresses before the bot connects to them from there.

If sshd resolved the name, the result could not be checked. So the bot asks the server first, then gives sshd the exact
address that it checked. A second lookup can't lead elsewhere.
"""

from __future__ import annotations

from deploybot.errors import Unreachable
from deploybot.net.address_guard import address_of, refusal
from deploybot.ssh import remote_shell
from deploybot.ssh.ssh_connection import SshConnection

_LOOPBACK = ("127.0.0.1", "::1")
"""Addresses of `localhost` when the server can't resolve it (RFC 6761, 6.3)."""
_LONGEST = 65_536
_MOST = 16


async def addresses(connection: SshConnection, host: str) -> tuple[str, ...]:
    """Return the addresses to connect to for a name or an address, in the server's order; at most 16.

    Raises Unreachable if there are none, or if any of them may not be called.
    """
    found = (host,) if _is_address(host) else await _looked_up(connection, host)
    if not found and host.lower().rstrip(".") == "localhost":
        found = _LOOPBACK
    if not found:
        raise Unreachable(f"{host} on {connection.server}", "the name is unknown there")
    for address in found:
        if why := refusal(address):
            what = why if address == host else f"it resolves to {address}, {why}"
            raise Unreachable(f"{host} on {connection.server}", f"{what}, which the bot never calls")
    return found


async def _looked_up(connection: SshConnection, name: str) -> tuple[str, ...]:
    async with connection.session(
        remote_shell.READ, remote_shell.program("resolve", {"RESOLVE_NAME": name})
    ) as exchange:
        output = await exchange.rest(_LONGEST)
    _, _, answer = output.partition(b"\0")
    words = answer.partition(b"\0")[0].decode("ascii", "replace").split()
    return tuple(dict.fromkeys(filter(_is_address, words)))[:_MOST]


def _is_address(text: str) -> bool:
    return address_of(text) is not None
