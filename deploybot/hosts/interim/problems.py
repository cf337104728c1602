"""What asyncssh and the system raise, in plain words."""

from __future__ import annotations

import errno
import socket

import asyncssh

from deploybot.errors import Unreachable
from deploybot.settings import Server

_REFUSED = {
    errno.ECONNREFUSED: "it refuses connections on port {port}",
    errno.EHOSTUNREACH: "there is no route to it",
    errno.ENETUNREACH: "there is no route to it",
    errno.ETIMEDOUT: "it does not answer",
    errno.ECONNRESET: "the connection was reset",
    errno.EPIPE: "the connection was cut",
}


def explained(server: Server, problem: BaseException) -> Unreachable:
    """An Unreachable for a server, with the cause and where to look."""
    if isinstance(problem, Unreachable):
        return problem
    why, hint = _words(server, problem)
    return Unreachable(server.name, why, hint=hint)


def _words(server: Server, problem: BaseException) -> tuple[str, str]:
    if isinstance(problem, asyncssh.PermissionDenied):
        return f"it does not let {server.user} in", f"Is the bot's public key in ~{server.user}/.ssh/authorized_keys?"
    if isinstance(problem, asyncssh.KeyImportError | asyncssh.KeyEncryptionError):
        return f"the key for it cannot be used: {problem}", f"Look at `key` and `passphrase` of servers.{server.name}."
    if isinstance(problem, FileNotFoundError | PermissionError) and problem.filename:
        return f"{problem.filename} cannot be read: {problem.strerror}", f"Look at servers.{server.name} in bot.toml."
    if isinstance(problem, socket.gaierror):
        return f"nobody knows the name {server.host}", f"Look at `ssh` of servers.{server.name}."
    if isinstance(problem, TimeoutError):
        return "it does not answer in time", f"Is it up? Try: ssh -p {server.port} {server.user}@{server.host}"
    if isinstance(problem, asyncssh.ChannelOpenError):
        return f"it opened no channel: {problem.reason}", ""
    if isinstance(problem, OSError):
        words = _REFUSED.get(problem.errno or 0, problem.strerror or "the connection failed")
        return words.format(port=server.port), f"Is it up? Try: ssh -p {server.port} {server.user}@{server.host}"
    return f"the connection was lost ({problem})" if str(problem) else "the connection was lost", ""
