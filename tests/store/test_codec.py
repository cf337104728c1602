"""What goes into the database comes out of it the same."""

from __future__ import annotations

import dataclasses
import enum
import json
from types import NoneType, UnionType
from typing import Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploybot.card import Card
from deploybot.domain import (
    Binding,
    Changes,
    Channel,
    Deployment,
    Grant,
    Lock,
    Plan,
    Release,
    ReleaseSource,
    Running,
    StepRow,
)
from deploybot.errors import StoreError
from deploybot.store.codec import decode, encode
from tests.any_release import SOURCES
from tests.store.examples import plan

KINDS = (Binding, Plan, Card, Deployment, StepRow, Changes, Running, Lock, Grant, Channel)
_TEXT = st.text(st.characters(codec=None), max_size=8)
_FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)


@dataclasses.dataclass(frozen=True)
class Aunt:
    name: str
    age: int = 0


@dataclasses.dataclass(frozen=True)
class Uncle:
    """It differs from an Aunt only in what may be missing."""

    name: str
    height: int = 0


_PLAIN: dict[object, st.SearchStrategy[object]] = {
    str: _TEXT,
    int: st.integers(),
    float: _FLOATS,
    bool: st.booleans(),
    ReleaseSource | None: st.none() | SOURCES,
}


def things(kind: object) -> st.SearchStrategy[object]:
    if kind in _PLAIN:
        return _PLAIN[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {UnionType, Union}:
        return st.none() | things(next(one for one in arguments if one is not NoneType))
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(things(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(things, arguments))
    assert isinstance(kind, type)
    if issubclass(kind, enum.Enum):
        return st.sampled_from(list(kind))
    assert dataclasses.is_dataclass(kind)
    hints = get_type_hints(kind)
    return st.builds(kind, **{field.name: things(hints[field.name]) for field in dataclasses.fields(kind)})


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_everything_comes_back_the_same(kind: type[object], data: st.DataObject) -> None:
    thing = data.draw(things(kind))
    text = encode(thing)
    again = decode(kind, text)
    assert again == thing
    assert type(again) is kind
    assert encode(again) == text
    assert text.isascii()


def test_equal_plans_have_one_text() -> None:
    text = encode(plan())
    assert text == json.dumps(dataclasses.asdict(plan()), sort_keys=True, separators=(",", ":"))


def test_a_whole_number_in_a_decimal_field_stays_one() -> None:
    assert encode(decode(Release, '{"source":{"commit":"c"},"committed":60}')).count('"committed":60,') == 1


def test_a_field_that_came_later_has_its_default() -> None:
    assert decode(Release, '{"source":{"commit":"c"}}') == Release.of_commit("c")


def test_a_field_that_is_gone_is_passed_over() -> None:
    assert decode(Release, '{"source":{"commit":"c","size":4},"colour":"red"}') == Release.of_commit("c")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "{}",
        '{"source":1}',
        '{"source":{"commit":null}}',
        '{"source":null,"committed":"now"}',
        '{"source":null,"committed":true}',
    ],
)
def test_a_text_that_does_not_fit_says_so(text: str) -> None:
    with pytest.raises(StoreError, match="Release"):
        decode(Release, text)


@pytest.mark.parametrize("text", ["[[1]]", '[["a","b","c"]]', '["ab"]', '{"a":"b"}'])
def test_pairs_are_pairs(text: str) -> None:
    with pytest.raises(StoreError, match="tuple"):
        decode(tuple[tuple[str, str], ...], text)


@pytest.mark.parametrize("kind", [dict[str, str], str | int, Lock | int, Aunt | Uncle, bytes, list[str]])
def test_what_the_codec_does_not_know_it_refuses(kind: type) -> None:
    with pytest.raises(TypeError, match="the codec"):
        decode(kind, "null")


@pytest.mark.parametrize(("value", "error"), [(b"", TypeError), (Release, TypeError), (float("nan"), ValueError)])
def test_what_has_no_exact_text_is_refused(value: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        encode(value)
