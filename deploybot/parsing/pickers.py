"""Offer what a command still lacks, one thing at a time: its app, its task, its environment, its deployment.

A bare command (`deploy`) is asked for everything. So is one that ends with `?` (`deploy shop ?`), which is how the
buttons of a picker continue. An offer is a complete command, or one that ends with `?` if more must be picked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploybot.command_parameters import Task
from deploybot.domain import Action, Deployment, Kind, Release
from deploybot.errors import PickError
from deploybot.parsing.command_form import Form, Parameter
from deploybot.parsing.grammar import Cell
from deploybot.parsing.message_text import Words, split
from deploybot.parsing.parameter_types import Scope
from deploybot.settings import App, Environment

MARK = "?"
_PICKED_FIRST: frozenset[object] = frozenset({App, Deployment})
MOST_PICKS = 24
"""The most names that a picker offers. Others are typed."""
OFFERS: frozenset[str] = frozenset({Kind.ROLLBACK})
"""Commands that ask a person who types only the app for the rest. Otherwise, a default would decide what goes back."""
_QUESTIONS: Mapping[object, str] = {
    App: "Which app?",
    Environment: "Which environment of {app}?",
    Task: "Which task of {app}?",
}


@dataclass(frozen=True, slots=True)
class Picking:
    """What the sender wants to be asked: `marked` is whether they typed `?`."""

    words: Words
    marked: bool


def picking_of(form: Form, words: Words) -> Picking | None:
    """Return the words to read if the sender wants to be asked for the rest; None for any other command."""
    first = next(iter(form.grammar.required), None)
    if not isinstance(first, Cell) or form.parameters[first.name].types[0] not in _PICKED_FIRST:
        return None
    last = words.tokens[-1]
    if last.text == MARK and not last.quoted and len(words.tokens) > 1:
        shorter = words.text[: words.tokens[-2].end] + words.text[words.end :]
        return Picking(split(shorter), marked=True)
    return Picking(words, marked=False) if len(words.tokens) == 1 else None


def changes(form: Form) -> bool:
    """Return whether a command does more than read."""
    return form.command.needs not in {Action.VIEW, Action.ANYONE}


def completed(form: Form, words: Words, name: str, value: str) -> str:
    """Return the message with a parameter inserted before `because`."""
    group = next(group for cell, group in form.grammar.cells() if name in cell.names)
    lead = [part for part in group.parts if isinstance(part, str)] if group else []
    return words.text[: words.end] + " ".join(["", *lead, value]) + words.text[words.end :]


def environments(form: Form, scope: Scope) -> tuple[str, ...]:
    """Return the app's environments to choose from: those that the sender may see and that the command is about."""
    app = scope.app
    return tuple(
        name for name in scope.environments() if app and (app.environments[name].after or not form.command.after)
    )


def only_name(form: Form, parameter: Parameter, scope: Scope, kind: object = None) -> str:
    """Return the app or environment that needs no question: the only one. Return "" if there is a choice.

    `kind` is the parameter's type that is meant, by default its first.

    What changes something counts every name of bot.toml, also hidden ones: an expired role must not give the same words
    another target.
    """
    kind = kind or parameter.types[0]
    if kind is App:
        seen, every = scope.apps(), tuple(scope.settings.apps)
    elif kind is Environment and scope.app is not None:
        every = tuple(name for name, one in scope.app.environments.items() if one.after or not form.command.after)
        seen = environments(form, scope)
    else:
        return ""
    return seen[0] if len(seen) == 1 and (seen == every or not changes(form)) else ""


def question(form: Form, words: Words, parameter: Parameter, scope: Scope, names: Sequence[str]) -> PickError:
    """Return the question for a parameter, with a command for each name. There must be one."""
    mark = f" {MARK}" if _asks_more(form, parameter) or lacks_reason(form, words) else ""

    def offer(name: str) -> str:
        text = completed(form, words, parameter.name, name)
        end = len(text) - len(words.text) + words.end
        return text[:end] + mark + text[end:]

    title = _QUESTIONS[parameter.types[0]].format(app=scope.app.name if scope.app else "")
    more = f"{MOST_PICKS} of {len(names)} are shown. " if len(names) > MOST_PICKS else ""
    example = form.command.examples[0] if form.command.examples else form.command.usage
    return PickError(
        title,
        hint=f"{more}Choose one, or type the command: `{example}`.",
        choices=tuple((name, offer(name)) for name in names[:MOST_PICKS]),
    )


def with_number(form: Form, text: str, number: int) -> str:
    """Return a message with the number of a deployment. It ends with `?` if a reason has to be asked for, too."""
    words = split(text)
    name = next(one.name for one in form.parameters.values() if one.types[0] is Deployment)
    mark = f" {MARK}" if lacks_reason(form, words) else ""
    return completed(form, words, name, f"#{number}{mark}")


def lacks_reason(form: Form, words: Words) -> bool:
    """Return whether a command needs a reason and has none."""
    return form.grammar.wants_reason and not words.reason


def with_release(form: Form, text: str, app: str, ref: str) -> str:
    """Return a message, which has everything else, with a release: `deploy shop@v2 to staging`."""
    words = split(text)
    name = next(one.name for one in form.parameters.values() if one.types == (Release,))
    sign = next((one.sign for cell, _ in form.grammar.cells() for one in cell.glued if one.name == name), "")
    if not sign:
        return completed(form, words, name, ref)
    named = words.tokens[1]
    return f"{text[: named.start]}{app}{sign}{ref}{text[named.end :]}"


def _asks_more(form: Form, parameter: Parameter) -> bool:
    """Return whether something may have to be picked after a parameter."""
    names = [cell.name for cell, group in form.grammar.cells() if group is None]
    later = names[names.index(parameter.name) + 1 :] if parameter.name in names else []
    environment = any(one.found_out and one.types == (Environment,) for one in form.parameters.values())
    release = changes(form) and any(one.types == (Release,) for one in form.parameters.values())
    return bool(later) or release or (environment and parameter.types[0] is not Environment)
