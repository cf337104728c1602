"""The types that a command's parameters may have, and how to read a word as each of them.

Reading is pure. Releases, deployments, followed logs and grant changes are not in bot.toml. They are read as `Ref`,
`Number`, `FollowName` and `ChangeNumber`, which dispatch looks up later.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, time

from deploybot.command_parameters import Code, Day, Duration, Follow, Task
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
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NEAR_DAYS = {"today": 0, "tomorrow": 1}
_FOLLOW = re.compile(r"log-[0-9]{1,9}")
_CHANGE = re.compile(r"grant-([0-9]{1,9})")
_REF = re.compile(r":?[A-Za-z0-9_][A-Za-z0-9_./+-]{0,199}")
_REF_NUMBER = re.compile(r"#[0-9]{1,9}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Ref:
    """A ref as typed; empty if none was. `number` is the deployment's number if it was `#n`, otherwise 0.

    With `asks`, the sender picks one of the newest.
    """

    text: str
    number: int = 0
    asks: bool = False


@dataclass(frozen=True, slots=True)
class Number:
    """A deployment's number as typed. With `asks`, the sender picks one."""

    value: int
    asks: bool = False


@dataclass(frozen=True, slots=True)
class FollowName:
    """The name of a followed log as typed."""

    value: str


@dataclass(frozen=True, slots=True)
class ChangeNumber:
    """The number of a grant change as typed."""

    value: int


@dataclass(slots=True)
class Scope:
    """The state while a command is read: bot.toml, what its sender may see, and the app and environment so far.

    `visible` holds pairs of app and environment. Nothing else is ever suggested or listed.
    """

    settings: Settings
    visible: frozenset[tuple[str, str]]
    app: App | None = None
    environment: Environment | None = None

    def apps(self) -> tuple[str, ...]:
        """Return the apps that the sender may see."""
        return tuple(name for name in self.settings.apps if any(app == name for app, _ in self.visible))

    def environments(self) -> tuple[str, ...]:
        """Return the app's environments that the sender may see."""
        app = self.app
        return tuple(name for name in app.environments if (app.name, name) in self.visible) if app else ()

    def servers(self) -> tuple[str, ...]:
        """Return the environment's servers, if the sender may see it."""
        environment = self.environment
        return environment.servers if environment and (environment.app, environment.name) in self.visible else ()

    def tasks(self) -> tuple[str, ...]:
        """Return the tasks of the app in the environments that the sender may see, or in the one that was named."""
        app, names = self.app, (self.environment.name,) if self.environment else self.environments()
        return tuple(dict.fromkeys(task for name in names for task in app.at(name).tasks)) if app else ()


class NoSuch(UserError):
    """A name that does not exist. `near` is the name that was probably meant, or empty."""

    def __init__(self, what: str, given: str, names: Iterable[str], *, where: str = "", plural: str = "") -> None:
        """Name what does not exist, and list the known names if there are few."""
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
    """Words that do not fit the grammar. The caller adds the command's usage."""


