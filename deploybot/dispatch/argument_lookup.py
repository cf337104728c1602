"""Look up the arguments that bot.toml does not define: deployments, followed logs, grant changes and releases."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from deploybot.command import Services
from deploybot.command_parameters import Follow
from deploybot.domain import Action, Deployment, GrantChange, Kind, Release
from deploybot.errors import UserError
from deploybot.parsing import Call, ChangeNumber, FollowName, Number, Ref
from deploybot.ports import Tables

_GOOD = 5
Sees = Callable[[str, str], bool]
"""Return whether the sender may see an app and environment, even one removed from bot.toml."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a call, as the policy sees it: an action on an app and environment.

    `None` means at least one, `*` means all. `found` holds arguments that were looked up to determine the subject.
    """

    action: Action
    app: str | None
    environment: str | None
    found: Mapping[str, object]

    @property
    def number(self) -> int:
        """Return the deployment's number; 0 if there is none."""
        return next((one.number for one in self.found.values() if isinstance(one, Deployment)), 0)

    @property
    def target(self) -> str:
        """Return `shop/production`, for the audit."""
        return "/".join(part for part in (self.app, self.environment) if part)


class Unseen(UserError):
    """Something exists that the sender may not see. The text reads as if it did not exist."""


async def subject_of(call: Call, services: Services, sees: Sees) -> Subject:
    """Return a call's subject. A deployment, a followed log or a grant change determines its app and environment.

    Raises UserError if something does not exist, and Unseen if the sender may not see it. Both read the same.
    """
    needs = call.command.needs
    rest = None if needs in {Action.VIEW, Action.ANYONE} else "*"
    for name, value in call.arguments.items():
        if isinstance(value, Number) and value.asks:
            return Subject(needs, None, None, {})
        if isinstance(value, Number):
            deployment = await _deployment(value.value, services, sees)
            return Subject(needs, deployment.plan.app, deployment.plan.environment, {name: deployment})
        if isinstance(value, FollowName):
            follow = _follow(value.value, services, sees)
            # Anyone who may read a log may stop following it, whatever else the command can do.
            return Subject(Action.VIEW, follow.app, follow.environment, {name: follow})
        if isinstance(value, ChangeNumber):
            change = await _change(value.value, services, sees)
            return Subject(needs, change.app, change.environment, {name: change})
    app = call.app.name if call.app else rest
    environment = call.environment.name if call.environment else rest
    return Subject(needs, app, environment, {})


async def arguments_of(call: Call, subject: Subject, services: Services, sees: Sees) -> dict[str, object]:
    """Return the arguments with every ref resolved. Call it only for an authorised call."""
    found = {**call.arguments, **subject.found}
    for name, value in call.arguments.items():
        if isinstance(value, Ref):
            found[name] = await _release(value, call, services, sees)
    return found


def nameable(tables: Tables, targets: Collection[tuple[str, str]]) -> list[Deployment]:
    """Return the deployments whose numbers a person may want to type, newest first.

    These are all open deployments and the successful ones of `targets`, which are pairs of app and environment.
    """
    found = {one.number: one for one in tables.deployments.open()}
    for app, environment in targets:
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
        raise problem(f"No followed log {name} is running.", hint="It was stopped, or ended after an hour.")
    return found


async def _change(number: int, services: Services, sees: Sees) -> GrantChange:
    found = await services.people.change(number)
    if found is None or not sees(found.app, found.environment):
        raise (Unseen if found else UserError)(
            f"No grant-{number} is waiting.", hint="It was confirmed or refused, or expired after a day."
        )
    return found


async def _release(ref: Ref, call: Call, services: Services, sees: Sees) -> Release:
    if call.app is None:
        raise UserError(f"Name the app that `{ref.text}` belongs to.")
    if not ref.number:
        back = call.command.name == Kind.ROLLBACK
        found = await services.releases.resolve(call.app, call.environment, ref.text, back=back)
        there = call.app.at(call.environment) if call.environment else call.app
        pinned = there.has_images or there.artifact is not None
        settled = ref.text.startswith((":", "sha256:")) or (back and pinned)
        return replace(found, typed=None if settled else ref.text)
    deployment = await _deployment(ref.number, services, sees)
    if deployment.plan.app != call.app.name:
        raise UserError(f"#{ref.number} is a deployment of {deployment.plan.app}, not of {call.app.name}.")
    if call.command.name != Kind.ROLLBACK:
        return deployment.plan.release
    if call.environment is not None and deployment.plan.configurations:
        _insist_on_environment(deployment, call.app.name, call.environment.name)
    return deployment.named


def _insist_on_environment(deployment: Deployment, app: str, environment: str) -> None:
    """Raise UserError if a rollback names a deployment to another environment: its settings are not for this one."""
    there = deployment.plan.environment
    if there != environment:
        raise UserError(
            f"#{deployment.number} was a deployment to {there}, and a rollback of {environment} goes back to what ran "
            f"in {environment}.",
            hint=f"See `history {app} {environment}`. To deploy the images of #{deployment.number}: "
            f"deploy {app}@#{deployment.number} to {environment}",
        )
