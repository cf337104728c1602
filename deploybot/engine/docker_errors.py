"""Explain connection errors of a Docker Engine in plain words, with a hint on how to fix them."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from deploybot.engine.stream_request import LONGEST_WORDS, EngineRefused
from deploybot.errors import BadAnswer, DeploybotError, EngineError, Unreachable
from deploybot.net.http1 import CutShort
from deploybot.ssh.ssh_errors import plain
from deploybot.trusted_files import UnsafeFileError

_START_IT = "Check it on the server with `systemctl status docker`, and start it with `systemctl start docker`."
_GROUP = "Add the user to the group docker there (`usermod -aG docker USER`) and log in again."
_PLAIN: tuple[tuple[type[Exception], str, str], ...] = (
    (
        FileNotFoundError,
        "there is no socket at {address}",
        "Is Docker installed there, and does `docker` in bot.toml name the right path?",
    ),
    (PermissionError, "this user has no permission for the socket {address}", _GROUP),
    (ConnectionRefusedError, "nothing listens at {address}", "The Docker daemon seems to be stopped. " + _START_IT),
    (socket.gaierror, "the host name in {address} is unknown", "Check `docker` in bot.toml."),
    (
        ssl.SSLError,
        "TLS failed at {address}: {problem}",
        "Check the files in `docker_tls`, and that the server's certificate is for this name and not expired.",
    ),
    (
        TimeoutError,
        "no answer at {address} in time",
        "The daemon, or its server, hangs or is overloaded. " + _START_IT,
    ),
)
_CLOSED = "the connection to {address} was closed without a whole answer"
_CLOSED_HINT = (
    "The Docker daemon may have stopped, the socket may be missing there, or the user may not open it. "
    + _START_IT
    + " "
    + _GROUP
)


def explain(what: str, address: str, problem: BaseException) -> DeploybotError:
    """Return the error to raise for a failure of `what`, such as `Docker on web1`, at this socket or address."""
    if isinstance(problem, EngineRefused):
        return EngineError(f"{what} refused: {plain(str(problem), LONGEST_WORDS)}")
    known = _known(problem)
    if known:
        cause, sentence, hint = known
        return Unreachable(what, sentence.format(address=address, problem=cause), hint=hint)
    if unsafe := next((cause for cause in _causes(problem) if isinstance(cause, UnsafeFileError)), None):
        return Unreachable(
            what, str(unsafe), hint="Make sure that only this user can change the files in `docker_tls`."
        )
    if _is(problem, ValueError):
        return BadAnswer(what, f"the service at {address} is not Docker's API ({plain(str(problem))})")
    if _is(problem, OSError):
        return Unreachable(what, _CLOSED.format(address=address), hint=_CLOSED_HINT)
    return EngineError(f"{what}: {plain(str(problem))}")


def unexplained(problem: BaseException) -> bool:
    """Return whether the connection closed before an answer with no known reason; SSH gives none."""
    return (
        _is(problem, OSError)
        and not _is(problem, ValueError)
        and not _is(problem, CutShort)
        and not isinstance(problem, EngineRefused)
        and not _known(problem)
    )


def _known(problem: BaseException) -> tuple[BaseException, str, str] | None:
    """Return the first known cause with its message and hint, or None."""
    causes = tuple(_causes(problem))
    return next(
        ((cause, text, hint) for kind, text, hint in _PLAIN for cause in causes if isinstance(cause, kind)), None
    )


def _is(problem: BaseException, kind: type[Exception]) -> bool:
    return any(isinstance(cause, kind) for cause in _causes(problem))


def _causes(problem: BaseException) -> Iterator[BaseException]:
    """Yield the exception and those nested in it or behind it: requests and urllib3 wrap the real one."""
    waiting, seen = [problem], set[int]()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = (*one.args, getattr(one, "reason", None), one.__cause__, one.__context__)
        waiting += [other for other in inner if isinstance(other, BaseException)]
