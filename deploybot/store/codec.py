"""Convert frozen dataclasses to canonical JSON and back, exactly: `decode(type(x), encode(x)) == x`.

It supports the domain's types: text, whole and decimal numbers, truth values, enums, tuples, dataclasses, a choice of
dataclasses that differ in their required fields, and any of them or None. Canonical means sorted keys, no spaces, ASCII
only, no NaN. A field missing in an old text gets its default; an unknown key is ignored.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import TypeVar, Union, cast, get_args, get_origin, get_type_hints

from deploybot.errors import StoreError

T = TypeVar("T")
_Decoder = Callable[[object], object]


@functools.cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def _fields(value: object) -> dict[str, object]:
    """Return a dataclass's fields; called by json for types that it does not know."""
    if isinstance(value, type) or not dataclasses.is_dataclass(value):
        raise TypeError(f"{type(value).__name__} cannot be stored in the database")
    kind = cast("Hashable", type(value))
    return {name: getattr(value, name) for name in _names(kind)}


encode: Callable[[object], str] = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), allow_nan=False, check_circular=False, default=_fields
).encode
"""Return the canonical JSON of a value. Raises TypeError for unknown types, ValueError for NaN and infinity."""


def decode(kind: type[T], text: str) -> T:
    """Return the value of this type from a text of `encode`. Raises StoreError if the text does not match."""
    decoder = _decoder(cast("Hashable", kind))
    try:
        return cast("T", decoder(json.loads(text)))
    except (ValueError, TypeError) as error:
        raise StoreError(f"a row of the database does not hold a {kind.__name__} as it should: {error}") from error


@functools.cache
def _decoder(kind: object) -> _Decoder:
    origin = get_origin(kind)
    if origin is tuple:
        return _tuple(get_args(kind))
    if origin in {UnionType, Union}:
        return _union(get_args(kind))
    if isinstance(kind, type):
        if dataclasses.is_dataclass(kind):
            return _dataclass(kind)
        if issubclass(kind, enum.Enum):
            return kind
        if kind in {str, int, float, bool}:
            return _scalar(kind)
    raise TypeError(f"the codec does not know {kind}")


def _scalar(kind: type) -> _Decoder:
    # A whole number in a decimal field stays whole: 60 and 60.0 are equal, but their JSON, and so a digest, is not.
    allowed = {float, int} if kind is float else {kind}

    def scalar(value: object) -> object:
        if type(value) not in allowed:
            raise TypeError(f"{value!r} is no {kind.__name__}")
        return value

    return scalar


def _union(kinds: tuple[object, ...]) -> _Decoder:
    some = [kind for kind in kinds if kind is not NoneType]
    inner = _decoder(some[0]) if len(some) == 1 else _choice(some)
    return inner if len(some) == len(kinds) else lambda value: None if value is None else inner(value)


def _choice(kinds: Sequence[object]) -> _Decoder:
    """Return a decoder for the dataclass whose required fields are all there, the one with the most of them."""
    classes = [kind for kind in kinds if isinstance(kind, type) and dataclasses.is_dataclass(kind)]
    inner = {_required(kind): _dataclass(kind) for kind in classes}
    if len(inner) != len(kinds):
        raise TypeError(f"the codec knows only dataclasses with different required fields as a choice, not {kinds}")

    def choice(value: object) -> object:
        fits = [names for names in inner if isinstance(value, Mapping) and names <= value.keys()]
        best = [names for names in fits if len(names) == max(map(len, fits))]
        if len(best) != 1:
            raise TypeError(f"{value!r} is none of {', '.join(one.__name__ for one in classes)}")
        return inner[best[0]](value)

    return choice


def _required(kind: type) -> frozenset[str]:
    """Return the names of the fields without a default."""
    missing = dataclasses.MISSING
    found = dataclasses.fields(kind)
    return frozenset(one.name for one in found if one.default is missing and one.default_factory is missing)


def _tuple(kinds: tuple[object, ...]) -> _Decoder:
    if kinds[1:] == (Ellipsis,):
        each = _decoder(kinds[0])
        return lambda value: tuple(map(each, _list(value)))
    inner = tuple(map(_decoder, kinds))
    return lambda value: tuple(one(item) for one, item in zip(inner, _list(value), strict=True))


def _list(value: object) -> Iterable[object]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _dataclass(kind: type) -> _Decoder:
    hints = get_type_hints(kind)
    inner = {name: _decoder(hints[name]) for name in _names(kind)}

    def build(value: object) -> object:
        if not isinstance(value, Mapping):
            raise TypeError(f"{value!r} is no {kind.__name__}")
        return kind(**{name: one(value[name]) for name, one in inner.items() if name in value})

    return build
