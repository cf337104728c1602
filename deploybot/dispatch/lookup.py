"""Arguments that bot.toml alone does not know: deployments, followed logs and releases."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from deploybot.command import Follow, Services
from deploybot.domain import EVERY, Action, Deployment, GrantChange, Kind, Release
from deploybot.errors import UserError
from deploybot.parsing import Call, ChangeNumber, FollowName, Number, Ref
from deploybot.ports import Tables

_GOOD = 5


@dataclass(frozen=True, slots=True)
class Subject:
    """What a call is about, as the policy asks it: an action on an app and environment.

    `None` stands for at least one, `*` for every one; `found` are arguments that had to be looked up to know.
    """

    action: Action
    app: str | None
    environment: str | None
    found: Mapping[str, object]

    @property
    def number(self) -> int:
        """The deployment that it is about; 0 where there is none."""
        return next((one.number for one in self.found.values() if isinstance(one, Deployment)), 0)

    @property
    def place(self) -> str:
        """`shop/production`, for the audit."""
        return "/".join(part for part in (self.app, self.environment) if part)


class Unseen(UserError):
    """What is there, but where its sender may not look: they read what they would if it were not."""


async def subject_of(call: Call, services: Services, visible: Collection[tuple[str, str]]) -> Subject:
    """What a call is about. A deployment, a followed log and a change of grants bring their app and environment along.

    What is not in a `visible` app and environment is as if it were not there: Unseen, which reads like any UserError.
    """
    needs = call.command.needs
    rest = None if needs in {Action.VIEW, Action.ANYONE} else "*"
    for name, value in call.arguments.items():
        if isinstance(value, Number):
            deployment = await _deployment(value.value, services, visible)
            return Subject(needs, deployment.plan.app, deployment.plan.environment, {name: deployment})
        if isinstance(value, FollowName):
            follow = _follow(value.value, services, visible)
            # Whoever may read a log may stop reading it, whatever else the command can do.
            return Subject(Action.VIEW, follow.app, follow.environment, {name: follow})
        if isinstance(value, ChangeNumber):
            change = await _change(value.value, services, visible)
            return Subject(needs, change.app, change.environment, {name: change})
    app = call.app.name if call.app else rest
    environment = call.environment.name if call.environment else rest
    return Subject(needs, app, environment, {})


async def arguments_of(
    call: Call, subject: Subject, services: Services, visible: Collection[tuple[str, str]]
) -> dict[str, object]:
    """The arguments with every ref resolved; only for a call that was authorised."""
    found = {**call.arguments, **subject.found}
    for name, value in call.arguments.items():
        if isinstance(value, Ref):
            found[name] = await _release(value, call, services, visible)
    return found


def nameable(tables: Tables, places: Collection[tuple[str, str]]) -> list[Deployment]:
    """The deployments whose numbers somebody may be about to type, newest first.

    That is what is open anywhere, and what has ended well in `places`, which are apps and environments.
    """
    found = {one.number: one for one in tables.deployments.open()}
    for app, environment in places:
        found |= {one.number: one for one in tables.deployments.good(app, environment, _GOOD)}
    return [found[number] for number in sorted(found, reverse=True)]


async def _deployment(number: int, services: Services, visible: Collection[tuple[str, str]]) -> Deployment:
    found = await services.deployments.get(number)
    if found is None or (found.plan.app, found.plan.environment) not in visible:
        raise (Unseen if found else UserError)(f"There is no deployment #{number}.", hint="`history APP` lists them.")
    return found


def _follow(name: str, services: Services, visible: Collection[tuple[str, str]]) -> Follow:
    found = services.logs.following(name)
    if found is None or (found.app, found.environment) not in visible:
        problem = Unseen if found else UserError
        raise problem(f"Nobody follows a log called {name} now.", hint="It has been stopped, or its hour is over.")
    return found


async def _change(number: int, services: Services, visible: Collection[tuple[str, str]]) -> GrantChange:
    """A change of grants. One of several apps or environments is shown to whoever sees one of them."""
    found = await services.people.change(number)
    if found is None or not any(_is_of(found, *place) for place in visible):
        raise (Unseen if found else UserError)(
            f"There is no grant-{number} that waits.", hint="It was confirmed or refused, or its day is over."
        )
    return found


def _is_of(change: GrantChange, app: str, environment: str) -> bool:
    return change.app in {EVERY, app} and change.environment in {EVERY, environment}


async def _release(ref: Ref, call: Call, services: Services, visible: Collection[tuple[str, str]]) -> Release:
    if call.app is None:
        raise UserError(f"`{ref.text}` needs an app to be looked up in.")
    if not ref.number:
        back = call.command.name == Kind.ROLLBACK
        found = await services.releases.resolve(call.app, call.environment, ref.text, back=back)
        settled = ref.text.startswith((":", "sha256:")) or (back and bool(call.app.images))
        return replace(found, typed=None if settled else ref.text)
    deployment = await _deployment(ref.number, services, visible)
    if deployment.plan.app != call.app.name:
        raise UserError(f"#{ref.number} is a deployment of {deployment.plan.app}, not of {call.app.name}.")
    return deployment.plan.release
