"""Read a typed message before any grammar: is it for the bot, is it acceptable, and which words does it have.

Phones turn `--` into a dash and quotes into curly ones. Both are read as the originals.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

from deploybot.errors import UserError

LONGEST = 4000
"""The maximum length of a message, in characters."""

_SPACE = "\t\n\r\u0085\u2028\u2029"
_JOINERS = "\u200c\u200d"
_DOUBLE = '"“”„«»'
_SINGLE = "'\u2018\u2019"
_CLOSING = {"`": "`"} | dict.fromkeys(_DOUBLE, _DOUBLE) | dict.fromkeys(_SINGLE, _SINGLE)
_LONG_DASH = re.compile("^[\u2012-\u2015](?=[A-Za-z])")
_HYPHEN = re.compile("[\u2010\u2011\u2212]")
_FIRST_WORD = re.compile(r"(?P<word>[^\s@]+)(?:@(?P<bot>[A-Za-z0-9_]+))?(?=\s|\Z)")


@dataclass(frozen=True, slots=True)
class Addressed:
    """A message without the bot's name and prefix. `addressed` tells whether it had one of them."""

    text: str
    addressed: bool


@dataclass(frozen=True, slots=True)
class Token:
    """One word, its position in the text, and whether it was quoted (then it is never a keyword)."""

    text: str
    start: int
    end: int
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """A message split into words. `reason` is the text after `because`, None without that word.

    `end` is the position where the command ends, before ` because …`.
    """

    text: str
    tokens: tuple[Token, ...]
    reason: str | None
    end: int


def clean(text: str) -> str:
    """Return the text unchanged. Raise UserError if it is too long or has invisible characters."""
    if len(text) > LONGEST:
        raise UserError(
            f"Your message has {len(text):,} characters; I read up to {LONGEST:,}.",
            hint="Leave out what the command does not need.",
        )
    for sign in text:
        if sign not in _SPACE and sign not in _JOINERS and unicodedata.category(sign) in {"Cc", "Cf", "Cs"}:
            raise UserError(
                f"Your message has an invisible character (U+{ord(sign):04X}), so I ignored it.",
                hint="Type it again by hand, or paste it as plain text.",
            )
    return text


def hear(text: str, names: Collection[str]) -> Addressed | None:
    """Strip mention, slash and exclamation mark. Return None for a command that names another bot.

    `names` are the bot's names in lower case. It reads `@deploybot status`, `/status@deploybot` and `!status`.
    """
    rest = text.strip()
    if len(rest) > 1 and rest[0] == rest[-1] == "`":
        rest = rest.strip("`").strip()
    addressed = False
    first = rest.split(maxsplit=1)
    if first and first[0].rstrip(":,").removeprefix("@").lower() in names:
        rest, addressed = (first[1] if len(first) > 1 else ""), True
    if rest[:1] in {"/", "!"}:
        rest, addressed = rest[1:].lstrip(), True
        named = _FIRST_WORD.match(rest)
        if named and named["bot"]:
            if named["bot"].lower() not in names:
                return None
            rest = named["word"] + rest[named.end() :]
    return Addressed(rest, addressed)


def _quoted(text: str, start: int) -> Token:
    closing = _CLOSING[text[start]]
    end = next((at for at in range(start + 1, len(text)) if text[at] in closing), -1)
    if end < 0:
        raise UserError(
            f"The quote that starts at `{text[start : start + 20]}` is not closed.",
            hint="Close it, or remove it: only text with spaces needs quotes.",
        )
    return Token(text[start + 1 : end], start, end + 1, quoted=True)


def _bare(text: str, start: int) -> Token:
    end = next((at for at in range(start, len(text)) if text[at].isspace()), len(text))
    word = _HYPHEN.sub("-", _LONG_DASH.sub("--", text[start:end]))
    return Token(word, start, end)


def split(text: str) -> Words:
    """Split a message into words. Raise UserError for a quote that is not closed."""
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        token = _quoted(text, at) if text[at] in _CLOSING else _bare(text, at)
        if tokens and not token.quoted and token.text.lower().rstrip(":,") == "because":
            return Words(text, tuple(tokens), " ".join(text[token.end :].split()), tokens[-1].end)
        tokens.append(token)
        at = token.end
    return Words(text, tuple(tokens), None, tokens[-1].end if tokens else 0)
