"""Text that Telegram shows exactly as it is, in HTML parse mode.

Telegram creates links automatically: `@name` notifies a person, a tap on `/name` sends a command, and so on
(https://core.telegram.org/bots/api#messageentity). The author of a commit message must not be able to do that to a
channel. So an invisible character (U+2060) is inserted where such a link would begin. Code needs none, because nothing
is linked there.
"""

from __future__ import annotations

import html
import re

from deploybot.chat.console.terminal_text import clean

JOINER = "\u2060"
LONGEST = 4096
"""The maximum length of a message's text in UTF-16 code units, after its markup was parsed."""

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
    """Return the length of a text as Telegram counts it."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def unlinked(text: str) -> str:
    """Return clean text in which Telegram creates no links."""
    return _LINKS.sub(lambda match: match[0] + JOINER, clean(text))


def escaped(text: str) -> str:
    """Escape text for HTML parse mode, which has no other special characters."""
    return html.escape(text, quote=False)


def anchor(html_text: str, url: str) -> str:
    """Return HTML that links to a page. `url` was checked by `card.web_url`, or is made from a number."""
    return f'<a href="{html.escape(url)}">{html_text}</a>'


def literal(text: str) -> str:
    """Return any text, ready for HTML parse mode."""
    return escaped(unlinked(text))


def cut(text: str, room: int) -> str:
    """Cut a text to at most `room` units; a cut text ends with `…`."""
    if units(text) <= room:
        return text
    most = max(room - 1, 0)
    kept = text[:most].encode("utf-16-le", "surrogatepass")[: 2 * most].decode("utf-16-le", "ignore")
    whole, gap, _ = kept.rpartition(" ")
    return f"{(whole if gap and len(whole) > len(kept) // 2 else kept).rstrip()}…"
