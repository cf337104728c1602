"""What each key of the bot's JSON means, for docs/reference/json.md. A key that is not here fails a test."""

from __future__ import annotations

from collections.abc import Mapping

_TONE = "`plain`, `ask`, `busy`, `good`, `warn`, `bad` or `unknown`"
_LITERAL = "literal text, without markup"

KEYS: Mapping[str, Mapping[str, str]] = {
    "card": {
        "message": "the id of the message",
        "card": "what the message shows",
        "request": "the request that it answers; empty for a message of the channel",
        "edit": "true: it replaces the earlier card with the same `message`",
    },
    "done": {
        "type": "the kind of this object",
        "request": "the request that ended",
        "ok": "whether the command succeeded",
        "exit": "the [exit code](exit-codes.md) of this command",
    },
    "Card": {
        "title": "the first line",
        "key": "what the card is about, such as `deployment:42`; empty if it is never edited",
        "tone": _TONE,
        "text": f"a paragraph; {_LITERAL}",
        "lines": "the body, line by line",
        "table": "a table",
        "code": "lines in a fixed-width font, such as a log",
        "buttons": "commands that fit now",
        "files": "files on the bot's machine",
        "links": "pages for people",
        "footer": "a line at the end",
        "hint": "what to do about a problem",
        "private": "true: only the person who asked sees it",
        "stream": "true: `code` has only the new lines",
        "final": "false: an edit follows",
        "ok": "false: the command failed",
        "queued": "true: the message is also sent to the channels",
        "aside": "true: another card shows the same to everyone",
        "wakes": "people who are mentioned",
        "notification": "true: the message is about an event",
        "times": "the times in its texts, which chats show in the reader's zone",
        "picks": "whether the buttons pick the next part of a command",
        "listing": "a long list that chats attach as a file",
        "details": "lines that chats fold away until somebody opens them",
    },
    "Line": {
        "name": "the name of the line, such as a server",
        "text": _LITERAL,
        "tone": _TONE,
        "url": "a page about it",
    },
    "Table": {
        "columns": "the heads of the columns",
        "rows": "the rows, each a list of cells",
        "tones": "the tone of each row, in the same order",
        "narrow": "the essentials in lines of at most 40 columns",
    },
    "Button": {
        "label": "the text of the button",
        "command": "the command that it runs",
        "danger": "true: chats ask for confirmation or use a warning colour",
        "asks": "a question; the answer is added to the command after `because`",
        "primary": "true: the button that the card is about",
        "asks_code": "true: the answer is a one-time code, and is added after `code`",
    },
    "File": {"path": "the path on the bot's machine", "name": "the name for people"},
    "Link": {"text": "the words of the link", "url": "an http or https address"},
    "Mention": {"identity": "the account", "name": "the name for people"},
    "Moment": {"text": "the words that the texts have", "at": "the time, in seconds since the epoch"},
    "Identity": {
        "platform": "`console`, `slack`, `telegram` or a forge",
        "user": "the id of the account on that platform",
        "team": "the Slack workspace; empty elsewhere",
    },
    "check": {
        "ok": "whether nothing failed",
        "problems": "what is wrong in bot.toml; then `rows` is empty",
        "hints": "what bot.toml writes in an old form, and the new form",
        "rows": "what was checked",
    },
    "Row": {
        "subject": "what was checked, such as `server web1`",
        "what": "the check, such as `SSH`",
        "state": "the result",
        "says": "what was found",
        "fix": "what to do, if it failed",
    },
    "audit": {
        "number": "the number of the row, from 1",
        "at": "seconds since 1970",
        "actor": "who did it",
        "action": "what was done",
        "subject": "to what",
        "detail": "more about it",
        "previous": "the hash of the row before",
        "hash": "SHA-256 over this row and `previous`",
    },
}
"""Descriptions by section and key."""
