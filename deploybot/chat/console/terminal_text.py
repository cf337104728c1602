"""Text that is safe to show in a terminal, and its width in cells.

Removed are escape sequences (ECMA-48), control characters, characters that change the direction of text (Unicode UAX
#9), and invisible characters.
"""

from __future__ import annotations

import re

from rich.cells import cell_len, chop_cells, set_cell_size

_ESCAPES = re.compile(
    r"""
    (?: \x1b\[ | \x9b ) [0-?]* [\ -/]* [@-~]?                     # CSI: colours, cursor
    | (?: \x1b[\]PX^_] | [\x90\x98\x9d-\x9f] )                   # OSC, DCS …: titles. Where another one begins, it
      [^\x07\x1b\x90\x98-\x9f\n]*+ (?: \x07 | \x1b\\ | \x9c )    # ends: many in a row would take minutes otherwise
    | \x1b [\ -/]* [0-~]?                                         # two characters and more
    """,
    re.VERBOSE,
)
_INVISIBLE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_HALF_PAIRS = re.compile("[\ud800-\udfff]")
_MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"
_MANY_MARKS = re.compile(f"([{_MARKS}]{{3}})[{_MARKS}]+")
_TAB = 8
_BREAKS = re.compile(r"(?<!\d)[ ]|[ ](?!(?:ms|s|min|h|d|B|kB|MB|GB|TB)\b)")  # not between a number and its unit


def clean(text: str) -> str:
    """Remove escape sequences and invisible characters. Line ends become `\\n`, tabs become spaces."""  # noqa: D301  the backslash is part of the text
    if text.isascii() and text.isprintable():
        return text
    text = _LINE_ENDS.sub("\n", _ESCAPES.sub("", text)).expandtabs(_TAB)
    return _MANY_MARKS.sub(r"\1", _HALF_PAIRS.sub("\ufffd", _INVISIBLE.sub("", text)))


def clean_line(text: str) -> str:
    """Return one clean line, without the text that a carriage return would overwrite on a terminal."""
    return clean(text.rstrip("\r\n").rpartition("\r")[2]).replace("\n", " ")


def width_of(text: str) -> int:
    """Return the width of a clean text in terminal cells."""
    return cell_len(text)


def pad(text: str, width: int) -> str:
    """Pad the text with spaces to a width. Never cut it."""
    return text + " " * (width - cell_len(text))


def cut(text: str, width: int) -> str:
    """Cut the text to a width; a cut text ends with `…`."""
    if cell_len(text) <= width:
        return text
    return (set_cell_size(text, width - 1).rstrip() + "…") if width > 0 else ""


def wrap(text: str, width: int | None) -> list[str]:
    """Wrap clean text into lines of at most `width` cells, at spaces if possible. None wraps nothing.

    Continuation lines keep the indentation of their line.
    """
    lines: list[str] = []
    for line in text.split("\n"):
        body = line.lstrip(" ")
        indent = " " * min(len(line) - len(body), 8, (width or 80) // 4)
        if width is None or cell_len(indent + body) <= width:
            lines.append((indent + body).rstrip())
        else:
            lines += [indent + part for part in _fill(body, max(width - len(indent), 1))]
    return lines


def _fill(text: str, width: int) -> list[str]:
    """Wrap one line without indentation at spaces. A word that is too long is cut."""
    lines = [""]
    for word in _BREAKS.split(text):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(joined) <= width:
            lines[-1] = joined
            continue
        pieces = chop_cells(word, width) if cell_len(word) > width else [word]
        lines[len(lines) if lines[-1] else -1 :] = pieces
    return [line.rstrip() for line in lines]
