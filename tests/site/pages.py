"""Adapt the Markdown of this repository to its site. Pure: text in, text out.

GitHub reads CommonMark, the site is made by Python-Markdown. They differ in how far a list's content is indented.
GitHub shows all files of the repository, the site has only some of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OUTSIDE = {
    "README.md": "start.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "bot.example.toml": "bot.example.toml",
}
"""Files of the repository outside of docs/ that the site has, and their names there."""
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^)\s]+)\)")
_CODE = re.compile(r"^( *)(```+).*?^\1\2$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_ITEM = re.compile(r"( *)((?:[-*+]|\d{1,9}[.)]) +)")
_TAB = 4
"""Columns by which Python-Markdown wants a list's content to be indented."""


def slug(heading: str, separator: str = "-") -> str:
    """Return a heading's anchor as GitHub makes it. The second argument is Python-Markdown's."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", separator)


def adapted(source: Path, text: str) -> str:
    """Return the text of `source`, a Markdown file of this repository, as the site needs it."""
    return indented(linked(source, text))


def linked(source: Path, text: str) -> str:
    """Let links lead to pages of the site. A link to a file that the site does not have becomes plain text."""
    masked, codes = _without_code(text)
    folder = source.parent.relative_to(ROOT)

    def link(found: re.Match[str]) -> str:
        target, words = found["target"], found["text"]
        path, hash_, anchor = target.partition("#")
        if "://" in path or not path or not (ROOT / folder / path).exists():
            return found[0]
        inside = _inside(PurePosixPath(os.path.normpath(folder / path)))
        if inside is None:
            return words
        here = "." if folder == Path() else os.path.relpath(folder, "docs")
        return f"{found['image']}[{words}]({os.path.relpath(inside, here)}{hash_}{anchor})"

    return _with_code(_LINK.sub(link, masked), codes)


def _inside(path: PurePosixPath) -> str | None:
    """Return the name in the site of a file, given by its path in the repository; None if the site has no such file."""
    if str(path) in OUTSIDE:
        return OUTSIDE[str(path)]
    return str(path.relative_to("docs")) if path.is_relative_to("docs") else None


def _without_code(text: str) -> tuple[str, list[str]]:
    """Replace code by marks, so that nothing in it is taken for a link."""
    codes: list[str] = []

    def mark(found: re.Match[str]) -> str:
        codes.append(found[0])
        return f"\0{len(codes) - 1}\0"

    return _CODE.sub(mark, text), codes


def _with_code(text: str, codes: list[str]) -> str:
    return re.sub(r"\0(\d+)\0", lambda found: codes[int(found[1])], text)


class _List(NamedTuple):
    column: int
    """Where the items' content begins in the source."""


def indented(text: str) -> str:
    """Indent the content of lists by four columns a level, and put an empty line before each list."""
    return "\n".join(_indented(text.split("\n")))


def _indented(lines: list[str]) -> Iterator[str]:
    lists: list[_List] = []
    fence, before = "", ""
    for line in lines:
        bare = line.lstrip(" ")
        column = len(line) - len(bare)
        item = None if fence else _ITEM.match(line)
        if bare and not fence:
            while lists and column < lists[-1].column and not _goes_on(bare, before, item):
                lists.pop()
            if item and before and not lists and not _ITEM.match(before):
                yield ""
        own = lists[-1].column if lists else 0
        yield " " * (_TAB * len(lists)) + line[min(own, column) :] if bare else ""
        if item:
            lists.append(_List(item.end()))
        mark = re.match(r"```+", bare)
        if mark and not fence:
            fence = mark[0]
        elif fence and bare == fence:
            fence = ""
        before = line


def _goes_on(bare: str, before: str, item: re.Match[str] | None) -> bool:
    """Whether a line goes on with the paragraph above it, although it is indented less."""
    return bool(bare and before.strip() and not item and not bare.startswith(("#", "|", "```", ">")))


def headings(text: str) -> list[str]:
    """Return the headings of a page without their marks, in order."""
    masked, codes = _without_code(text)
    return [_with_code(found, codes) for found in re.findall(r"^#+ (.+)$", masked, re.MULTILINE)]
