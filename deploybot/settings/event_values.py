"""Types for values about events: images and their tags, kinds of events, hours of the week."""

from __future__ import annotations

import re
from typing import Annotated, Literal, cast, get_args

from pydantic import AfterValidator, PlainValidator

from deploybot.domain import Window, canonical_image
from deploybot.domain.image_tags import Order, TagPattern
from deploybot.domain.safe_regex import compiled
from deploybot.domain.version_ranges import Range
from deploybot.settings.address_values import leads_astray

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9-]+\.[A-Za-z0-9.-]+|localhost|[A-Za-z0-9-]+(?=:)|\[[0-9a-fA-F:]+\])(?::\d{1,5})?"
_IMAGE = re.compile(rf"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_PORT = re.compile(r":\d{1,5}$", re.ASCII)
_LONGEST = 255
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)


def is_image(name: str) -> bool:
    """Return whether it is an image repository without a tag (distribution's reference grammar)."""
    return len(name) <= _LONGEST and _IMAGE.fullmatch(name) is not None


def is_tag(text: str) -> bool:
    """Return whether it is one exact image tag."""
    return _TAG.fullmatch(text) is not None


def _image(name: str) -> str:
    if not is_image(name):
        raise ValueError('should be an image without a tag, such as "registry.example.com/acme/shop"')
    _registry(canonical_image(name).partition("/")[0])
    return name


def _registry(host: str) -> str:
    """Return a registry's host, in the form used before an image's name."""
    if not re.fullmatch(_HOST, host, re.ASCII) or leads_astray(_PORT.sub("", host).strip("[]")):
        raise ValueError('should be a host, optionally with a port, such as "registry.example.com:5000"')
    return host


def _tag(text: str) -> str:
    if not (is_tag(text) or Range.read(text)):
        raise ValueError('should be a tag such as "latest", or a range of versions such as "^1.4" or ">=1.4 <2"')
    return text


def _pattern(given: dict[str, object]) -> TagPattern:
    pattern, order = given.get("pattern"), given.get("order", "number")
    if given.keys() - {"pattern", "order"} or not isinstance(pattern, str) or not pattern:
        raise ValueError('should be { pattern = "…", order = "number" }')
    if order not in get_args(Order):
        raise ValueError('should have the order "number" or "time"')
    if len(pattern) > _LONGEST:
        raise ValueError(f"should have a pattern of at most {_LONGEST} characters")
    try:
        compiled(pattern)
    except ValueError as error:
        raise ValueError(f"should have a regular expression as its pattern ({error})") from None
    return TagPattern(pattern, cast("Order", order))


def _tag_or_pattern(given: object) -> str | TagPattern:
    if isinstance(given, TagPattern):
        return given
    if isinstance(given, dict):
        return _pattern(given)
    if not isinstance(given, str):
        raise ValueError("should be text, or a table with pattern and order")  # noqa: TRY004  pydantic's way to refuse
    return _tag(given)


EventKindName = Literal["push", "change", "tag", "release", "build", "image", "deployed", "sync", "alert", "note"]
ImageName = Annotated[str, AfterValidator(_image)]
RegistryHost = Annotated[str, AfterValidator(_registry)]
ImageTag = Annotated[str | TagPattern, PlainValidator(_tag_or_pattern)]
ShownWindow = Annotated[Window, PlainValidator(Window.read)]
