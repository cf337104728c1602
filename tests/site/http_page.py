"""docs/reference/http.md, made from docs/openapi.yaml, which tests/test_openapi.py compares with the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from tests.site.blocks import table
from tests.site.pages import DOCS

_INTRODUCTION = """\
# HTTP

This page is made from [openapi.yaml](../openapi.yaml), which programs can read. The bot listens only if bot.toml has
`[http]`. An address that bot.toml does not configure answers 404. For senders, see [webhooks](../webhooks.md).
Uploads are in [built files](../artifacts.md#the-protocol).
"""


def page() -> str:
    """Return the whole page."""
    tree: dict[str, Any] = yaml.safe_load((DOCS / "openapi.yaml").read_text())
    return "\n".join((_INTRODUCTION, *_paths(tree), *_parameters(tree)))


def _paths(tree: dict[str, Any]) -> Iterator[str]:
    shown: dict[str, str] = {}
    for path, item in tree["paths"].items():
        for method in ("head", "get", "post", "patch"):
            if method in item:
                name = f"{method.upper()} {path}"
                yield f"## {name}\n\n{item[method]['summary']}\n"
                responses = table(("status", "meaning"), _responses(tree, item[method]["responses"]))
                same = shown.setdefault(responses, name)
                yield responses if same == name else f"The responses are those of `{same}`.\n"


def _responses(tree: dict[str, Any], responses: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for status, response in responses.items():
        found = _resolved(tree, response)
        headers = ", ".join(f"`{name}`" for name in found.get("headers", ()))
        description = found["description"].strip()
        yield status, f"{description} Header: {headers}." if headers else description


def _parameters(tree: dict[str, Any]) -> Iterator[str]:
    yield "## Parts of the addresses\n"
    rows = []
    of_addresses = ((name, one) for name, one in tree["components"]["parameters"].items() if one["in"] == "path")
    for name, one in of_addresses:
        schema = _resolved(tree, one["schema"])
        values = ", ".join(schema["enum"]) if "enum" in schema else f"matches `{schema['pattern']}`"
        rows.append((f"`{{{name}}}`", one.get("description", ""), values))
    yield table(("part", "meaning", "values"), rows)


def _resolved(tree: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Follow a `$ref` inside of the document."""
    while "$ref" in node:
        found: Any = tree
        for key in node["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        node = found
    return node
