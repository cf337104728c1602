"""Read a typed message before any grammar: is it for the bot, is it acceptable, and which words does it have.

Phones turn `--` into a dash and quotes into curly ones. Both are read as the originals. What people paste keeps its
marks: code, bold, quotes, links. They are removed where they cannot be meant.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

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
_PAIRS = {"`": "`", "*": "*", "_": "_", "~": "~", "«": "»", "»": "«", "„": "“"} | dict.fromkeys('"“”', '"“”')
_PAIRS |= dict.fromkeys("'\u2018\u2019", "'\u2018\u2019")
_LEAD = re.compile(r"\A(?:[>$]\s+)+")
_LINK = re.compile(r"\[(?P<text>[^\]\s]+)\]\(https?://[^)\s]+\)|<https?://[^>|\s]+\|(?P<label>[^>\s]+)>")
_CITES = frozenset({">", "$", *_DOUBLE, *_SINGLE})
_STOPS = ".!;"
_FIRST_WORD = re.compile(r"(?P<word>[^\s@]+)(?:@(?P<bot>[A-Za-z0-9_]+))?(?=\s|\Z)")


@dataclass(frozen=True, slots=True)
class Addressed:
    """A message without the bot's name and prefix. `addressed` is whether it had one of them.

    `cited` is whether it was in quotes, or behind `>` or `$`: such a message may only cite a command.
    """

    text: str
    addressed: bool
    cited: bool = False


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


def strip_mention(text: str, names: Collection[str]) -> Addressed | None:
    """Strip mention, slash and exclamation mark. Return None for a command that names another bot.

    `names` are the bot's names in lower case. It reads `@deploybot status`, `/status@deploybot` and `!status`.
    """
    rest, addressed = _unmarked(text), False
    cited = text.strip()[:1] in _CITES
    first = rest.split(maxsplit=1)
    if first and first[0].rstrip(":,").removeprefix("@").lower() in names:
        rest, addressed = _unmarked(first[1] if len(first) > 1 else ""), True
    if rest[:1] in {"/", "!"}:
        rest, addressed = rest[1:].lstrip(), True
        named = _FIRST_WORD.match(rest)
        if named and named["bot"]:
            if named["bot"].lower() not in names:
                return None
            rest = named["word"] + rest[named.end() :]
    return Addressed(rest, addressed, cited)


def find_mention(text: str, names: Collection[str]) -> Addressed | None:
    """Return the part of a message behind the bot's name, or before it if the message ends with it.

    It reads `please @deploybot status`, and `status @deploybot`. Return None if the name is not among the words.
    """
    words = [*re.finditer(r"\S+", _unmarked(text))]
    for number, word in enumerate(words):
        if word[0].lower() == "because":
            return None
        if word[0].startswith("@") and word[0].rstrip(":,").removeprefix("@").lower() in names:
            rest = word.string[word.end() :] if number < len(words) - 1 else word.string[: word.start()]
            return Addressed(_unmarked(rest), addressed=True)
    return None


def _unmarked(text: str) -> str:
    """Return a message without the marks around all of it, around its first word, and around links."""
    rest = _LINK.sub(lambda found: found["text"] or found["label"], _LEAD.sub("", text.strip(), count=1))
    while (inner := _inside(rest)) != rest:
        rest = inner
    first, *_ = rest.split(maxsplit=1) or [""]
    more = rest[len(first) :]
    while (inner := _inside(first)) != first:
        first = inner
    if not more and len(first) > 1 and first[-1] in f"{_STOPS}?":
        first = first[:-1]
    return f"{first}{more}"


def _inside(text: str) -> str:
    """Return the text inside one pair of marks; the same text if it is not within one pair."""
    closing = _PAIRS.get(text[:1], "")
    closing, inner = _PAIRS.get(text[:1], ""), text[1:-1]
    if not inner or not closing or text[-1] not in closing:
        return text
    marks = {text[0], text[-1]}
    return text if marks & set(inner.strip("".join(marks))) else inner.strip()


def without_stop(token: Token) -> str:
    """Return a word without the full stop that ends a sentence. No name, number or ref ends with one."""
    return token.text[:-1] if len(token.text) > 1 and token.text[-1] in _STOPS and not token.quoted else token.text


def _quoted(text: str, start: int) -> Token:
    closing = _CLOSING[text[start]]
    end = next((at for at in range(start + 1, len(text)) if text[at] in closing), -1)
    if end < 0:
        raise UserError(
            f"The quote that starts at `{text[start : start + 20]}` is not closed.",
            hint="Close it, or remove it: only text with spaces needs quotes.",
        )
    inner = text[start + 1 : end]
    # A word in code marks is the word itself. Only quotes make a text of it.
    is_word = text[start] == "`" and bool(inner) and not any(map(str.isspace, inner))
    if is_word and (end + 1 == len(text) or text[end + 1].isspace()):
        return replace(_bare(inner, 0), start=start, end=end + 1)
    return Token(inner, start, end + 1, quoted=True)


def _bare(text: str, start: int) -> Token:
    end = next((at for at in range(start, len(text)) if text[at].isspace()), len(text))
    word = _HYPHEN.sub("-", _LONG_DASH.sub("--", text[start:end])).replace("`", "")
    if len(word) > len("**") and word[0] == word[-1] == "*":
        word = word.strip("*")
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
            tokens[-1] = _without_comma(tokens[-1])
            return Words(text, tuple(tokens), " ".join(text[token.end :].split()), _end(tokens))
        tokens.append(token)
        at = token.end
    return Words(text, tuple(tokens), None, _end(tokens))


def _without_comma(token: Token) -> Token:
    """Return the word before `because` without a comma: `to staging, because …`."""
    text = token.text[:-1]
    return (
        replace(token, text=text, end=token.end - 1)
        if token.text.endswith(",") and text and not token.quoted
        else token
    )


def _end(tokens: Sequence[Token]) -> int:
    """Return where the command ends: what is inserted there comes before a full stop."""
    return tokens[-1].end - (without_stop(tokens[-1]) != tokens[-1].text) if tokens else 0
