"""Log in to a server exactly as bot.toml says, checked against exactly the pinned host keys.

Nothing of the user that runs the bot is used: no `~/.ssh/config`, no default keys, no known_hosts, no agent unless
bot.toml says `agent = true`. https://asyncssh.readthedocs.io/en/latest/api.html#sshclientconnectionoptions
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

import asyncssh

from deploybot import trusted_files
from deploybot.errors import HostKeyMismatch, Unreachable
from deploybot.settings import Server
from deploybot.ssh import ssh_errors

_KEEPALIVE = 5.0
_KEEPALIVES_MISSED = 2
_HOST_KEY_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
_CIPHERS = (
    "aes256-gcm@openssh.com",
    "aes128-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
)
"""asyncssh's ciphers, but AES-GCM first: its ChaCha20 sets up six ciphers per packet and takes twice the time."""


class Watcher(asyncssh.SSHClient):
    """Record an unpinned host key that a server shows, and refuse it."""

    def __init__(self) -> None:
        """Start with no key recorded."""
        self.shown: asyncssh.SSHKey | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Keep the key for the error message. asyncssh accepts pinned keys without calling this."""
        del host, addr, port
        self.shown = key
        return False


async def connect(server: Server, tunnel: asyncssh.SSHClientConnection | None) -> asyncssh.SSHClientConnection:
    """Open a connection and log in, within `server.connect_timeout` seconds.

    Raises HostKeyMismatch before anything is sent, or Unreachable with a plain explanation.
    """
    pinned = _pinned(server)
    watcher = Watcher()
    try:
        async with asyncio.timeout(server.connect_timeout), _keys(server) as keys:
            return await asyncssh.connect(
                server.host,
                server.port,
                client_factory=lambda: watcher,
                tunnel=tunnel,
                known_hosts=(pinned, [], []),
                server_host_key_algs=_preferred(pinned),
                username=server.user,
                client_keys=keys or None,
                password=server.password.reveal() if server.password else None,
                preferred_auth=_ways(server),
                encryption_algs=_CIPHERS,
                keepalive_interval=_KEEPALIVE,
                keepalive_count_max=_KEEPALIVES_MISSED,
                **_NOTHING_ELSE,
            )
    except asyncssh.HostKeyNotVerifiable as problem:
        raise _mismatch(server, pinned, watcher.shown) from problem
    except ssh_errors.Failure as problem:
        raise ssh_errors.connecting(server, problem) from problem


async def fetch_host_key(server: Server, *, tunnel: asyncssh.SSHClientConnection | None = None) -> tuple[str, str]:
    """Return a server's host key as a line for bot.toml, and its SHA-256 fingerprint. It does not log in.

    Raises Unreachable. The key is not verified: a person must compare the fingerprint.
    """
    try:
        async with asyncio.timeout(server.connect_timeout):
            key = await asyncssh.get_server_host_key(
                server.host,
                server.port,
                tunnel=tunnel,
                server_host_key_algs=_HOST_KEY_ALGORITHMS,
                config=None,
                options=asyncssh.SSHClientConnectionOptions(known_hosts=None, client_keys=None, **_NOTHING_ELSE),
            )
    except ssh_errors.Failure as problem:
        raise ssh_errors.connecting(server, problem) from problem
    if key is None:
        raise Unreachable(server.name, "it sent no host key")
    return _line(key), key.get_fingerprint()


_NOTHING_ELSE: dict[str, Any] = {
    "config": None,
    "agent_path": None,
    "agent_forwarding": False,
    "x509_trusted_certs": None,
    "host_based_auth": False,
    "gss_kex": False,
    "gss_auth": False,
    "x11_forwarding": False,
    "request_pty": False,
}


def _pinned(server: Server) -> list[asyncssh.SSHKey]:
    if not server.host_key:
        hint = f"Run `deploybot trust {server.name}` and compare the fingerprint."
        raise Unreachable(server.name, "no host key is pinned, so nothing was sent", hint=hint)
    try:
        return [asyncssh.import_public_key(line) for line in server.host_key]
    except asyncssh.KeyImportError as problem:
        hint = f"`deploybot trust {server.name}` writes a correct one."
        raise Unreachable(server.name, "the pinned host_key is not a public key", hint=hint) from problem


def _preferred(pinned: list[asyncssh.SSHKey]) -> list[str]:
    """List the pinned key types first. The others follow, to distinguish a changed key from a broken server."""
    first = [algorithm.decode() for key in pinned for algorithm in key.sig_algorithms]
    return [*(name for name in first if name in _HOST_KEY_ALGORITHMS), *_HOST_KEY_ALGORITHMS]


def _ways(server: Server) -> list[str]:
    ways = ["publickey"] if server.key is not None or server.agent else []
    return [*ways, "password", "keyboard-interactive"] if server.password is not None else ways


@contextlib.asynccontextmanager
async def _keys(server: Server) -> AsyncIterator[list[asyncssh.SSHKeyPair]]:
    """Yield the keys to log in with. Keep an agent open while they are used, and decrypt a key in a thread."""
    if server.agent:
        async with await _agent(server) as agent:
            yield list(await agent.get_keys())
    elif server.key is not None:
        yield await asyncio.to_thread(_load, server)
    else:
        yield []


def _load(server: Server) -> list[asyncssh.SSHKeyPair]:
    assert server.key is not None  # noqa: S101  only called if there is one
    passphrase = server.passphrase.reveal() if server.passphrase else None
    key = asyncssh.import_private_key(trusted_files.read(server.key.file, private=True), passphrase)
    certificates = (
        [asyncssh.import_certificate(trusted_files.read(server.certificate.file))]
        if server.certificate is not None
        else []
    )
    return list(asyncssh.load_keypairs([key], certlist=certificates))


async def _agent(server: Server) -> asyncssh.SSHAgentClient:
    path = os.environ.get("SSH_AUTH_SOCK")
    if not path:
        hint = "Start the bot with SSH_AUTH_SOCK set, or give it a key."
        raise Unreachable(server.name, "agent = true, but no SSH agent runs here", hint=hint)
    return await asyncssh.connect_agent(path)


def _mismatch(server: Server, pinned: list[asyncssh.SSHKey], shown: asyncssh.SSHKey | None) -> HostKeyMismatch:
    expected = " or ".join(key.get_fingerprint() for key in pinned)
    seen = shown.get_fingerprint() if shown else "of an unknown type"
    return HostKeyMismatch(
        server.name,
        f"its host key is {seen}, but bot.toml pins {expected}; nothing was sent",
        hint=f"If it was reinstalled, run `deploybot trust {server.name}`. If not, it may be an attack.",
    )


def _line(key: asyncssh.SSHKey) -> str:
    kind, blob, *_ = key.export_public_key("openssh").decode().split()
    return f"{kind} {blob}"
