"""Read a usage string as a grammar: `deploy <app>[@<ref>] [to <env>[/<servers>]] [--dry-run]`.

    usage = name {part} {"[" part {part} "]"} ["because …"]
    part  = word | cell
    cell  = "<" parameter ">" {sign "<" parameter ">" | "[" sign "<" parameter ">" "]"}
    sign  = "@" | "/"

Parts outside brackets come in this order. Groups in brackets are optional and come in any order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_PARAMETER = r"<[a-z][a-z_]*>"
_WORD = r"-{0,2}[a-z][a-z-]*"
_CELL = rf"{_PARAMETER}(?:\[[@/]{_PARAMETER}\]|[@/]{_PARAMETER})*"
_PARTS = rf"(?:{_CELL}|{_WORD})(?: (?:{_CELL}|{_WORD}))*"
_BECAUSE = " because …"
_USAGE = re.compile(rf"(?P<name>[a-z][a-z-]*)(?: (?P<required>{_PARTS}))?(?P<groups>(?: \[{_PARTS}\])*)")
_GROUP = re.compile(rf" \[({_PARTS})\]")
_GLUED = re.compile(r"(?P<open>\[)?(?P<sign>[@/])<(?P<name>[a-z_]+)>\]?")


@dataclass(frozen=True, slots=True)
class Glued:
    """A parameter that is joined to the one before by a sign."""

    sign: str
    name: str
    optional: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """Parameters that are typed as one word."""

    name: str
    glued: tuple[Glued, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all its parameters."""
        return (self.name, *(part.name for part in self.glued))


Part = str | Cell


@dataclass(frozen=True, slots=True)
class Group:
    """An optional group. One that does not begin with a word is recognised by its value."""

    parts: tuple[Part, ...]

    @property
    def word(self) -> str:
        """Return the word it begins with; empty if none."""
        return self.parts[0] if isinstance(self.parts[0], str) else ""

    @property
    def is_word(self) -> bool:
        """Return whether it is only a word, such as `--dry-run`."""
        return len(self.parts) == 1 and bool(self.word)


@dataclass(frozen=True, slots=True)
class Grammar:
    """A whole usage string. `wants_reason` means that `because …` is required."""

    name: str
    required: tuple[Part, ...]
    groups: tuple[Group, ...]
    wants_reason: bool = False

    def cells(self) -> Iterator[tuple[Cell, Group | None]]:
        """Yield each cell with its group, None for a required cell."""
        yield from ((part, None) for part in self.required if isinstance(part, Cell))
        yield from ((part, group) for group in self.groups for part in group.parts if isinstance(part, Cell))


def _part(text: str) -> Part:
    if not text.startswith("<"):
        return text
    first, _, rest = text[1:].partition(">")
    glued = (Glued(found["sign"], found["name"], optional=bool(found["open"])) for found in _GLUED.finditer(rest))
    return Cell(first, tuple(glued))


def _parts(text: str | None) -> tuple[Part, ...]:
    return tuple(_part(word) for word in text.split(" ")) if text else ()


def read_usage(usage: str) -> Grammar:
    """Read a usage string. Raise ValueError with the expected form if it can't be read."""
    wants_reason = usage.endswith(_BECAUSE)
    match = _USAGE.fullmatch(usage.removesuffix(_BECAUSE))
    if match is None:
        raise ValueError(
            f"the usage `{usage}` cannot be read: write words, <parameters>, [optional groups] last, "
            "with one space between them; join parameters with @ or /, as in `deploy <app>[@<ref>] [to <env>]`"
        )
    groups = tuple(Group(_parts(group)) for group in _GROUP.findall(match["groups"]))
    grammar = Grammar(match["name"], _parts(match["required"]), groups, wants_reason)
    _check_words(grammar)
    return grammar


def _check_words(grammar: Grammar) -> None:
    words = [group.word for group in grammar.groups if group.word]
    if twice := next((word for word in words if words.count(word) > 1), None):
        raise ValueError(f"two groups of the usage begin with `{twice}`: it would be ambiguous")
    if "because" in words:
        raise ValueError("`because` needs no group: every command accepts it, and ` because …` at the end requires it")
