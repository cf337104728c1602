"""docs/webhooks.md says what is."""

from __future__ import annotations

import json
import re

import pytest

from deploybot.domain import BuildState
from deploybot.part_tables import SENDERS
from deploybot.webhooks.sender_port import Received
from deploybot.webhooks.senders import event, sender
from tests.webhook_page import PAGE, page

TEXT = PAGE.read_text()


def test_what_to_click_is_as_the_senders_say() -> None:
    assert page() == TEXT, "run python -m tests.webhook_page"


def test_every_sender_has_a_row() -> None:
    assert re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE) == [*SENDERS]


def test_the_schema_has_the_keys_that_are_taken() -> None:
    found = re.search(r"```json\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    schema = json.loads(found[1])
    build = schema["properties"]["build"]["properties"]
    assert {*schema["properties"]} == {*event.KEYS}
    assert {*build} == {*event.BUILD_KEYS}
    assert tuple(schema["properties"]["tone"]["enum"]) == event.TONES
    assert build["state"]["enum"] == [*BuildState]


@pytest.mark.parametrize("body", re.findall(r"-d '(\{.*?\})'\n", TEXT.partition("## What to click")[0], re.DOTALL))
def test_what_is_to_be_pasted_is_taken(body: str) -> None:
    assert sender("event").events(Received(headers={}, body=body.encode(), query={}))
