"""Parses Compose's stderr: blank variables, the reason for a failure, and the files that may be missing."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from deploybot.strategies.compose.compose_answers import ConfigAnswers
from deploybot.strategies.compose.compose_reading import ComposeUnreadable, Plain, load

_BLANK = re.compile(r'The (?:\\?")?([A-Za-z_][A-Za-z0-9_]*)(?:\\?")? variable is not set')
_LOGGED = re.compile(r'^time="[^"]*" level=(\w+) msg="(.*)"$')
_LINES = 4
_LINE = 300


def blank_variables(errors: str) -> tuple[str, ...]:
    """Return the variables that the files use without a default and that are not set, in order of use."""
    return tuple(dict.fromkeys(_BLANK.findall(errors)))


def own_words(errors: str) -> str:
    """Return Compose's own error message without its warnings."""
    lines = [words for line in errors.splitlines() if (words := _words(line.strip()))]
    return "\n".join(line[:_LINE] for line in lines[-_LINES:]) or "It gives no reason."


def _words(line: str) -> str:
    logged = _LOGGED.match(line)
    if logged:
        return "" if logged[1] == "warning" else logged[2].replace('\\"', '"')
    return "" if _BLANK.search(line) else line


def raw_paths(answers: ConfigAnswers) -> tuple[tuple[str, str], ...]:
    """Return pairs of what needs a file, such as a secret, and its absolute path, as far as the raw files show.

    Compose stops at the first missing file. These are all files at which it may stop.
    """
    found: dict[tuple[str, str], None] = {}
    for text in answers.raw:
        for what, path in _raw(text):
            if path and "$" not in path and not path.startswith("~"):
                found[what, posixpath.normpath(posixpath.join(answers.release.folder, path))] = None
    return tuple(found)


def _raw(text: str) -> Iterator[tuple[str, str]]:
    """Yield what one file shows. Compose's own message is more precise for what has another shape."""
    try:
        top, _ = load(text)
    except ComposeUnreadable:
        return
    for kind, word in (("secrets", "secret"), ("configs", "config")):
        for key, one in _mapping(top.get(kind)).items():
            path = _mapping(one).get("file")
            if isinstance(path, str):
                yield f"{word} {key}", path
    for name, one in _mapping(top.get("services")).items():
        for path in _env_files(_mapping(one).get("env_file")):
            yield f"env_file of {name}", path


def _env_files(value: Plain) -> Iterator[str]:
    for entry in value if isinstance(value, list) else [value]:
        path = entry.get("path") if isinstance(entry, dict) and entry.get("required") is not False else entry
        if isinstance(path, str):
            yield path


def _mapping(value: Plain) -> dict[str, Plain]:
    return value if isinstance(value, dict) else {}
