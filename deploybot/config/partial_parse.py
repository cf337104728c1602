"""Reads what it can of a file with mistakes, so that all mistakes are found in one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from deploybot.config.config_tables import held
from deploybot.settings import SettingsPart

P = TypeVar("P", bound=SettingsPart)


def draft(part: type[P], table: object, context: Mapping[str, str]) -> P:
    """Parse a part. Invalid values get their default, or an empty value if they have none.

    Use the result only to look for further problems. Checks on it ask `if app.directory`, never `is None`.
    """
    try:
        return part.model_validate(table, context=dict(context))
    except ValidationError:
        given = table if isinstance(table, dict) else {}
    values = {
        name: _value(field, given[key], context) if (key := field.alias or name) in given else _nothing(field)
        for name, field in part.model_fields.items()
    }
    return part.model_construct(_fields_set=values.keys() & given.keys(), **values)


def _value(field: FieldInfo, value: Any, context: Mapping[str, str]) -> Any:  # noqa: ANN401  as the file has it
    if found := held(field.annotation):
        part, many = found
        if not isinstance(value, dict):
            return _nothing(field)
        return {key: draft(part, one, context) for key, one in value.items()} if many else draft(part, value, context)
    annotation: Any = field.annotation
    adapter = TypeAdapter[Any](Annotated[annotation, *field.metadata] if field.metadata else annotation)
    if isinstance(value, dict) and get_origin(annotation) is dict:
        items = (_checked(adapter, {name: one}, context, {}) for name, one in value.items())
        return {name: one for item in items for name, one in item.items()}
    return _checked(adapter, value, context, _nothing(field))


def _checked(adapter: TypeAdapter[Any], value: object, context: Mapping[str, str], otherwise: Any) -> Any:  # noqa: ANN401  pydantic gives what the adapter is for
    try:
        return adapter.validate_python(value, context=dict(context))
    except ValidationError:
        return otherwise


def _nothing(field: FieldInfo) -> Any:  # noqa: ANN401  a default of any type
    """Return the default, or an empty value of the right type."""
    if not field.is_required():
        return field.get_default(call_default_factory=True)
    return {tuple: (), dict: {}}.get(get_origin(field.annotation) or str, "")
