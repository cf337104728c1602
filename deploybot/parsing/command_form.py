"""Build the form that messages are read with: a command's grammar, checked against its signature."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deploybot.command import Command, Context, Handler
from deploybot.command_parameters import Follow, Task
from deploybot.domain import Deployment, GrantChange, Release
from deploybot.parsing.grammar import Grammar, read_usage
from deploybot.parsing.parameter_types import KINDS
from deploybot.settings import App, Environment, Server

_LEANS_ON = {Environment: App, Task: App, Server: Environment}
APP_OR_DEPLOYMENT = (App, Deployment)
_SUBJECTS = frozenset({Deployment, Follow, GrantChange})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a command. `types` are tried in order; `many` accepts several values, separated by commas.

    `optional` means that it has a default and may be left out. `absent` means that it is None for a deployment, which
    has its environment already.
    """

    name: str
    types: tuple[object, ...]
    many: bool = False
    optional: bool = False
    absent: bool = False

    @property
    def is_app_or_deployment(self) -> bool:
        """Return whether it is read as a deployment if it begins with `#`, and otherwise as an app."""
        return self.types == APP_OR_DEPLOYMENT

    @property
    def noun(self) -> str:
        """Return its name for people."""
        return " or ".join(KINDS[kind].noun for kind in self.types)

    @property
    def found_out(self) -> bool:
        """Return whether a missing value is determined later: the default environment or the newest release."""
        return not self.optional and self.types in {(Environment,), (Release,)}


@dataclass(frozen=True, slots=True)
class Form:
    """How one command is read. `flags` maps words such as `--dry-run` to the bool parameters that they set."""

    command: Command
    grammar: Grammar
    parameters: Mapping[str, Parameter]
    flags: Mapping[str, str]


def _parameter(name: str, annotation: object, *, has_default: bool) -> Parameter:
    """Read an annotation. Raise ValueError for an unsupported type."""
    union = typing.get_origin(annotation) in {types.UnionType, typing.Union}
    parts = typing.get_args(annotation) if union else (annotation,)
    kinds = tuple(part for part in parts if part is not types.NoneType)
    many = len(kinds) == 1 and typing.get_origin(kinds[0]) is tuple
    if many:
        kinds = tuple(part for part in typing.get_args(kinds[0]) if part is not Ellipsis)
    if not kinds or any(kind not in KINDS for kind in kinds):
        known = ", ".join(sorted(getattr(kind, "__name__", str(kind)) for kind in KINDS))
        raise ValueError(f"the parameter `{name}` has a type that is not supported; supported are {known} and bool")
    absent = len(kinds) < len(parts) and not has_default
    if absent and kinds != (Environment,):
        raise _lacks_default(name)
    return Parameter(name, kinds, many, optional=has_default, absent=absent)


def _lacks_default(name: str) -> ValueError:
    return ValueError(f"the parameter `{name}` accepts None: make that its default")


def _signature(run: Handler) -> Iterator[tuple[str, object, bool]]:
    """Yield name, type and whether it has a default, for each parameter after the context."""
    try:
        hints = typing.get_type_hints(run)
    except (NameError, TypeError) as problem:
        raise ValueError(f"a type of the function is unknown ({problem}): import it from deploybot") from None
    every = tuple(inspect.signature(run).parameters.values())
    if not every or hints.get(every[0].name) is not Context:
        raise ValueError("the first parameter should be `ctx: Context`")
    if not inspect.iscoroutinefunction(run):
        raise ValueError("the function should be an `async def`")
    for parameter in every[1:]:
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            raise ValueError(f"the parameter `{parameter.name}` should be a plain one that can be passed by name")
        if parameter.name not in hints:
            raise ValueError(f"the parameter `{parameter.name}` has no type")
        yield parameter.name, hints[parameter.name], parameter.default is not inspect.Parameter.empty


