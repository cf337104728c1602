"""The site has every page, and every link and anchor in it leads somewhere. mkdocs is not needed for this."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.site.pages import DOCS, OUTSIDE, ROOT, adapted, headings, indented, linked, slug

SOURCES = {
    **{path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*.md"))},
    **{name: ROOT / source for source, name in OUTSIDE.items() if name.endswith(".md")},
}
"""Every page by its name in the site."""
FILES = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*")} | set(OUTSIDE.values())
LIST = """\
Two things:

1. First:

   ```toml
   a = 1
     b = 2
   ```

   - nested
     goes on
   - another

2. Second
goes on without indentation.

Text.
"""
ADAPTED = """\
Two things:

1. First:

    ```toml
    a = 1
      b = 2
    ```

    - nested
        goes on
    - another

2. Second
    goes on without indentation.

Text.
"""


def _nav(entries: list[object]) -> Iterator[str]:
    for entry in entries:
        if isinstance(entry, str):
            yield entry
        elif isinstance(entry, dict):
            for value in entry.values():
                yield from _nav(value if isinstance(value, list) else [value])


def test_the_navigation_has_every_page_once() -> None:
    listed = [*_nav(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])]
    assert sorted(listed) == sorted(SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_links_of_the_site_lead_to_its_files_and_headings(name: str) -> None:
    text = re.sub(r"```.*?```|`[^`\n]+`", "", adapted(SOURCES[name], SOURCES[name].read_text()), flags=re.DOTALL)
    broken = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link and not _leads(name, link)]
    assert not broken


def _leads(name: str, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = os.path.normpath(Path(name).parent / path) if path else name
    anchors = map(slug, headings(SOURCES[target].read_text())) if target in SOURCES else ()
    return target in FILES and (not anchor or anchor in anchors)


def test_a_link_to_a_file_that_the_site_does_not_have_is_text() -> None:
    text = "[the test](../tests/test_web.py), [nothing](nothing.md), ![a picture](pictures/slack-approval.png)"
    assert linked(DOCS / "security.md", text) == (
        "the test, [nothing](nothing.md), ![a picture](pictures/slack-approval.png)"
    )


def test_links_to_pages_outside_of_docs_keep_their_anchors() -> None:
    text = "[start](../README.md#try-it), `[code](../README.md)`, [web](https://example.com)"
    assert (
        linked(DOCS / "slack.md", text)
        == "[start](start.md#try-it), `[code](../README.md)`, [web](https://example.com)"
    )
    assert linked(ROOT / "README.md", "[Slack](docs/slack.md)") == "[Slack](slack.md)"
    assert linked(DOCS / "reference" / "json.md", "[start](../../README.md)") == "[start](../start.md)"


def test_lists_are_indented_as_python_markdown_wants_them() -> None:
    assert indented(LIST) == ADAPTED


def test_a_list_below_a_paragraph_gets_an_empty_line() -> None:
    assert indented("These:\n- one\n- two\n") == "These:\n\n- one\n- two\n"
    assert indented("```\nThese:\n- one\n```\n") == "```\nThese:\n- one\n```\n"


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("What is shared by all releases", "what-is-shared-by-all-releases"),
        ("[hooks.NAME], [apps.NAME.hooks.NAME]", "hooksname-appsnamehooksname"),
        ("The JSON of `event`", "the-json-of-event"),
        ("Logs & status", "logs--status"),
    ],
)
def test_anchors_are_those_of_github(heading: str, anchor: str) -> None:
    assert slug(heading) == anchor
