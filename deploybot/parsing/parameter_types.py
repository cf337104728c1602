"""What a parameter may be: each type that a command may ask for, and how a word becomes a value of it.

Reading is pure. A release or a deployment cannot be known from bot.toml alone: they are read as `Ref` and
`Number`, which dispatch looks up once the person is known to be allowed.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import time

from deploybot.command import Code, Duration, Follow, Task
from deploybot.domain import Deployment, GrantChange, Release, Role
from deploybot.errors import UserError
from deploybot.settings import App, Environment, Server, Settings
from deploybot.units import duration

_FEW = 12
_SHOWN = 40
_WHOLE = re.compile(r"[0-9]{1,9}")
_NUMBER = re.compile(r"#?([0-9]{1,9})")
_CODE = re.compile(r"[0-9]{6}")
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_FOLLOW = re.compile(r"log-[0-9]{1,9}")
_CHANGE = re.compile(r"grant-([0-9]{1,9})")
_REF = re.compile(r":?[A-Za-z0-9_][A-Za-z0-9_./+-]{0,199}")
_REF_NUMBER = re.compile(r"#[0-9]{1,9}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Ref:
    """A ref as it was typed; empty where none was. `number` is the deployment's where it was `#n`, else 0."""

    text: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Number:
    """A deployment's number as it was typed."""

    value: int


@dataclass(frozen=True, slots=True)
class FollowName:
    """The name of a followed log as it was typed."""

    value: str


@dataclass(frozen=True, slots=True)
class ChangeNumber:
    """The number of a change of grants as it was typed."""

    value: int


@dataclass(slots=True)
class Scope:
    """What is known while a command is read: bot.toml, what its sender may see, and the app and environment so far.

    `visible` are pairs of app and environment: nothing else is ever proposed or listed.
    """

    settings: Settings
    visible: frozenset[tuple[str, str]]
    app: App | None = None
    environment: Environment | None = None

    def apps(self) -> tuple[str, ...]:
        """The apps the sender may see."""
        return tuple(name for name in self.settings.apps if any(app == name for app, _ in self.visible))

    def environments(self) -> tuple[str, ...]:
        """The environments of the app the sender may see."""
        app = self.app
        return tuple(name for name in app.environments if (app.name, name) in self.visible) if app else ()

    def servers(self) -> tuple[str, ...]:
        """The servers of the environment, if the sender may see it."""
        place = self.environment
        return place.servers if place and (place.app, place.name) in self.visible else ()

    def tasks(self) -> tuple[str, ...]:
        """The tasks of the app, if the sender may see it."""
        return tuple(self.app.tasks) if self.app and self.app.name in self.apps() else ()


class NoSuch(UserError):
    """A name that is not there. `near` is the one that was probably meant, or empty."""

    def __init__(self, what: str, given: str, names: Iterable[str], *, where: str = "", plural: str = "") -> None:
        """Say what is missing, and what there is when that is little."""
        known = tuple(names)
        self.given = given
        self.near = nearest(given, known)
        guess = f", did you mean `{self.near}`?" if self.near else "."
        few = f"{plural or what + 's'}{where}: {', '.join(known)}."
        super().__init__(
            f"There is no {what} `{shown(given)}`{where}{guess}",
            hint=few[0].upper() + few[1:] if 0 < len(known) <= _FEW else "",
        )


class Unfit(UserError):
    """Words that do not fit; whoever knows the command adds its usage."""


