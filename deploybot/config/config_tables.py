"""The tables of bot.toml, derived from the models: for suggestions, and for tests of the example and the docs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, get_args, get_origin

from deploybot.config.config_errors import Path
from deploybot.config.whole_settings import whole_settings
from deploybot.settings import SettingsPart

ANY = "NAME"


def held(annotation: Any) -> tuple[type[SettingsPart], bool] | None:  # noqa: ANN401  an annotation can be anything
    """Return the table type of a key and whether the key has many of them by name; None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, SettingsPart):
        return annotation, False
    many = get_origin(annotation) is dict
    inner = get_args(annotation)[1:] if many else get_args(annotation)
    for argument in inner:
        if found := held(argument):
            return found[0], many or found[1]
    return None


@cache
def tables() -> tuple[tuple[tuple[str, ...], type[SettingsPart]], ...]:
    """Return every table with its path. `NAME` in a path is any name: `apps.NAME.environments.NAME`."""
    return tuple(_below((), whole_settings()))


def _below(path: tuple[str, ...], part: type[SettingsPart]) -> Iterator[tuple[tuple[str, ...], type[SettingsPart]]]:
    yield path, part
    for key, field in part.known_keys().items():
        if found := held(field.annotation):
            inner, many = found
            yield from _below((*path, key, ANY) if many else (*path, key), inner)


def table_at(path: Path) -> type[SettingsPart] | None:
    """Return the table at a path of the file, or None."""
    for pattern, part in tables():
        if len(pattern) == len(path) and all(want in (ANY, got) for want, got in zip(pattern, path, strict=True)):
            return part
    return None


def within(part: SettingsPart, path: Path = ()) -> Iterator[tuple[Path, SettingsPart]]:
    """Yield a part and all parts inside it, with their paths."""
    yield path, part
    for key in type(part).known_keys():
        value = part.value(key)
        inner = value.items() if isinstance(value, dict) else [(None, value)]
        for name, one in inner:
            if isinstance(one, SettingsPart):
                yield from within(one, (*path, key) if name is None else (*path, key, name))
