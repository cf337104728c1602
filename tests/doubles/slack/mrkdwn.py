"""What a person sees of a message, and whom it wakes: Slack's markup and blocks, read as Slack reads them; pure.

docs.slack.dev/messaging/formatting-message-text: `<…>` is a link or a mention, `*`, `_`, `~` and backticks format,
and `&amp;`, `&lt;`, `&gt;` are the three characters that would otherwise be markup. Text in rich text is literal.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.doubles.timeline import Press

Json = dict[str, Any]

EMOJI = {
    "white_check_mark": "✅",
    "hourglass_flowing_sand": "⏳",
    "warning": "⚠️",
    "x": "❌",
    "grey_question": "❔",
}
_CODE = re.compile(r"(```[\s\S]+?```|`[^`\n]+`)")
_ANGLE = re.compile(r"<([^<>]+)>")
_BARE = re.compile(r"(?<![\w@])@(channel|here|everyone)\b")
_URL = re.compile(r"\bhttps?://[^\s<>|]+")
_STYLES = (("*", "b"), ("_", "i"), ("~", "s"))


@dataclass(slots=True)
class Seen:
    """Text without markup, the same as HTML, and whom it wakes. `styled` lists what markup made of it: bold, links.

    `links` are those that were asked for by a block of their own: text and address.
    """

    text: str = ""
    html: str = ""
    pings: list[str] = field(default_factory=list)
    styled: list[str] = field(default_factory=list)
    buttons: list[Press] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)

    def say(self, text: str, tag: str = "") -> None:
        """Add literal text."""
        self.text += text
        escaped = html.escape(text).replace("\n", "<br>")
        self.html += f"<{tag}>{escaped}</{tag}>" if tag and text else escaped

    def line(self) -> None:
        """Begin a new line, unless at one."""
        if self.text and not self.text.endswith("\n"):
            self.text += "\n"
        self.html += "<div></div>"


def decode(text: str) -> str:
    """The three entities as the characters they stand for."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def escape(text: str) -> str:
    """What Slack makes of the characters that a person types."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def read_blocks(blocks: Iterable[Json]) -> Seen:
    """All blocks of a message or a view."""
    seen = Seen()
    for block in blocks:
        seen.line()
        _block(seen, block)
    return seen


def read_text(text: str) -> Seen:
    """The text of a message without blocks, or of a notification."""
    seen = Seen()
    _mrkdwn(seen, text)
    return seen


def _block(seen: Seen, block: Json) -> None:  # noqa: C901, PLR0912  one case for each kind
    match block["type"]:
        case "rich_text":
            for part in block["elements"]:
                _rich(seen, part)
        case "section":
            for text in filter(None, (block.get("text"), *block.get("fields", ()))):
                _object(seen, text)
                seen.line()
        case "container":
            closed = block.get("default_collapsed", False)
            seen.html += f"<details{'' if closed else ' open'}><summary>"
            _object(seen, block["title"])
            seen.html += "</summary>"
            for child in block["child_blocks"]:
                seen.line()
                _block(seen, child)
            seen.html += "</details>"
        case "header":
            _object(seen, block["text"], "h3")
        case "context":
            for text in block["elements"]:
                _object(seen, text)
        case "actions":
            for button in block["elements"]:
                _button(seen, button)
        case "input":
            _object(seen, block["label"])
            for option in block["element"].get("options", ()):
                _button(seen, option)
        case _:
            pass


def _button(seen: Seen, button: Json) -> None:
    label, style = decode(button["text"]["text"]), button.get("style")
    seen.buttons.append(Press(label, button.get("value", ""), danger=style == "danger", primary=style == "primary"))
    seen.html += f"<button>{html.escape(label)}</button>"


def _rich(seen: Seen, part: Json) -> None:
    seen.line()
    if part["type"] == "rich_text_list":
        for item in part["elements"]:
            _rich(seen, item)
        return
    tag = "pre" if part["type"] == "rich_text_preformatted" else "span"
    seen.html += f"<{tag}>"
    for element in part["elements"]:
        _rich_element(seen, element)
    seen.html += f"</{tag}>"


def _rich_element(seen: Seen, element: Json) -> None:
    tags = {"bold": "b", "italic": "i", "code": "code", "strike": "s"}
    tag = next((tags[name] for name, on in element.get("style", {}).items() if on), "")
    match element["type"]:
        case "text":
            seen.say(element["text"], tag)
        case "date":
            seen.say(element["fallback"], tag)
        case "emoji":
            seen.say(EMOJI.get(element["name"], f":{element['name']}:"))
        case "link":
            seen.links.append((str(element.get("text") or element["url"]), element["url"]))
            seen.say(seen.links[-1][0], "u")
        case "broadcast":
            _ping(seen, f"@{element['range']}")
        case "user":
            _ping(seen, f"@{element['user_id']}")
        case "usergroup":
            _ping(seen, f"@{element['usergroup_id']}")
        case _:
            seen.say(f"#{element.get('channel_id')}")


def _object(seen: Seen, text: Json, tag: str = "") -> None:
    if text["type"] == "plain_text":
        seen.say(decode(text["text"]), tag)
    else:
        _mrkdwn(seen, text["text"], links=not text.get("verbatim"))


def _ping(seen: Seen, whom: str) -> None:
    seen.pings.append(whom)
    seen.say(whom, "mark")


def _mrkdwn(seen: Seen, text: str, *, links: bool = True) -> None:
    for number, part in enumerate(_CODE.split(text)):
        if number % 2:
            seen.styled.append(part)
            seen.say(decode(part.strip("`")), "code")
        else:
            _angles(seen, part, links=links)


def _angles(seen: Seen, text: str, *, links: bool) -> None:
    for number, part in enumerate(_ANGLE.split(text)):
        if number % 2:
            _angle(seen, part)
        else:
            if links:
                seen.pings += [f"@{found}" for found in _BARE.findall(part)]
                seen.styled += _URL.findall(part)
            seen.say(decode(_plain(seen, part)))


def _angle(seen: Seen, inside: str) -> None:
    target, _, label = inside.partition("|")
    match target[:1]:
        case "!":
            name = target[1:].partition("^")
            _ping(seen, label or f"@{name[2] or name[0]}")
        case "@":
            _ping(seen, target)
        case "#":
            seen.styled.append(target)
            seen.say(label or target)
        case _:
            seen.styled.append(target)
            seen.say(decode(label or target), "u")


def _plain(seen: Seen, text: str) -> str:
    """Without the signs that make it bold, italic or struck."""
    for sign, tag in _STYLES:
        pattern = re.compile(
            rf"(?<![\w{sign}]){re.escape(sign)}(?! )([^{sign}\n]+?)(?<! ){re.escape(sign)}(?![\w{sign}])"
        )
        seen.styled += [f"{tag}: {found}" for found in pattern.findall(text)]
        text = pattern.sub(r"\1", text)
    return text


def typed(text: str, users: dict[str, str], bot: tuple[str, str]) -> str:
    """What Slack makes of a line that a person types: mentions and links in angles, the rest escaped.

    `users` gives the ids of names, `bot` the bot's name and id.
    """
    return "".join(_typed(part, users | {bot[0]: bot[1]}) for part in re.split(r"(\s+)", text))


def _typed(word: str, users: dict[str, str]) -> str:
    mention = re.match(r"@([\w.-]*\w)", word)
    if mention and mention[1] in users:
        return f"<@{users[mention[1]]}|{mention[1]}>{escape(word[mention.end() :])}"
    if re.fullmatch(r"https?://\S+", word):
        return f"<{escape(word)}>"
    if re.fullmatch(r"[\w.+-]+@[\w-]+\.[a-z]{2,}", word):
        return f"<mailto:{word}|{word}>"
    return escape(word)


def lines(text: str) -> Iterator[str]:
    """The lines that are not empty."""
    return (line for line in text.split("\n") if line.strip())