def shown(text: str) -> str:
    """Return a word as an answer may repeat it: cut to 40 characters."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def nearest(word: str, names: Iterable[str]) -> str:
    """Return the name that a mistyped or shortened word probably means; empty if none."""
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
            problem.hint = f"`{text}` is an environment: write the app first. {problem.hint}".strip()
        raise problem
    scope.app = found
    return found


def _environment(text: str, scope: Scope) -> Environment:
    if scope.app is None:
        raise Unfit(f"Write the app before the environment `{shown(text)}`.")
    found = scope.app.environments.get(text.lower())
    if found is None or found.name not in scope.environments():
        raise NoSuch("environment", text, scope.environments(), where=f" of {scope.app.name}")
    scope.environment = found
    return found


def _server(text: str, scope: Scope) -> Server:
    if scope.app is None or scope.environment is None:
        raise Unfit(f"Write the environment before the server `{shown(text)}`.")
    where = f" in {scope.app.name}/{scope.environment.name}"
    if text.lower() not in scope.environment.servers:
        raise NoSuch("server", text, scope.servers(), where=where)
    return scope.settings.servers[text.lower()]


def _task(text: str, scope: Scope) -> Task:
    if scope.app is None:
        raise Unfit(f"Write the app before the task `{shown(text)}`.")
    if text.lower() not in scope.tasks():
        problem = NoSuch("task", text, scope.tasks(), where=f" of {scope.app.name}")
        if not scope.tasks():
            problem.hint = f"It has no tasks: add some to [apps.{scope.app.name}.tasks] of bot.toml."
        raise problem
    return Task(text.lower())


def _role(text: str, _: Scope) -> Role:
    if text.lower() not in {*Role}:
        raise NoSuch("role", text, Role)
    return Role(text.lower())


def _whole(text: str, _: Scope) -> int:
    if not _WHOLE.fullmatch(text):
        raise Unfit(f"`{shown(text)}` is not a whole number.")
    return int(text)


def _duration(text: str, _: Scope) -> Duration:
    with contextlib.suppress(ValueError):
        if seconds := duration(text.lower()):
            return Duration(seconds)
    raise Unfit(f"`{shown(text)}` is not a duration such as 90s, 15m, 2h or 1h30m.")


def _time(text: str, _: Scope) -> time:
    match = _TIME.fullmatch(text)
    if match is None:
        raise Unfit(f"`{shown(text)}` is not a time of day such as 18:00.")
    return time(int(match[1]), int(match[2]))


def _day(text: str, _: Scope) -> Day:
    word = text.lower()
    if word in _NEAR_DAYS:
        return Day(ahead=_NEAR_DAYS[word])
    if _DATE.fullmatch(word):
        with contextlib.suppress(ValueError):
            return Day(date=date.fromisoformat(word))
    for number, name in enumerate(_WEEKDAYS):
        if word in {name, name[:3]}:
            return Day(weekday=number)
    raise Unfit(f"`{shown(text)}` is not a day such as Mon, tomorrow or 2026-12-24.")


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
            raise Unfit(f"`{shown(text)}` is not an image digest: sha256: and 64 digits of 0-9 and a-f.")
        return Ref(text)
    if not _REF.fullmatch(text) or ".." in text or "//" in text or text.endswith(("/", ".", ".lock")):
        raise Unfit(f"`{shown(text)}` is not a ref: use letters, digits and . _ / + -, and do not begin with . / + -")
    return Ref(text)


def _number(text: str, _: Scope) -> Number:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise Unfit(f"`{shown(text)}` is not a deployment number such as #42.")
    return Number(int(match[1]))


def _follow(text: str, _: Scope) -> FollowName:
    if not _FOLLOW.fullmatch(text.lower()):
        raise Unfit(f"`{shown(text)}` is not a followed log such as log-3.")
    return FollowName(text.lower())


def _change(text: str, _: Scope) -> ChangeNumber:
    match = _CHANGE.fullmatch(text.lower())
    if match is None:
        raise Unfit(f"`{shown(text)}` is not a change of grants such as grant-3.")
    return ChangeNumber(int(match[1]))


def _nothing(_: Scope) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class ParameterKind:
    """How words are read as one type. `noun` is its name for people, `names` lists the known values.

    `such` gives examples for a type whose words have a special form.
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
    Deployment: ParameterKind("deployment", _number, such="#42"),
    Follow: ParameterKind("followed log", _follow, such="log-3"),
    GrantChange: ParameterKind("change of grants", _change),
    int: ParameterKind("number", _whole),
    Duration: ParameterKind("duration", _duration, such="90s, 15m, 2h or 1h30m"),
    time: ParameterKind("time of day", _time, such="18:00"),
    Day: ParameterKind("day", _day, such="Mon, tomorrow or 2026-12-24"),
    Code: ParameterKind("one-time code", _code),
    Release: ParameterKind("ref", _ref),
    str: ParameterKind("text", _text),
}
"""The kinds by type. The last two accept nearly every word, so suggestions try them last."""


def default_environment(
    app: App, *, changes: bool = False, visible: Collection[str] | None = None, after: bool = False
) -> Environment | None:
    """Return the environment that is meant if none is named: the only one, or the one marked `default`.

    Nothing else decides this. Commands that change something never default to an environment that needs approvals.
    Commands that only read choose among the environments in `visible`. For changes, all environments count: an expired
    role must not give the same words another target. A command that is about environments with `after` means the only
    one of them, also if it needs approvals: what comes after another environment usually does.
    """
    if after:
        following = [one for one in app.environments.values() if one.after]
        return following[0] if len(following) == 1 else None
    if visible is not None and not changes:
        seen = {name: one for name, one in app.environments.items() if name in visible}
        app = app.model_copy(update={"environments": seen})
    every = tuple(one for one in app.environments.values() if not (changes and one.approvals))
    if len(every) < len(app.environments):
        return next((environment for environment in every if environment.default), None)
    if len(every) == 1:
        return every[0]
    return next((environment for environment in every if environment.default), None)