def shown(text: str) -> str:
    """A word as an answer may repeat it: not longer than one can read."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def nearest(word: str, names: Iterable[str]) -> str:
    """The name that a mistyped or shortened word probably was, or nothing."""
    known, word = tuple(names), word.lower()
    longer = [name for name in known if len(word) > 1 and name.startswith(word)]
    if len(longer) == 1:
        return longer[0]
    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=0.6)), "")


def _app(text: str, scope: Scope) -> App:
    found = scope.settings.apps.get(text.lower())
    if found is None or found.name not in scope.apps():
        problem = NoSuch("app", text, scope.apps())
        if any(name == text.lower() for _, name in scope.visible):
            problem.hint = f"`{text}` is an environment: say the app first. {problem.hint}".strip()
        raise problem
    scope.app = found
    return found


def _environment(text: str, scope: Scope) -> Environment:
    if scope.app is None:
        raise Unfit(f"Say which app before the environment `{shown(text)}`.")
    found = scope.app.environments.get(text.lower())
    if found is None or found.name not in scope.environments():
        raise NoSuch("environment", text, scope.environments(), where=f" of {scope.app.name}")
    scope.environment = found
    return found


def _server(text: str, scope: Scope) -> Server:
    if scope.app is None or scope.environment is None:
        raise Unfit(f"Say which environment before the server `{shown(text)}`.")
    place = f" in {scope.app.name}/{scope.environment.name}"
    if text.lower() not in scope.environment.servers:
        raise NoSuch("server", text, scope.servers(), where=place)
    return scope.settings.servers[text.lower()]


def _task(text: str, scope: Scope) -> Task:
    if scope.app is None:
        raise Unfit(f"Say which app before the task `{shown(text)}`.")
    if text.lower() not in scope.app.tasks:
        problem = NoSuch("task", text, scope.tasks(), where=f" of {scope.app.name}")
        if not scope.app.tasks:
            problem.hint = f"It has none: name some in [apps.{scope.app.name}.tasks] of bot.toml."
        raise problem
    return Task(text.lower())


def _role(text: str, _: Scope) -> Role:
    if text.lower() not in {*Role}:
        raise NoSuch("role", text, Role)
    return Role(text.lower())


def _whole(text: str, _: Scope) -> int:
    if not _WHOLE.fullmatch(text):
        raise Unfit(f"`{shown(text)}` is no whole number.")
    return int(text)


def _duration(text: str, _: Scope) -> Duration:
    with contextlib.suppress(ValueError):
        if seconds := duration(text.lower()):
            return Duration(seconds)
    raise Unfit(f"`{shown(text)}` is no duration such as 90s, 15m, 2h or 1h30m.")


def _time(text: str, _: Scope) -> time:
    match = _TIME.fullmatch(text)
    if match is None:
        raise Unfit(f"`{shown(text)}` is no time of day such as 18:00.")
    return time(int(match[1]), int(match[2]))


def _code(text: str, _: Scope) -> Code:
    if not _CODE.fullmatch(text):
        raise Unfit("A one-time code is six digits.")
    return Code(text)


def _text(text: str, _: Scope) -> str:
    return text


def _ref(text: str, _: Scope) -> Ref:
    if _REF_NUMBER.fullmatch(text):
        return Ref(text, int(text[1:]))
    if text.startswith("sha256:"):
        if not _DIGEST.fullmatch(text):
            raise Unfit(f"`{shown(text)}` is no digest of an image: that is sha256: and 64 digits of 0-9 and a-f.")
        return Ref(text)
    if not _REF.fullmatch(text) or ".." in text or "//" in text or text.endswith(("/", ".", ".lock")):
        raise Unfit(f"`{shown(text)}` is no ref: refs are letters, digits and . _ / + - and begin with none of . / + -")
    return Ref(text)


def _number(text: str, _: Scope) -> Number:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise Unfit(f"`{shown(text)}` is no deployment's number such as #42.")
    return Number(int(match[1]))


def _follow(text: str, _: Scope) -> FollowName:
    if not _FOLLOW.fullmatch(text.lower()):
        raise Unfit(f"`{shown(text)}` is no followed log such as log-3.")
    return FollowName(text.lower())


def _change(text: str, _: Scope) -> ChangeNumber:
    match = _CHANGE.fullmatch(text.lower())
    if match is None:
        raise Unfit(f"`{shown(text)}` is no change of grants such as grant-3.")
    return ChangeNumber(int(match[1]))


def _nothing(_: Scope) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class ParameterKind:
    """How words become values of one type. `noun` is what people call it, `names` lists what there is.

    `such` are examples, where a word of this type has a form that one has to know.
    """

    noun: str
    read: Callable[[str, Scope], object]
    names: Callable[[Scope], tuple[str, ...]] = _nothing
    such: str = ""


KINDS: Mapping[object, ParameterKind] = {
    App: ParameterKind("app", _app, Scope.apps),
    Environment: ParameterKind("environment", _environment, Scope.environments),
    Server: ParameterKind("server", _server, Scope.servers),
    Task: ParameterKind("task", _task, Scope.tasks),
    Role: ParameterKind("role", _role, lambda _: tuple(Role)),
    Deployment: ParameterKind("deployment", _number),
    Follow: ParameterKind("followed log", _follow),
    GrantChange: ParameterKind("change of grants", _change),
    int: ParameterKind("number", _whole),
    Duration: ParameterKind("duration", _duration, such="90s, 15m, 2h or 1h30m"),
    time: ParameterKind("time of day", _time, such="18:00"),
    Code: ParameterKind("one-time code", _code),
    Release: ParameterKind("ref", _ref),
    str: ParameterKind("text", _text),
}
"""By type; the last two take nearly every word, so they are the last to be guessed."""


def default_environment(
    app: App, *, changes: bool = False, visible: Collection[str] | None = None
) -> Environment | None:
    """The environment that is meant where none is named: the only one, or the one marked `default`.

    The one place that decides it; what changes something never means one that needs approvals without naming it.
    Who looks means one of those that they may see (`visible`), as if there were no others. For what changes something
    all count: a role that ends must not let the same words mean another place.
    """
    if visible is not None and not changes:
        seen = {name: one for name, one in app.environments.items() if name in visible}
        app = app.model_copy(update={"environments": seen})
    every = tuple(one for one in app.environments.values() if not (changes and one.approvals))
    if len(every) < len(app.environments):
        return next((environment for environment in every if environment.default), None)
    if len(every) == 1:
        return every[0]
    return next((environment for environment in every if environment.default), None)
