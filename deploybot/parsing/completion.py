"""Complete a line that is being typed, for the console's Tab key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from deploybot.domain import Action, Deployment, Release, State
from deploybot.errors import UserError
from deploybot.parsing.command_form import Form
from deploybot.parsing.grammar import Cell, Part
from deploybot.parsing.message_reader import Missing, Reader
from deploybot.parsing.message_text import split
from deploybot.parsing.parameter_types import KINDS, NoSuch, Scope, Unfit
from deploybot.parsing.pickers import environments
from deploybot.settings import Environment, Settings

_REFS = (":current", ":previous")

Candidates = tuple[int, tuple[str, ...]]


def complete(
    forms: Mapping[str, Form],
    line: str,
    settings: Settings,
    visible: frozenset[tuple[str, str]],
    deployments: Sequence[Deployment] = (),
) -> Candidates:
    """Return how many characters at the end of the line may be replaced, and by which words.

    `line` ends at the cursor. `visible` holds the pairs of app and environment that may be named. `deployments` are
    those whose numbers may be suggested: open ones, and successful ones to roll back to.
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
    reader = Reader(form, words, Scope(settings, visible), assumes=False)
    seen = [one for one in deployments if (one.plan.app, one.plan.environment) in visible]
    found = (
        [fit for part in _expected(reader) for fit in _fits(reader, part, last, seen)] if words.reason is None else []
    )
    longest = min((count for count, _ in found), default=0)
    return longest, tuple(dict.fromkeys(word for count, word in found if count == longest))


def _cut(line: str) -> tuple[str, str]:
    """Split a line into its complete words and the word that is being typed."""
    words = line.split()
    typed = words[-1] if words and not line[-1].isspace() else ""
    return line[: len(line) - len(typed)].strip(), typed


def _expected(reader: Reader) -> tuple[Part, ...]:
    """Return the parts that may come next; none if the text before can't be read."""
    try:
        reader.required()
        reader.options()
    except Missing as missing:
        return (missing.part,)
    except (NoSuch, Unfit):
        return ()
    return tuple(group.parts[0] for group in reader.open) if reader.token is None else ()


def _fits(reader: Reader, part: Part, typed: str, seen: Sequence[Deployment]) -> Iterator[tuple[int, str]]:
    """Yield the words that may complete a part, each with how many characters it replaces."""
    if isinstance(part, str):
        if part.startswith(typed.lower()):
            yield len(typed), part
        return
    scope = reader.fresh_scope()
    name, rest = _last_piece(reader, part, typed, scope)
    for kind in reader.form.parameters[name].types if name else ():
        names = KINDS[kind].names(scope)
        if kind is Release:
            names = (*_REFS, *_good(seen, scope))
        elif kind is Environment:
            names = environments(reader.form, scope)
        elif kind is Deployment:
            names = _open(seen, asked=reader.form.command.needs is Action.APPROVE)
        begins = f"#{rest}" if kind is Deployment and rest.isdigit() else rest.lower()
        yield from ((len(rest), word) for word in names if word.startswith(begins))


def _good(seen: Sequence[Deployment], scope: Scope) -> Iterator[str]:
    """Yield the numbers of deployments that the target may roll back to."""
    for one in seen:
        here = scope.environment is None or scope.environment.name == one.plan.environment
        if one.state is State.SUCCEEDED and scope.app and scope.app.name == one.plan.app and here:
            yield f"#{one.number}"


def _open(seen: Sequence[Deployment], *, asked: bool) -> tuple[str, ...]:
    """Return the numbers of deployments that have not ended; with `asked`, only those that wait for approvals."""
    return tuple(f"#{one.number}" for one in seen if (one.awaits_approval if asked else not one.state.ended))


def _last_piece(reader: Reader, cell: Cell, typed: str, scope: Scope) -> tuple[str, str]:
    """Return the parameter of a cell that is being typed and its text so far; both empty if the rest can't be read."""
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
