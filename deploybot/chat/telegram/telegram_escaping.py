"""Text that Telegram shows exactly as it is, in HTML parse mode.

Telegram makes links of its own accord: `@name` wakes somebody, `/name` is a command that a tap sends, and so on
(https://core.telegram.org/bots/api#messageentity). Nobody who writes a commit message may do that to a channel, so
an invisible sign (U+2060) is put where such a link would begin. In code, where nothing is linked, there is none.
"""

from __future__ import annotations

import html
import re

from deploybot.chat.console.terminal_text import clean

JOINER = "\u2060"
LONGEST = 4096
"""How much text a message may have, in UTF-16 code units, after its markup was read."""

_LINKS = re.compile(
    r"""
    (?<!\w) @ (?=\w)                                    # @name
    | (?<![\w/<>]) / (?=[A-Za-z0-9_]+ (?![\w/<>]))      # /command, but not /srv/shop
    | \# (?=\w* [^\W\d_])                               # #tag, but not #42
    | (?<![$\w]) \$ (?=[A-Z1])                          # $TAG
    | (?<!\w) \+ (?=\d)                                 # +49 30 …
    | :// (?=\S)                                        # https://…
    | (?<=\d) \. (?= \d{1,3} \. \d{1,3} \. \d{1,3} (?!\d))    # 203.0.113.10
    | (?<=\S) \. (?= [^\W\d_]{2} )                      # example.com
    """,
    re.VERBOSE,
)


def units(text: str) -> int:
    """The length of a text as Telegram counts it."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def unlinked(text: str) -> str:
    """Clean text of which Telegram makes no link."""
    return _LINKS.sub(lambda match: match[0] + JOINER, clean(text))


def escaped(text: str) -> str:
    """Text for HTML parse mode, whose only special characters these are."""
    return html.escape(text, quote=False)


def anchor(html_text: str, url: str) -> str:
    """HTML that leads to a page; `url` has passed `card.web_url`, or is made of a number."""
    return f'<a href="{html.escape(url)}">{html_text}</a>'


def literal(text: str) -> str:
    """Any text, ready for HTML parse mode."""
    return escaped(unlinked(text))


def cut(text: str, room: int) -> str:
    """The beginning of a text, at most `room` units of it; `…` stands for the rest."""
    if units(text) <= room:
        return text
    most = max(room - 1, 0)
    kept = text[:most].encode("utf-16-le", "surrogatepass")[: 2 * most].decode("utf-16-le", "ignore")
    whole, gap, _ = kept.rpartition(" ")
    return f"{(whole if gap and len(whole) > len(kept) // 2 else kept).rstrip()}…"
