"""Arguments that bot.toml alone does not know: deployments, followed logs and releases."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from deploybot.command import Follow, Services
from deploybot.domain import Action, Deployment, GrantChange, Kind, Release
from deploybot.errors import UserError
from deploybot.parsing import Call, ChangeNumber, FollowName, Number, Ref
from deploybot.ports import Tables

_GOOD = 5
Sees = Callable[[str, str], bool]
"""Whether somebody may look at an app and environment, also at one that bot.toml has no more."""


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


async def subject_of(call: Call, services: Services, sees: Sees) -> Subject:
    """What a call is about. A deployment, a followed log and a change of grants bring their app and environment along.

    What is in an app and environment that the sender does not see is as if it were not there: Unseen, which reads like
    any UserError.
    """
    needs = call.command.needs
    rest = None if needs in {Action.VIEW, Action.ANYONE} else "*"
    for name, value in call.arguments.items():
        if isinstance(value, Number):
            deployment = await _deployment(value.value, services, sees)
            return Subject(needs, deployment.plan.app, deployment.plan.environment, {name: deployment})
        if isinstance(value, FollowName):
            follow = _follow(value.value, services, sees)
            # Whoever may read a log may stop reading it, whatever else the command can do.
            return Subject(Action.VIEW, follow.app, follow.environment, {name: follow})
        if isinstance(value, ChangeNumber):
            change = await _change(value.value, services, sees)
            return Subject(needs, change.app, change.environment, {name: change})
    app = call.app.name if call.app else rest
    environment = call.environment.name if call.environment else rest
    return Subject(needs, app, environment, {})


async def arguments_of(call: Call, subject: Subject, services: Services, sees: Sees) -> dict[str, object]:
    """The arguments with every ref resolved; only for a call that was authorised."""
    found = {**call.arguments, **subject.found}
    for name, value in call.arguments.items():
        if isinstance(value, Ref):
            found[name] = await _release(value, call, services, sees)
    return found


def nameable(tables: Tables, places: Collection[tuple[str, str]]) -> list[Deployment]:
    """The deployments whose numbers somebody may be about to type, newest first.

    That is what is open anywhere, and what has ended well in `places`, which are apps and environments.
    """
    found = {one.number: one for one in tables.deployments.open()}
    for app, environment in places:
        found |= {one.number: one for one in tables.deployments.good(app, environment, _GOOD)}
    return [found[number] for number in sorted(found, reverse=True)]


async def _deployment(number: int, services: Services, sees: Sees) -> Deployment:
    found = await services.deployments.get(number)
    if found is None or not sees(found.plan.app, found.plan.environment):
        raise (Unseen if found else UserError)(f"There is no deployment #{number}.", hint="`history APP` lists them.")
    return found


def _follow(name: str, services: Services, sees: Sees) -> Follow:
    found = services.logs.following(name)
    if found is None or not sees(found.app, found.environment):
        problem = Unseen if found else UserError
        raise problem(f"No one follows a log called {name} now.", hint="It has been stopped, or its hour is over.")
    return found


async def _change(number: int, services: Services, sees: Sees) -> GrantChange:
    found = await services.people.change(number)
    if found is None or not sees(found.app, found.environment):
        raise (Unseen if found else UserError)(
            f"There is no grant-{number} that waits.", hint="It was confirmed or refused, or its day is over."
        )
    return found


async def _release(ref: Ref, call: Call, services: Services, sees: Sees) -> Release:
    if call.app is None:
        raise UserError(f"`{ref.text}` needs an app to be looked up in.")
    if not ref.number:
        back = call.command.name == Kind.ROLLBACK
        found = await services.releases.resolve(call.app, call.environment, ref.text, back=back)
        settled = ref.text.startswith((":", "sha256:")) or (back and bool(call.app.images))
        return replace(found, typed=None if settled else ref.text)
    deployment = await _deployment(ref.number, services, sees)
    if deployment.plan.app != call.app.name:
        raise UserError(f"#{ref.number} is a deployment of {deployment.plan.app}, not of {call.app.name}.")
    return deployment.plan.release
