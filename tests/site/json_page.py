"""docs/reference/json.md: what `--json` and `audit export` print, by the types of the code."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter

from deploybot.chat.console import console_protocol
from deploybot.check import CheckState, Row
from deploybot.cli.check_command import row_json
from deploybot.domain import AuditRow
from tests.site.blocks import table
from tests.site.json_keys import KEYS

_INTRODUCTION = """\
# JSON output

This page is made from the code. Everything is UTF-8, with one JSON object on a line. Ignore keys that you do not know:
later versions may add some. A key with its default value is left out of messages and cards.

For the signed calls to your own addresses, see [outgoing webhooks](../monitoring.md#outgoing-webhooks). A script sends
[the JSON of `event`](../webhooks.md#the-json-of-event) to the bot.

## deploybot chat --json

The output has a `card` for each new or changed message. The last object of each command is a `done`.

```sh
deploybot chat --json -c status | jq -r 'select(.type == "card") | .card.table.rows[]? | @tsv'
```
"""
_CHECK = """\
## deploybot check --json

The output is one object.

```sh
deploybot check --json | jq '.rows[] | select(.state == "failed")'
```
"""
_AUDIT = """\
## deploybot audit export

The output has an object for each row, oldest first. Programs can follow the chain by `previous` and `hash`. The file of
`[audit]` has the same lines ([export the audit](../security.md#export-the-audit)).
"""
_CHECK_ROWS = (
    ("ok", "true or false", ""),
    ("problems", "list of texts", ""),
    ("hints", "list of texts", ""),
    ("rows", "list of Row", ""),
)
_DONE_ROWS = (
    ("type", "text", "`done`"),
    ("request", "text", ""),
    ("ok", "true or false", ""),
    ("exit", "number", ""),
)


def page() -> str:
    """Return the whole page."""
    return "\n".join((_INTRODUCTION, *_chat(), _CHECK, *_check(), _AUDIT, *_audit()))


def _chat() -> Iterator[str]:
    schema = _schema(console_protocol.Show)
    yield "### card\n"
    yield _rows("card", schema)
    yield "### done\n"
    yield _keys("done", _DONE_ROWS)
    for name in ("Card", "Line", "Table", "Button", "File", "Link", "Mention", "Identity"):
        yield f"### {name}\n"
        yield _rows(name, schema["$defs"][name])


def _check() -> Iterator[str]:
    yield _keys("check", _CHECK_ROWS)
    yield "### Row\n"
    states = _kind(_schema(Row)["$defs"][CheckState.__name__])
    made = row_json(Row("", "", CheckState.OK, ""))
    yield _keys("Row", [(name, states if name == "state" else "text", "") for name in made])


def _audit() -> Iterator[str]:
    yield _rows("audit", _schema(AuditRow))


def _schema(kind: type[Any]) -> dict[str, Any]:
    assert dataclasses.is_dataclass(kind)
    return TypeAdapter(kind).json_schema(mode="serialization")


def _rows(section: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    rows = []
    for name, one in schema["properties"].items():
        default = "" if name in required else _shown(one.get("default"))
        rows.append((name, _kind(one), default))
    return _keys(section, rows)


def _keys(section: str, rows: Any) -> str:  # noqa: ANN401 - rows of three texts, from a tuple or a list
    """A table of keys. A key without a description in json_keys.py is a KeyError: describe it there."""
    described = KEYS[section]
    return table(
        ("key", "type", "default", "meaning"),
        [(f"`{name}`", kind, default, described[name]) for name, kind, default in rows],
    )


def _shown(default: object) -> str:
    """A default value; nothing for what is empty."""
    if isinstance(default, bool):
        return str(default).lower()
    return f"`{default}`" if default else "empty"


def _kind(schema: dict[str, Any]) -> str:
    """The type of a value, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return "text" if name == "Tone" else name
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"] if one.get("type") != "null")
    if schema.get("type") == "array":
        inner = _kind(schema["items"])
        return f"list of {inner}s" if inner == "text" else f"list of {inner}"
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    return {"string": "text", "boolean": "true or false", "integer": "number", "number": "number"}[schema["type"]]
