"""Read checksum files: a bare SHA-256, lines as sha256sum writes them (`HEX  NAME`), BSD and openssl forms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

from deploybot.errors import UserError
from deploybot.wording import listed

_BARE = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)
_GNU = re.compile(r"\\?([0-9A-Fa-f]{64})[ \t]+\*?(\S.*)", re.ASCII)
_BSD = re.compile(r"\\?SHA2?-?256 ?\((.+)\) ?= ([0-9A-Fa-f]{64})", re.ASCII)
_SHOWN = 3


def checksum_in(text: str, name: str, where: str) -> str:
    """Return the SHA-256 of the file `name` from a checksum file, in lower case; `where` names that for people.

    Names count without their folders. Raises UserError if the file does not have exactly one checksum for the name.
    """
    lines = [line.strip() for line in text.lstrip("\ufeff").splitlines() if line.strip()]
    if len(lines) == 1 and _BARE.fullmatch(lines[0]):
        return lines[0].lower()
    entries = [*_entries(lines)]
    found = {digest for named, digest in entries if named == name}
    if len(found) == 1:
        return found.pop()
    if found:
        raise UserError(f"{where} has {len(found)} different checksums for {name}.", hint="Each name should be unique.")
    if not entries:
        raise UserError(
            f"{where} is no checksum file.", hint="It should have a SHA-256, or lines as `sha256sum` writes them."
        )
    names = [named for named, _ in entries[:_SHOWN]]
    more = f" and {len(entries) - _SHOWN} more" if len(entries) > _SHOWN else ""
    raise UserError(
        f"{where} has no checksum for {name}.", hint=f"It has {listed(names) if not more else ', '.join(names) + more}."
    )


def _entries(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield name and checksum of each line that has both."""
    for line in lines:
        if match := _GNU.fullmatch(line):
            yield _last(match[2]), match[1].lower()
        elif match := _BSD.fullmatch(line):
            yield _last(match[1]), match[2].lower()


def _last(path: str) -> str:
    """Return the name without its folders. A ref with a slash may be escaped in it, as in its address."""
    return unquote(path).rpartition("/")[2]
