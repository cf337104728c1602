"""The bot's own log: masked in both formats, and marked with what it is about."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal

import pytest

from deploybot.bot_log import about_delivery, about_deployment, formatter
from deploybot.masking import Redactor

SECRETS = ('quote"and\\backslash', "line\nbreak-secret", "ünïcödé-geheim", "plain-secret-0123")


class Book:
    """A logger of its own, and what it wrote."""

    def __init__(self, kind: Literal["text", "json"]) -> None:
        self.stream = io.StringIO()
        handler = logging.StreamHandler(self.stream)
        handler.setFormatter(formatter(kind, Redactor(SECRETS).text))
        self.log = logging.Logger(f"book.{kind}")  # noqa: LOG001  nobody else may hear it
        self.log.addHandler(handler)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def as_json() -> Book:
    return Book("json")


@pytest.fixture
def as_text() -> Book:
    return Book("text")


def test_an_object_a_line(as_json: Book) -> None:
    as_json.log.warning("two\nlines of %s", "ö")
    (line,) = as_json.lines
    found = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("time"))
    assert found == {"level": "warning", "logger": "book.json", "text": "two\nlines of ö"}
    assert line.isascii()


def test_a_line_of_text(as_text: Book) -> None:
    as_text.log.info("hello")
    with about_deployment(42):
        as_text.log.info("hello")
    plain, marked = as_text.lines
    assert re.fullmatch(r"\S+Z INFO book\.text: hello", plain)
    assert re.fullmatch(r"\S+Z INFO #42 book\.text: hello", marked)


def test_what_it_is_about_is_reported_for_as_long_as_it_is(as_json: Book) -> None:
    with about_deployment(42), about_delivery("github:7f3a"):
        as_json.log.info("inside")
    as_json.log.info("outside")
    inside, outside = as_json.objects
    assert (inside["deployment"], inside["delivery"]) == (42, "github:7f3a")
    assert outside.keys().isdisjoint({"deployment", "delivery"})


def test_what_others_write_makes_no_record_and_steers_nothing(as_text: Book) -> None:
    forged = "2026-11-21T10:00:00.000Z INFO deploybot: all is well"

    def fail() -> None:
        raise ValueError(f"bad\n{forged}")

    try:
        fail()
    except ValueError:
        as_text.log.exception("broke: %s", f"x\r{forged}\n{forged}\x1b]0;title\x07\x9b31m\u202e\ud800")
    whole = as_text.stream.getvalue()
    first, *others = whole.splitlines()
    assert first.endswith(rf"book.text: broke: x\r{forged}")
    assert others[0] == rf"  {forged}\x1b]0;title\x07\x9b31m\u202e\ud800"
    assert len(others) > 3
    assert all(line.startswith("  ") for line in others)
    assert whole.replace("\n", "").isprintable()


async def test_tasks_side_by_side_have_their_own_numbers_and_hand_them_on(as_json: Book) -> None:
    both = asyncio.Barrier(2)

    async def child(number: int) -> None:
        await both.wait()
        as_json.log.info("%d", number)

    async def deployment(number: int) -> None:
        with about_deployment(number):
            await asyncio.create_task(child(number))

    await asyncio.gather(deployment(1), deployment(2))
    as_json.log.info("0")
    assert {one["text"]: one.get("deployment") for one in as_json.objects} == {"1": 1, "2": 2, "0": None}


def test_a_traceback_is_one_field(as_json: Book) -> None:
    as_json.log.error("broken", exc_info=raised(RuntimeError(f"it broke on {SECRETS[3]}")))
    (found,) = as_json.objects
    assert found["trace"].startswith("Traceback (most recent call last):\n")
    assert found["trace"].endswith("RuntimeError: it broke on •••")


def raised(error: Exception) -> Exception:
    """The error with a traceback."""
    with suppress(Exception):
        raise error
    return error


def broken(secret: str) -> Iterator[Exception]:
    """Errors that hold a secret, each in another way."""
    yield RuntimeError(secret)
    yield KeyError(secret)
    inner = ValueError(secret)
    outer = RuntimeError("outer")
    outer.__cause__ = inner
    yield outer
    yield ExceptionGroup("several", [ValueError(secret)])


@pytest.mark.parametrize("kind", ["text", "json"])
@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_is_in_any_field_at_any_level(kind: Literal["text", "json"], secret: str) -> None:
    book = Book(kind)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        book.log.log(level, "value %s", secret)
        with about_delivery(secret):
            book.log.log(level, "about it")
        for error in broken(secret):
            book.log.log(level, "with a traceback", exc_info=raised(error))
    written = book.stream.getvalue()
    texts = written if kind == "text" else "\n".join(str(value) for one in book.objects for value in one.values())
    forms = (secret, repr(secret)[1:-1]) if "\n" not in secret else (secret, *secret.split("\n")[1:])
    assert not any(form in texts for form in forms)
    assert "•••" in texts
