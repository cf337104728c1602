"""What may come next in a line that is being typed: for the console's Tab key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from deploybot.domain import Release
from deploybot.errors import UserError
from deploybot.parsing.form import Form
from deploybot.parsing.grammar import Cell, Part
from deploybot.parsing.kinds import KINDS, NoSuch, Scope, Unfit
from deploybot.parsing.reader import Missing, Reader
from deploybot.parsing.text import split
from deploybot.settings import Settings

_REFS = (":current", ":previous")

Candidates = tuple[int, tuple[str, ...]]


def complete(
    forms: Mapping[str, Form], line: str, settings: Settings, visible: frozenset[tuple[str, str]]
) -> Candidates:
    """How many characters at the end of the line may be replaced, and by which words.

    `line` ends where the cursor is. `visible` are the pairs of app and environment that may be named.
    """
    before, last = _cut(line)
    if not before:
        return len(last), tuple(name for name in forms if name.startswith(last.lower()))
    form = forms.get(before.split(maxsplit=1)[0].lower())
    if form is None:
        return 0, ()
    try:
        words = split(before)
    except UserError:
        return 0, ()
    reader = Reader(form, words, Scope(settings, visible))
    found = [fit for part in _expected(reader) for fit in _fits(reader, part, last)] if words.reason is None else []
    longest = min((count for count, _ in found), default=0)
    return longest, tuple(dict.fromkeys(word for count, word in found if count == longest))


def _cut(line: str) -> tuple[str, str]:
    """The words that are whole, and the one that is being typed."""
    words = line.split()
    typed = words[-1] if words and not line[-1].isspace() else ""
    return line[: len(line) - len(typed)].strip(), typed


def _expected(reader: Reader) -> tuple[Part, ...]:
    """The parts that may stand next; none where what is there cannot be read."""
    try:
        reader.required()
        reader.options()
    except Missing as missing:
        return (missing.part,)
    except (NoSuch, Unfit):
        return ()
    return tuple(group.parts[0] for group in reader.open) if reader.token is None else ()


def _fits(reader: Reader, part: Part, typed: str) -> Iterator[tuple[int, str]]:
    """The words that a part may be completed to, each with how many characters it replaces."""
    if isinstance(part, str):
        if part.startswith(typed.lower()):
            yield len(typed), part
        return
    scope = reader.fresh_scope()
    name, rest = _last_piece(reader, part, typed, scope)
    for kind in reader.form.parameters[name].types if name else ():
        names = _REFS if kind is Release else KINDS[kind].names(scope)
        yield from ((len(rest), word) for word in names if word.startswith(rest.lower()))


def _last_piece(reader: Reader, cell: Cell, typed: str, scope: Scope) -> tuple[str, str]:
    """The parameter of a cell that is being typed, and what of it; nothing where what is before cannot be read."""
    name, rest = cell.name, typed
    for glued in cell.glued:
        piece, sign, tail = rest.partition(glued.sign)
        if sign:
            try:
                KINDS[reader.form.parameters[name].types[0]].read(piece, scope)
            except UserError:
                return "", ""
            name, rest = glued.name, tail
    return name, rest.rpartition(",")[2] if reader.form.parameters[name].many else rest
