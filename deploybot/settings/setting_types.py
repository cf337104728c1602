"""Building blocks of bot.toml's tables: a frozen table, a secret, a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, PrivateAttr, Strict, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from deploybot.settings.address_values import HostKey
from deploybot.settings.value_shapes import EnvName, LocalPath, one_or_many

P = TypeVar("P", bound="SettingsPart")
HostKeys = Annotated[tuple[HostKey, ...], BeforeValidator(one_or_many)]
Switch = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]


class SettingsPart(BaseModel):
    """A table of bot.toml: frozen, and an unknown key is an error. `filled` are fields that are not keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
    filled: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def known_keys(cls) -> dict[str, FieldInfo]:
        """Return the keys that bot.toml may have in this table."""
        return {field.alias or name: field for name, field in cls.model_fields.items() if name not in cls.filled}

    def table(self, kind: type[P]) -> P | None:
        """Return the table of a type, which a part of the bot adds to this one; None if bot.toml does not have it."""
        return next((value for value in vars(self).values() if isinstance(value, kind)), None)

    def needs(self, kind: type[P]) -> P:
        """Return the table of a type, which bot.toml has. Raises LookupError if it does not."""
        found = self.table(kind)
        if found is None:
            raise LookupError(f"bot.toml has no {kind.__name__}")
        return found

    def tables(self, kind: type[P]) -> Mapping[str, P]:
        """Return the named tables of a type, which a part of the bot adds to this one."""
        for value in vars(self).values():
            if isinstance(value, dict) and value and all(isinstance(one, kind) for one in value.values()):
                return value
        return {}

    def value(self, key: str) -> object:
        """Return the value of a key by its name in bot.toml."""
        return getattr(self, next((name for name, field in type(self).model_fields.items() if field.alias == key), key))


class Secret(SettingsPart):
    """A value stored outside bot.toml: in the environment (`env`) or in a file (`file`); exactly one."""

    env: EnvName | None = None
    file: LocalPath | None = None
    _value: str = PrivateAttr(default="")

    @model_validator(mode="before")
    @classmethod
    def _no_value(cls, given: object) -> object:
        if isinstance(given, dict | Secret):
            return given
        raise PydanticCustomError(
            "plain", 'is a secret, which bot.toml must not contain: write { env = "NAME" } or { file = "PATH" }'
        )

    def fill(self, value: str) -> None:
        """Set the value. Only the config calls this, once, when bot.toml is read."""
        self._value = value

    def reveal(self) -> str:
        """Return the value. Call it only where the value is used."""
        return self._value

    def __repr__(self) -> str:
        """Return the source, never the value."""
        return f"Secret({self.source})"

    __str__ = __repr__

    @property
    def source(self) -> str:
        """The source for people: `env NAME` or `file PATH`."""
        return f"env {self.env}" if self.env else f"file {self.file}"


class FileRef(SettingsPart):
    """A file that contains a key or certificate: `{ file = "PATH" }`."""

    file: LocalPath

    @model_validator(mode="before")
    @classmethod
    def _no_content(cls, given: object) -> object:
        if isinstance(given, dict | FileRef):
            return given
        raise PydanticCustomError("plain", 'should name a file: write { file = "PATH" }')
