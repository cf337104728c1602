"""Turns pydantic's errors into sentences for the people who write bot.toml."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from deploybot.config.config_errors import Path, Problem, Table, dotted, shown
from deploybot.config.config_tables import ANY, table_at, tables
from deploybot.masking import looks_like_token
from deploybot.settings import FileRef, Secret, Settings
from deploybot.wording import listed, meant

_KINDS = {
    "string_type": "should be text in quotes",
    "path_type": "should be a path in quotes",
    "int_type": "should be a whole number",
    "bool_type": "should be true or false",
    "tuple_type": "should be a list",
    "dict_type": "should be a table",
    "model_type": "should be a table",
}
_TABLES = {
    "auto": ' such as { branch = "main" }',
    "health": ' such as { http = "http://127.0.0.1:8000/healthz", within = "60s" }',
    "logs": ' such as { docker = "*" }',
}
_VARIABLE = re.compile(r"\$(?:\w+|\{[^}]*\})")


def explain(error: ValidationError, tree: Table) -> list[Problem]:
    """Return every error as a problem."""
    details = error.errors(include_url=False)
    return [_problem(detail, tree) for detail in details if not _follows(detail, details)]


def _follows(detail: ErrorDetails, details: Iterable[ErrorDetails]) -> bool:
    """Return whether a list is too short only because of its bad items, which have errors of their own."""
    where = detail["loc"]
    is_short = detail["type"] == "too_short"
    return is_short and any(len(one["loc"]) > len(where) and one["loc"][: len(where)] == where for one in details)


def inline_secrets(tree: object, path: Path = ()) -> Iterator[Problem]:
    """Yield texts that look like a token or a key, or contain a URL with a password, anywhere in the file."""
    if isinstance(tree, str) and looks_like_token(_VARIABLE.sub("", tree)):
        yield Problem(path, "looks like a secret, and bot.toml must not contain secrets: put it under `secrets`")
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        if table_at((*path, key)) not in (Secret, FileRef) or isinstance(value, dict):
            yield from inline_secrets(value, (*path, key))


def _problem(detail: ErrorDetails, tree: Table) -> Problem:
    if path := _turned(detail["loc"], tree):
        return Problem(path, f"is an app: for the webhooks of one app, write [apps.{path[-1]}.hooks.SENDER]")
    if detail["type"] == "extra_forbidden":
        return Problem(detail["loc"], _unknown(detail["loc"]))
    path = detail["loc"][:-1] if detail["loc"][-1] == "[key]" else detail["loc"]
    return Problem(_standing(path, tree), _sentence(detail, path))


def _turned(path: Path, tree: Table) -> Path:
    """Return the path of a table `hooks.APP` where `apps.APP.hooks` was meant; otherwise empty."""
    apps = tree.get("apps")
    is_turned = len(path) > 1 and path[0] == "hooks" and isinstance(apps, dict) and path[1] in apps
    return path[:2] if is_turned else ()


def _standing(path: Path, tree: Table) -> Path:
    """Return the path as the file has it. A single text in place of a list has no list positions."""
    value: object = tree
    for depth, key in enumerate(path):
        if isinstance(value, str):
            return path[:depth]
        value = value.get(str(key)) if isinstance(value, dict) else value[int(key)] if isinstance(value, list) else None
    return path


def _sentence(detail: ErrorDetails, path: Path) -> str:
    limits: dict[str, Any] = detail.get("ctx", {})
    match detail["type"]:
        case "plain":
            return detail["msg"]
        case "missing":
            return "is missing"
        case "too_short":
            return "should not be empty"
        case "value_error":
            sentence = str(limits["error"])
        case "greater_than_equal":
            sentence = f"should be at least {limits['ge']}"
        case "less_than_equal":
            sentence = f"should be at most {limits['le']}"
        case "literal_error":
            return _choice(str(limits["expected"]), detail["input"])
        case kind:
            sentence = _KINDS.get(kind, detail["msg"]) + _such_as(path, kind)
            if kind == "tuple_type" and isinstance(detail["input"], str):
                sentence += f" such as [{shown(detail['input'])}]"
    return f"{sentence}, got {shown(detail['input'])}"


def _such_as(path: Path, kind: str) -> str:
    """Return an example if another value was given where a table belongs; otherwise empty."""
    if kind not in {"dict_type", "model_type"} or not path:
        return ""
    if table_at(path) is not None and table_at(path) is table_at((*path[:-1], ANY)):
        return f", such as [{dotted(path[:-1])}.NAME]"
    return _TABLES.get(str(path[-1]), "")


def _choice(expected: str, given: object) -> str:
    choices = re.findall(r"'([^']*)'", expected)
    sentence = f"should be {listed((shown(choice) for choice in choices), 'or')}, got {shown(given)}"
    return sentence + meant(str(given), choices)


def _unknown(path: Path) -> str:
    """Return what to do about a key that the table does not have."""
    key = str(path[-1])
    here = table_at(path[:-1]) or Settings
    for pattern, part in tables():
        if key in part.known_keys() and pattern[:1] == path[:1] and part not in (Secret, FileRef):
            return f"unknown key here; it belongs in [{'.'.join(pattern)}]"
    known = here.known_keys()
    return f"unknown key{meant(key, known) or f'; known keys: {listed(known)}'}"
