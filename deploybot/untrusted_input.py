"""Read untrusted input: JSON, numbers, texts. All functions raise only `Unreadable`.

Callers that know which server answered use `failure_of`. It turns `Unreadable` and any other exception into a
`BadAnswer` or another error of ours.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import NoReturn, TypeVar

from deploybot.bounded_memory import SeenKeys
from deploybot.errors import BadAnswer, DeploybotError, Unreachable

T = TypeVar("T")

log = logging.getLogger(__name__)

MOST_VALUES = 200_000
"""The maximum number of JSON values in one answer. An empty object takes two bytes there, and sixty-four in memory."""
LONGEST_TEXT = 16_384
_SIGNS = (b",", b"[", b"{")
_MOST_DIGITS = 18
_LARGEST = 1 << 62
_LOGGED = SeenKeys(200)


class Unreadable(ValueError):
    """Input that is not what it should be. The text says what was wrong, without a long quote."""


def json_of(data: bytes) -> object:
    """Parse a JSON text (RFC 8259). Refuse NaN, infinite numbers and texts with too many values."""
    if sum(map(data.count, _SIGNS)) > MOST_VALUES:
        raise Unreadable(f"its JSON has more than {MOST_VALUES:,} values")
    try:
        return json.loads(data, parse_constant=_no_number)
    except RecursionError:
        raise Unreadable("its JSON is nested too deep") from None
    except ValueError as problem:
        raise Unreadable(f"it is not JSON ({str(problem)[:80]})") from None


def object_of(value: object, name: str = "its answer") -> Mapping[str, object]:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise Unreadable(f"{name} is not a JSON object")
    return value


def objects_of(value: object, name: str = "its answer", *, most: int) -> list[Mapping[str, object]]:
    """Return a JSON list of objects, at most `most`."""
    if not isinstance(value, list) or len(value) > most:
        raise Unreadable(f"{name} is not a JSON list of at most {most:,} objects")
    return [object_of(one, f"an entry of {name}") for one in value]


def text_of(value: object, name: str) -> str:
    """Return a required text. Half a surrogate pair becomes a question mark, and a long text is cut."""
    if not isinstance(value, str) or not value:
        raise Unreadable(f"{name} is missing or not a text")
    return value[:LONGEST_TEXT].encode("utf-8", "replace").decode()


def text_or_empty(value: object, name: str) -> str:
    """Return an optional text; empty if missing."""
    return text_of(value, name) if value not in (None, "") else ""


def texts_of(value: object, name: str, *, most: int = 1000) -> tuple[str, ...]:
    """Return a list of texts; empty if missing."""
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > most:
        raise Unreadable(f"{name} is not a list of at most {most:,} texts")
    return tuple(text_of(one, name) for one in value)


def labels_of(value: object, name: str = "Labels", *, most: int = 1000) -> tuple[tuple[str, str], ...]:
    """Return an object of texts as sorted pairs; empty if missing."""
    found = object_of(value, name) if value is not None else {}
    if len(found) > most:
        raise Unreadable(f"{name} has more than {most:,} entries")
    return tuple(sorted((text_of(key, name), text_or_empty(inner, name)) for key, inner in found.items()))


def whole_of(value: object, name: str, *, default: int | None = None) -> int:
    """Return a whole number of at most 18 digits; `default`, if given, for a missing one."""
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_LARGEST < value < _LARGEST:
        raise Unreadable(f"{name} is not a number that can be used")
    return int(value)


def number_of(value: object, name: str, *, default: float | None = None) -> float:
    """Return a finite number; `default`, if given, for a missing one."""
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_LARGEST < value < _LARGEST:
        raise Unreadable(f"{name} is not a number that can be used")
    return float(value)


def digits_of(text: str, name: str) -> int:
    """Return a whole number written in ASCII digits, at most 18."""
    if not (text.isascii() and text.removeprefix("-").isdigit()):
        raise Unreadable(f"{name} is not a number")
    if len(text) > _MOST_DIGITS:
        raise Unreadable(f"{name} is a number of {len(text):,} digits")
    return int(text)


def lines(text: str) -> list[str]:
    r"""Return the lines of a program's output. Only a line feed ends one.

    `str.splitlines` also splits at characters that names may contain: a branch `main\u2028x` would become `main`.
    """
    found = text.split("\n")
    return found if found[-1] else found[:-1]


async def of_one(what: str, ask: Callable[[], Awaitable[T]]) -> T:
    """Ask one server or service, and return its answer. Raise any exception as an error of ours about `what`."""
    try:
        return await ask()
    except Exception as problem:
        raise failure_of(what, problem) from problem


def failure_of(what: str, problem: Exception) -> DeploybotError:
    """Turn an exception that a server or service caused into an error of ours about `what`."""
    if isinstance(problem, DeploybotError):
        return problem
    if isinstance(problem, TimeoutError):
        return Unreachable(what, "no answer in time")
    if isinstance(problem, Unreadable):
        return BadAnswer(what, str(problem))
    return BadAnswer(what, unforeseen(what, problem), hint="The bot's log says more.")


def unforeseen(what: str, problem: Exception) -> str:
    """Log an unexpected exception with its traceback, once for each place in the code. Return a text for people."""
    if _LOGGED.first_time((what, type(problem).__name__, _line_of(problem.__traceback__))):
        log.error("%s gave an unexpected answer", what, exc_info=problem)
    return f"it cannot be read ({type(problem).__name__})"


def _line_of(trace: TracebackType | None) -> str:
    """Return the file and line that raised an exception."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""


def _no_number(word: str) -> NoReturn:
    raise Unreadable(f"{word} is not a number")
