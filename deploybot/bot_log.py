"""The bot's own log: lines of text or JSON, redacted, and marked with the deployment or delivery concerned.

`about_deployment` and `about_delivery` mark everything that a task logs, including its libraries. New tasks inherit
the marks of the task that creates them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Literal

_DEPLOYMENT: ContextVar[int] = ContextVar("deployment", default=0)
_DELIVERY: ContextVar[str] = ContextVar("delivery", default="")


@contextlib.contextmanager
def about_deployment(number: int) -> Iterator[None]:
    """Mark log records of the block with a deployment's number."""
    token = _DEPLOYMENT.set(number)
    try:
        yield
    finally:
        _DEPLOYMENT.reset(token)


@contextlib.contextmanager
def about_delivery(name: str) -> Iterator[None]:
    """Mark log records of the block with the id of a webhook delivery."""
    token = _DELIVERY.set(name)
    try:
        yield
    finally:
        _DELIVERY.reset(token)


def _time(record: logging.LogRecord) -> str:
    """Return the time of a record in UTC, in milliseconds (RFC 3339)."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


class _Formatter(logging.Formatter):
    """The common part of both formats."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        super().__init__()
        self.mask = mask

    def _trace(self, record: logging.LogRecord) -> str:
        """Return the traceback and the stack, if any."""
        parts = [self.formatException(record.exc_info)] if record.exc_info else []
        parts += [self.formatStack(record.stack_info)] if record.stack_info else []
        return "\n".join(parts)


_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def _harmless(text: str) -> str:
    """Escape terminal control characters and indent further lines, so none looks like another record."""
    seen = _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return seen.replace("\n", "\n  ")


class TextFormatter(_Formatter):
    """Formats records as `TIME LEVEL LOGGER: TEXT`, with `#42` or the delivery's id after the level.

    Further lines of the text and a traceback are indented.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text."""
        number, delivery = _DEPLOYMENT.get(), _DELIVERY.get()
        marks = (f" #{number}" if number else "") + (f" {delivery}" if delivery else "")
        head = f"{_time(record)} {record.levelname}{marks} {record.name}: {record.getMessage()}"
        trace = self._trace(record)
        return _harmless(self.mask(f"{head}\n{trace}" if trace else head))


class JsonFormatter(_Formatter):
    """Formats records as one JSON object per line: `time`, `level`, `logger`, `text`.

    It has `deployment`, `delivery` and `trace` if known.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of ASCII JSON. Texts are redacted first: JSON's escapes could hide a secret."""
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": self.mask(record.getMessage()),
        }
        if number := _DEPLOYMENT.get():
            line["deployment"] = number
        if delivery := _DELIVERY.get():
            line["delivery"] = self.mask(delivery)
        if trace := self._trace(record):
            line["trace"] = self.mask(trace)
        return json.dumps(line)


def formatter(kind: Literal["text", "json"], mask: Callable[[str], str]) -> logging.Formatter:
    """Return the formatter for a `log_format`. `mask` redacts secrets in a text."""
    return (JsonFormatter if kind == "json" else TextFormatter)(mask)
