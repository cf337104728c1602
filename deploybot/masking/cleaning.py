"""Remove invisible parts of a text: escape codes, control characters, invisible characters. No I/O.

Secrets are searched in clean text. So they cannot be hidden by characters that a chat or a terminal removes later.
"""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    rb"|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # OSC: titles, links
    rb"|[PX^_][^\x1b\n]*(?:\x1b\\)?"  # strings
    rb"|[ -/]*[0-~])"  # all others
)
# Match only from the first of many `\r`: a log of nothing else would take minutes otherwise.
_LINE_ENDS = re.compile(rb"(?<!\r)\r++\n")
_OVERWRITTEN = re.compile(rb"(?m)^(\S+Z )?[^\n]*\r")
_CONTROLS = bytes({*range(32), 127} - {*b"\t\n"})
_C1 = re.compile(rb"\xc2[\x80-\x9f]")

_KEPT = "\n\t\r\u200c\u200d"
"""Line ends, tabs, and the joiners of scripts and emoji. They stay in a text, and cannot hide a secret."""


def clean(block: bytes) -> bytes:
    """Return lines as a person would read them in a terminal: only the last state of a progress bar.

    Escape sequences are those of ECMA-48. A time that ends with `Z` at the start of a line stays.
    """
    if b"\x1b" in block:
        block = _ESCAPES.sub(b"", block)
    if b"\r" in block:
        block = _OVERWRITTEN.sub(rb"\1", _LINE_ENDS.sub(b"\n", block))
    block = block.translate(None, _CONTROLS)
    if not block.isascii():
        block = _C1.sub(b"", block.decode("utf-8", errors="replace").encode())
    return block


def clean_text(text: str) -> str:
    """Return a text without escape sequences and unprintable characters. Line ends, tabs and joiners stay."""
    if text.isprintable():
        return text
    if "\x1b" in text:
        text = _ESCAPES.sub(b"", text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
    return "".join(sign for sign in text if sign.isprintable() or sign in _KEPT or sign.isspace())
