"""What Slack takes and what it refuses of messages and views; pure.

Block Kit's reference gives the shapes and limits (docs.slack.dev/reference/block-kit). Where Slack is known to be
lenient, or does not say, this is not: the total of all blocks is measured as bytes of JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Json = dict[str, Any]

ALL_BLOCKS: Final = 13_200
TEXT: Final = 40_000
_MESSAGE_BLOCKS: Final = 50
_VIEW_BLOCKS: Final = 100
_SECTION: Final = 3_000
_HEADER: Final = 150
_LABEL: Final = 75
_CHILDREN: Final = 10
_VALUE: Final = 2_000
_ID: Final = 255
_TITLE: Final = 24
_METADATA: Final = 3_000
_OPTIONS: Final = 100
_OPTION_VALUE: Final = 150
_ELEMENTS: Final[Mapping[object, frozenset[str]]] = {
    "plain_text_input": frozenset({"initial_value", "multiline", "min_length", "max_length"}),
    "static_select": frozenset({"options", "initial_option", "confirm"}),
}
_STYLES: Final = frozenset({"bold", "italic", "strike", "code"})

_BLOCKS: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {
    # type: keys that must be there, keys that may be there
    "rich_text": (frozenset({"elements"}), frozenset()),
    "section": (frozenset(), frozenset({"text", "fields", "accessory", "expand"})),
    "header": (frozenset({"text"}), frozenset()),
    "context": (frozenset({"elements"}), frozenset()),
    "actions": (frozenset({"elements"}), frozenset()),
    "divider": (frozenset(), frozenset()),
    "container": (
        frozenset({"child_blocks"}),
        frozenset({"title", "rich_text_title", "subtitle", "width", "icon", "is_collapsible", "default_collapsed"}),
    ),
    "input": (frozenset({"label", "element"}), frozenset({"hint", "optional", "dispatch_action"})),
}


def check_message(payload: Json) -> Iterator[str]:
    """What is wrong with the text and blocks of a message."""
    text, blocks = payload.get("text"), payload.get("blocks")
    if text is not None and not isinstance(text, str):
        yield "text: no string"
    if not text and not blocks:
        yield "no_text"
    if isinstance(text, str) and len(text) > TEXT:
        yield f"text: {len(text)} characters, more than {TEXT}"
    # An empty list takes the blocks of a message away, says the reference of chat.update.
    if blocks is not None and blocks != []:
        yield from _all_blocks(
            blocks, _MESSAGE_BLOCKS, ("rich_text", "section", "header", "context", "actions", "divider", "container")
        )


def check_view(view: object) -> Iterator[str]:
    """What is wrong with a modal or a home tab."""
    if not isinstance(view, dict):
        yield "view: no object"
        return
    kind = view.get("type")
    if kind not in {"modal", "home"}:
        yield f"view: type {kind!r}"
    if unknown := view.keys() - {
        "type",
        "title",
        "blocks",
        "submit",
        "close",
        "private_metadata",
        "callback_id",
        "clear_on_close",
        "notify_on_close",
        "external_id",
    }:
        yield f"view: unknown {sorted(unknown)}"
    for name in ("title", "submit", "close"):
        if name in view or (name == "title" and kind == "modal"):
            yield from _text(view.get(name), f"view.{name}", _TITLE, plain=True)
    if len(str(view.get("private_metadata", ""))) > _METADATA:
        yield "view.private_metadata: too long"
    if len(str(view.get("callback_id", ""))) > _ID:
        yield "view.callback_id: too long"
    blocks = view.get("blocks")
    yield from _all_blocks(blocks, _VIEW_BLOCKS, tuple(_BLOCKS))
    inputs = [block for block in blocks or () if isinstance(block, dict) and block.get("type") == "input"]
    if inputs and kind == "modal" and "submit" not in view:
        yield "view: inputs, but no submit"


def _all_blocks(blocks: object, most: int, types: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(blocks, list) or not blocks:
        yield "blocks: no list, or an empty one"
        return
    if len(blocks) > most:
        yield f"blocks: {len(blocks)}, more than {most}"
    if len(json.dumps(blocks, ensure_ascii=False).encode()) > ALL_BLOCKS:
        yield "msg_blocks_too_long"
    names = [block["block_id"] for block in blocks if isinstance(block, dict) and "block_id" in block]
    if len(set(names)) < len(names):
        yield "blocks: one block_id twice"
    for number, block in enumerate(blocks):
        yield from _block(block, f"blocks[{number}]", types)


def _block(block: object, at: str, types: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(block, dict) or block.get("type") not in types:
        yield f"{at}: unknown type {block.get('type') if isinstance(block, dict) else block!r}"
        return
    must, may = _BLOCKS[block["type"]]
    if missing := must - block.keys():
        yield f"{at}: missing {sorted(missing)}"
        return
    if unknown := block.keys() - must - may - {"type", "block_id"}:
        yield f"{at}: unknown {sorted(unknown)}"
    if len(str(block.get("block_id", ""))) > _ID:
        yield f"{at}.block_id: too long"
    yield from _CHECKS[block["type"]](block, at)


_DATE_TOKENS = {"{date_num}", "{date_long}", "{date_long_full}", "{date}", "{time}"}
"""Some of docs.slack.dev/reference/block-kit/block-elements/date-element."""


def _rich_text(block: Json, at: str) -> Iterator[str]:
    if not block["elements"]:
        yield f"{at}: empty"
    for number, part in enumerate(block["elements"]):
        here = f"{at}.elements[{number}]"
        if part.get("type") not in {"rich_text_section", "rich_text_preformatted", "rich_text_quote", "rich_text_list"}:
            yield f"{here}: unknown type {part.get('type')!r}"
        elif unknown := part.keys() - {"type", "elements", "border", "style", "indent", "offset"}:
            yield f"{here}: unknown {sorted(unknown)}"
        elif part["type"] == "rich_text_list":
            for item in part.get("elements", ()):
                yield from _rich_elements(item, here)
        else:
            yield from _rich_elements(part, here)


def _rich_elements(part: Json, at: str) -> Iterator[str]:
    if not part.get("elements"):
        yield f"{at}: empty"
    for number, element in enumerate(part.get("elements", ())):
        yield from _rich_element(
            element, f"{at}.elements[{number}]", preformatted=part["type"].endswith("preformatted")
        )


def _rich_element(element: Json, at: str, *, preformatted: bool) -> Iterator[str]:
    needs = {
        "text": "text",
        "emoji": "name",
        "link": "url",
        "user": "user_id",
        "broadcast": "range",
        "channel": "channel_id",
        "usergroup": "usergroup_id",
        "date": "format",
    }
    kind = element.get("type")
    if kind not in needs:
        yield f"{at}: unknown type {kind!r}"
    elif not isinstance(element.get(needs[kind]), str) or not element[needs[kind]]:
        yield f"{at}.{needs[kind]}: no text, or an empty one"
    elif preformatted and kind not in {"text", "link"}:
        yield f"{at}: {kind} in preformatted text"
    elif kind == "link" and not re.fullmatch(r"https?://[^\s<>|]{1,2990}", element["url"]):
        yield f"{at}.url: no address"
    elif kind == "date" and not isinstance(element.get("timestamp"), int):
        yield f"{at}.timestamp: must provide an integer"
    elif kind == "date" and not {*re.findall(r"{[^}]*}", element["format"])} <= _DATE_TOKENS:
        yield f"{at}.format: an unknown token"
    elif len(element.get("text", "")) > _SECTION:
        yield f"{at}.text: more than {_SECTION} characters"
    if unknown := element.get("style", {}).keys() - _STYLES:
        yield f"{at}.style: unknown {sorted(unknown)}"


def _section(block: Json, at: str) -> Iterator[str]:
    if "text" not in block and not block.get("fields"):
        yield f"{at}: neither text nor fields"
    if "text" in block:
        yield from _text(block["text"], f"{at}.text", _SECTION)
    fields = block.get("fields", [])
    if len(fields) > 10:
        yield f"{at}.fields: more than 10"
    for field in fields:
        yield from _text(field, f"{at}.fields", _VALUE)


def _container(block: Json, at: str) -> Iterator[str]:
    """The reference lists more children than the server takes: these are in both lists."""
    if "title" not in block and "rich_text_title" not in block:
        yield f"{at}: no title"
    if "title" in block:
        yield from _text(block["title"], f"{at}.title", _HEADER, plain=True)
    if not 1 <= len(block["child_blocks"]) <= _CHILDREN:
        yield f"{at}: {len(block['child_blocks'])} child blocks"
    if block.get("default_collapsed") and not block.get("is_collapsible"):
        yield f"{at}: collapsed, but not collapsible"
    for number, child in enumerate(block["child_blocks"]):
        yield from _block(child, f"{at}.child_blocks[{number}]", ("section", "header", "context", "actions", "divider"))


def _header(block: Json, at: str) -> Iterator[str]:
    yield from _text(block["text"], f"{at}.text", _HEADER, plain=True)


def _context(block: Json, at: str) -> Iterator[str]:
    if not 1 <= len(block["elements"]) <= 10:
        yield f"{at}: {len(block['elements'])} elements"
    for element in block["elements"]:
        yield from _text(element, at, _SECTION)


def _actions(block: Json, at: str) -> Iterator[str]:
    elements = block["elements"]
    if not 1 <= len(elements) <= 25:
        yield f"{at}: {len(elements)} elements"
    names = [element.get("action_id") for element in elements]
    if len(set(names)) < len(names):
        yield f"{at}: one action_id twice"
    for number, element in enumerate(elements):
        yield from _button(element, f"{at}.elements[{number}]")


def _button(button: Json, at: str) -> Iterator[str]:
    if button.get("type") != "button":
        yield f"{at}: unknown type {button.get('type')!r}"
        return
    if unknown := button.keys() - {
        "type",
        "text",
        "action_id",
        "value",
        "style",
        "confirm",
        "url",
        "accessibility_label",
    }:
        yield f"{at}: unknown {sorted(unknown)}"
    yield from _text(button.get("text"), f"{at}.text", _LABEL, plain=True)
    if not 0 < len(str(button.get("action_id", ""))) <= _ID:
        yield f"{at}.action_id: none, or too long"
    if "value" in button and not 0 < len(str(button["value"])) <= _VALUE:
        yield f"{at}.value: empty or too long"
    if button.get("style", "primary") not in {"primary", "danger"}:
        yield f"{at}.style: {button['style']!r}"
    if "confirm" in button:
        yield from _confirm(button["confirm"], f"{at}.confirm")


def _confirm(confirm: Json, at: str) -> Iterator[str]:
    if unknown := confirm.keys() - {"title", "text", "confirm", "deny", "style"}:
        yield f"{at}: unknown {sorted(unknown)}"
    for name, most in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
        yield from _text(confirm.get(name), f"{at}.{name}", most, plain=True)


def _input(block: Json, at: str) -> Iterator[str]:
    yield from _text(block["label"], f"{at}.label", _VALUE, plain=True)
    if "hint" in block:
        yield from _text(block["hint"], f"{at}.hint", _VALUE, plain=True)
    element = block["element"]
    may = _ELEMENTS.get(element.get("type"), frozenset())
    if not may:
        yield f"{at}.element: unknown type {element.get('type')!r}"
    elif unknown := element.keys() - may - {"type", "action_id", "placeholder", "focus_on_load"}:
        yield f"{at}.element: unknown {sorted(unknown)}"
    if not 0 < len(str(element.get("action_id", ""))) <= _ID:
        yield f"{at}.element.action_id: none, or too long"
    if "placeholder" in element:
        yield from _text(element["placeholder"], f"{at}.placeholder", _HEADER, plain=True)
    if not 0 <= element.get("max_length", 0) <= _SECTION:
        yield f"{at}.max_length: more than {_SECTION}"
    if element.get("type") == "static_select":
        yield from _options(element.get("options"), f"{at}.options")


def _options(options: object, at: str) -> Iterator[str]:
    if not isinstance(options, list) or not 1 <= len(options) <= _OPTIONS:
        yield f"{at}: no list, or not 1 to {_OPTIONS}"
        return
    for option in options:
        if unknown := option.keys() - {"text", "value", "description"}:
            yield f"{at}: unknown {sorted(unknown)}"
        yield from _text(option.get("text"), f"{at}.text", _LABEL, plain=True)
        if not 0 < len(str(option.get("value", ""))) <= _OPTION_VALUE:
            yield f"{at}.value: empty, or longer than {_OPTION_VALUE}"


def _text(text: object, at: str, most: int, *, plain: bool = False) -> Iterator[str]:
    if not isinstance(text, dict) or text.get("type") not in ({"plain_text"} if plain else {"plain_text", "mrkdwn"}):
        yield f"{at}: no text object"
        return
    extra = {"emoji"} if text["type"] == "plain_text" else {"verbatim"}
    if unknown := text.keys() - {"type", "text"} - extra:
        yield f"{at}: unknown {sorted(unknown)}"
    said = text.get("text")
    if not isinstance(said, str) or not 0 < len(said) <= most:
        yield f"{at}: empty, or longer than {most}"


def _nothing(block: Json, at: str) -> Iterator[str]:
    del block, at
    yield from ()


_CHECKS: Final[Mapping[str, Callable[[Json, str], Iterator[str]]]] = {
    "rich_text": _rich_text,
    "section": _section,
    "container": _container,
    "header": _header,
    "context": _context,
    "actions": _actions,
    "divider": _nothing,
    "input": _input,
}
