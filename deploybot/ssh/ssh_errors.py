"""Convert errors of asyncssh and the system to `Unreachable`, in plain words and without secrets."""

from __future__ import annotations

import errno
import os
import re
import socket

import asyncssh

from deploybot.errors import ServerDown, Unreachable
from deploybot.settings import Server
from deploybot.trusted_files import UnsafeFileError

BROKE = "the connection broke"
CANNOT_CREATE = 73
"""The exit code reported when a server ran nothing and so has no code; the name is from sysexits.h."""
_LONGEST = 200
_ERRNO = re.compile(r"\[Errno (\d{1,3})\]")
_OVERLOADED = "Check sshd's log there: is it overloaded, or does it ban the bot's address?"
_NO_WAY = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}
_FORBIDDEN = 1
"""RFC 4254, 5.1: administratively prohibited."""
Failure = (OSError, asyncssh.Error, ValueError)
"""Exceptions that opening a connection may raise; a TimeoutError is an OSError."""


def connecting(server: Server, problem: Exception) -> Unreachable:
    """Explain why connecting to `server` failed. `problem` is one of `Failure`, raised there or on the way."""
    if isinstance(problem, Unreachable):
        return problem
    if isinstance(problem, UnsafeFileError):
        return Unreachable(server.name, str(problem), hint=f"It is a file of servers.{server.name} in bot.toml.")
    why, hint = _network(server, problem) or _login(server, problem)
    kind = ServerDown if _is_silent(problem) else Unreachable
    return kind(server.name, why, hint=hint)


def _is_silent(problem: Exception) -> bool:
    """Return whether nothing answers there. A server that closes the connection or refuses the login is not down."""
    if isinstance(problem, asyncssh.ChannelOpenError):
        return problem.code != _FORBIDDEN
    is_away = isinstance(problem, OSError) and problem.errno in _NO_WAY
    return is_away or isinstance(problem, TimeoutError | ConnectionRefusedError)


def opening(what: str, problem: asyncssh.ChannelOpenError) -> Unreachable:
    """Explain why something behind a server could not be reached through it; `what` names it."""
    if problem.code == _FORBIDDEN:
        hint = "AllowTcpForwarding and AllowStreamLocalForwarding in its sshd_config must allow it."
        return Unreachable(what, "the SSH server forbids forwarding", hint=hint)
    if number := _ERRNO.match(problem.reason):  # the format of an SSH server in Python
        return Unreachable(what, os.strerror(int(number[1])).lower())
    return Unreachable(what, plain(problem.reason) or "the connection was refused")


def silent(name: str, seconds: float) -> Unreachable:
    """Return the error for a server that accepted the login but whose shell never ran the first command."""
    why = f"logged in, but its shell gave no answer within {seconds:g} s"
    return Unreachable(name, why, hint="Check its .bashrc and .profile.")


def plain(text: str, most: int = _LONGEST) -> str:
    """Return the other side's text as one printable line of at most `most` characters."""
    return "".join(sign if sign.isprintable() else " " for sign in text[: 4 * most]).strip()[:most]


def plain_bytes(output: bytes | bytearray) -> str:
    """Return the beginning of some output as one printable line."""
    return plain(bytes(output[: 4 * _LONGEST]).decode("utf-8", "replace"))


def no_answer(output: bytes, errors: str) -> str:
    """Report that a login shell did not run the command, with what it printed to stderr or stdout instead."""
    return f"its shell gives no answer: {plain(errors) or plain_bytes(output.lstrip()) or 'it printed nothing'}"


def _network(server: Server, problem: Exception) -> tuple[str, str] | None:
    address = f"{server.host} port {server.port}"
    if isinstance(problem, asyncssh.ChannelOpenError):
        hint = f"Try it from {server.jump}. Its sshd also needs `AllowTcpForwarding yes`."
        return f"{server.jump} cannot reach {address}: {plain(problem.reason) or 'refused'}", hint
    for kind, why, hint in _NETWORK:
        if isinstance(problem, kind):
            return why.format(address=address, host=server.host, seconds=f"{server.connect_timeout:g} s"), hint
    if isinstance(problem, OSError) and problem.errno in _NO_WAY:
        return f"there is no route to {server.host}", "Check the network of the bot's machine. Is a VPN down?"
    return None


_NETWORK: tuple[tuple[type[Exception], str, str], ...] = (
    (
        TimeoutError,
        "no answer from {address} within {seconds}",
        "Is the machine up, and does a firewall let the bot through?",
    ),
    (ConnectionRefusedError, "{address} refuses connections", "Does sshd run there, and on that port?"),
    (socket.gaierror, "the host name {host} is unknown", "Is it spelled right in bot.toml, and does DNS answer here?"),
    (ConnectionError, "{address} closed the connection before the login", _OVERLOADED),
    (asyncssh.ConnectionLost, "{address} closed the connection before the login", _OVERLOADED),
    (asyncssh.ProtocolError, "{address} does not speak SSH correctly", "Check that sshd listens there."),
)


def _login(server: Server, problem: Exception) -> tuple[str, str]:
    if isinstance(problem, asyncssh.PermissionDenied):
        return f"the login as {server.user} was refused", _login_hint(server)
    if isinstance(problem, asyncssh.KeyEncryptionError):
        return "its key file cannot be opened: the passphrase is wrong", f"See servers.{server.name}.passphrase."
    if isinstance(problem, asyncssh.KeyImportError):
        return (
            "its key or certificate file cannot be read",
            "Is it in ssh-keygen's format? Does it need a passphrase?",
        )
    if isinstance(problem, OSError):
        words = problem.strerror or type(problem).__name__
        return (f"{problem.filename}: {words}" if problem.filename else words), ""
    if isinstance(problem, asyncssh.KeyExchangeFailed):
        return (
            "the bot and the server have no encryption method in common",
            "Is its sshd very old? OpenSSH 7 and later work.",
        )
    reason = problem.reason if isinstance(problem, asyncssh.Error) else str(problem)
    return f"SSH failed: {plain(reason)}", ""


def _login_hint(server: Server) -> str:
    if server.certificate is not None:
        return f"Is the certificate still valid, and does the server trust its CA for {server.user}?"
    if server.key is not None or server.agent:
        return f"Is the public key in ~{server.user}/.ssh/authorized_keys there?"
    return f"Is the password right, and does sshd there allow PasswordAuthentication for {server.user}?"