def _check_usage(grammar: Grammar, parameters: Mapping[str, Parameter]) -> None:
    """Check that usage and function have the same parameters, and that parameters in optional parts may be left out."""
    used: list[str] = []
    for cell, group in grammar.cells():
        away = {glued.name for glued in cell.glued if glued.optional or group} | ({cell.name} if group else set())
        used += cell.names
        for name in cell.names:
            if name not in parameters:
                raise ValueError(f"the usage has <{name}>, but the function has no parameter `{name}`")
            if name in away and not (parameters[name].optional or parameters[name].found_out):
                raise ValueError(f"<{name}> is optional: give the parameter `{name}` a default, such as None")
    if twice := next((name for name, count in Counter(used).items() if count > 1), None):
        raise ValueError(f"the usage has <{twice}> more than once")
    if extra := next((name for name in parameters if name not in used), None):
        raise ValueError(f"the function has a parameter `{extra}`, but the usage has no <{extra}>")


def _check_kinds(grammar: Grammar, parameters: Mapping[str, Parameter]) -> None:
    """Check that an app comes before what is looked up in it, and that the command has only one target."""
    before: list[object] = []
    for name in (name for cell, _ in grammar.cells() for name in cell.names):
        for kind in parameters[name].types:
            needed = _LEANS_ON.get(kind) if isinstance(kind, type) or kind is Task else None
            if needed is not None and needed not in before:
                raise ValueError(f"<{name}> is looked up in the {KINDS[needed].noun}, so that must come before it")
            before.append(kind)
    if Release in before and App not in before:
        raise ValueError("a release belongs to an app: the usage needs one")
    for kind in (App, Environment):
        if before.count(kind) > 1:
            raise ValueError(f"a command is about one {KINDS[kind].noun}: use that type once")
    either = _check_absent(parameters)
    if App in before and _SUBJECTS.intersection(before) and not either:
        raise ValueError("a deployment, a followed log or a change of grants has its app already: leave the app out")


def _check_absent(parameters: Mapping[str, Parameter]) -> bool:
    """Return whether the command takes an app or a deployment. Only then its environment may be None."""
    either = any(one.is_app_or_deployment for one in parameters.values())
    for one in parameters.values():
        if one.absent and not either:
            raise _lacks_default(one.name)
        if either and one.found_out and one.types == (Environment,) and not one.absent:
            raise ValueError(f"a deployment has its environment already: write `{one.name}: Environment | None`")
    return either


def _flags(grammar: Grammar, flags: set[str]) -> dict[str, str]:
    """Map words such as `--dry-run` and `follow` to their parameters. A plain word without one has no effect."""
    words = {group.word: group.word.lstrip("-").replace("-", "_") for group in grammar.groups if group.is_word}
    if lost := next((word for word, name in words.items() if word.startswith("-") and name not in flags), None):
        raise ValueError(f"the usage has [{lost}], but the function has no parameter `{words[lost]}: bool = False`")
    if extra := next((name for name in sorted(flags) if name not in words.values()), None):
        raise ValueError(f"the parameter `{extra}` is a bool, but the usage has no [{extra}] or [--{extra}]")
    return {word: name for word, name in words.items() if name in flags}


def read_command(command: Command) -> Form:
    """Check a command's usage against its function. Raise ValueError with the problem and how to fix it."""
    return Form(command, *_checked(command.usage, command.run))


@functools.lru_cache
def _checked(usage: str, run: Handler) -> tuple[Grammar, Mapping[str, Parameter], Mapping[str, str]]:
    """Read a usage and its function. The result is kept, because looking up types is slow and done for each start."""
    grammar = read_usage(usage)
    parameters: dict[str, Parameter] = {}
    flags: set[str] = set()
    for name, annotation, has_default in _signature(run):
        if annotation is bool:
            if not has_default:
                raise ValueError(f"the parameter `{name}` should have a default: `{name}: bool = False`")
            flags.add(name)
        else:
            parameters[name] = _parameter(name, annotation, has_default=has_default)
    _check_usage(grammar, parameters)
    _check_kinds(grammar, parameters)
    return grammar, parameters, _flags(grammar, flags)
