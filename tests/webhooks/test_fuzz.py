"""Whatever a body holds, the answer is events or a sentence, and every text in them can be stored and shown."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st

from deploybot.domain import Event, Identity, Push
from deploybot.part_tables import SENDERS
from deploybot.webhooks.sender_port import MalformedError, Received, Sender
from deploybot.webhooks.senders import sender
from tests.kit.seeds import new_seed
from tests.webhooks.recorded import NOW, RECORDED, Recorded, kind_of

N = int(os.environ.get("N", "1000"))
SEED = new_seed()
Figure = Callable[[str], None]

JUNK: list[Any] = [
    *(None, True, False, 0, -1, 2**31, 2**70, 10**400, 1.5, -0.0, 1e308),
    *("", " ", "x", "0", "9" * 30, "²", "a\nb", "\0", "\u202e", "\ud800", "é" * 3_000, "y" * 70_000),
    *("0" * 40, "f" * 40, "f" * 39, "refs/heads/", "refs/tags/\n", "refs/heads/a b", "completed", "success", "failure"),
    *("javascript:x", "https://", "https://a b", "http://[", "sha256:" + "g" * 64, "a/b:c@d", ":", "@", "/"),
    *("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-11-20 08:11:00 UTC", "2026-02-30"),
    *([], [None], [[]], [{}], ["x", 1], {}, {"": {}}, {"id": {}}, {"name": []}),
    [{"id": "f" * 40, "message": None}] * 30,
]


def _nodes(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from _nodes(inner, (*path, key))


def _mutated(recorded: dict[str, Any], chance: random.Random) -> object:
    body = copy.deepcopy(recorded)
    for _ in range(chance.randint(1, 5)):
        path = chance.choice(list(_nodes(body)))
        if not path:
            return chance.choice(JUNK)
        *above, last = path
        inner: Any = body
        for key in above:
            inner = inner[key]
        match chance.randrange(4):
            case 0:
                del inner[last]
            case 1 if isinstance(inner, dict):
                inner[chance.choice(["name", "id", "action", "deploybot", "x"])] = inner[last]
            case _:
                inner[last] = copy.deepcopy(chance.choice(JUNK))
    return body


def _asked(caller: Sender, received: Received) -> tuple[Event, ...]:
    """All that is asked of a delivery; MalformedError is the one that may be raised."""
    assert len(caller.kind(received)) <= 64
    assert len(caller.delivery(received)) <= 64
    try:
        events = caller.events(received)
    except MalformedError as error:
        sentence = str(error)
        events = ()
    else:
        sentence = "Fine."
    assert sentence.endswith((".", "?"))
    assert len(sentence) < 400
    sentence.encode()
    for event in events:
        _sound(event)
        assert len(repr(event)) < 300_000
    return events


def _sound(value: object) -> None:
    """No text too long, none that cannot be encoded; no time that is none; identities by ids."""
    match value:
        case str():
            value.encode()
            assert "\0" not in value
            assert len(value) <= 4_096
        case tuple():
            for one in value:
                _sound(one)
        case int() | float():
            assert math.isfinite(value)
            assert -1 <= value < 1 << 63
        case Identity():
            assert value.user.isdigit() or value.platform == "bitbucket"
        case Push():
            assert len(value.commits) <= 20
    if dataclasses.is_dataclass(value):
        for one in dataclasses.fields(value):
            _sound(getattr(value, one.name))
            _fits(one.name, getattr(value, one.name))


def _fits(name: str, value: Any) -> None:  # noqa: ANN401 - of any field
    if name in {"url", "compare"}:
        assert not value or value.startswith(("https://", "http://"))
    if name in {"commit", "sha", "before", "after"}:
        assert len(value) in {0, 40, 64}


def _received(one: Recorded, body: bytes) -> Received:
    return Received(headers={name: [value] for name, value in one.headers.items()}, body=body, query={}, at=NOW)


@seed(SEED)
@settings(max_examples=N, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**64))
def _mutations(number: int) -> None:
    chance = random.Random(number)
    one = chance.choice(RECORDED)
    body = _mutated(json.loads(one.body), chance)
    _asked(sender(one.sender), _received(one, json.dumps(body).encode("utf-8", "surrogatepass")))


@seed(SEED)
@settings(max_examples=N, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(RECORDED), st.binary(max_size=200))
@example(RECORDED[0], b"")
def _bytes(one: Recorded, body: bytes) -> None:
    _asked(sender(one.sender), _received(one, body))


@seed(SEED)
@settings(max_examples=N, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(SENDERS),
    st.dictionaries(
        st.text(max_size=20),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
        ),
        max_size=4,
    ),
    st.sampled_from([kind_of(sender(one.sender), one.headers) for one in RECORDED] + ["", "\ud800", "x" * 10_000]),
)
def _anything(name: str, body: dict[str, Any], kind: str) -> None:
    caller = sender(name)
    headers = {str(getattr(caller, "kind_header", "")) or "x": [kind]}
    _asked(caller, Received(headers=headers, body=json.dumps(body).encode(), query={}, at=NOW))


def test_no_mutation_of_a_payload_breaks_a_sender(figure: Figure) -> None:
    _mutations()
    figure(f"0 of {N} mutated payloads raised anything else (seed {SEED})")


def test_no_bytes_and_no_json_break_a_sender(figure: Figure) -> None:
    _bytes()
    _anything()
    figure(f"0 of {2 * N} bodies of bytes and of any JSON raised anything else (seed {SEED})")
