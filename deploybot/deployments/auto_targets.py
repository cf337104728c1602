"""Automatic deployments: the targets that bot.toml allows, and how a newer one replaces those that wait."""

from __future__ import annotations

from collections.abc import Iterator

from deploybot.domain import Deployment, Grant, Person, Plan, Role, State
from deploybot.errors import UserError
from deploybot.ports import Tables
from deploybot.settings import Auto, Environment, Settings
from deploybot.wording import listed


def targets(settings: Settings) -> frozenset[tuple[str, str]]:
    """Return the targets (app, environment) that bot.toml deploys automatically, without asking."""
    found = ((app.name, one) for app in settings.apps.values() for one in app.environments.values())
    return frozenset((app, one.name) for app, one in found if one.auto is not None and not one.auto.ask)


def insist_unedited(plan: Plan, *, is_automatic: bool) -> None:
    """Raise UserError if a deployment `is_automatic` and would bring a person's changes of Compose files, too.

    They may not be finished. The trigger waits, and is tried again.
    """
    edited = [
        part.server
        for part in plan.servers
        if part.before is not None and part.before.configuration not in {"", part.configuration}
    ]
    if is_automatic and edited:
        raise UserError(
            f"The Compose files of {plan.app} on {listed(edited)} are not what the last deployment there used, and a "
            "new image does not bring such changes along.",
            hint=f"Deploy them: deploy {plan.app} to {plan.environment}. Or undo the changes.",
        )


def is_used(settings: Settings) -> bool:
    """Return whether bot.toml has any `auto`."""
    return any(one.auto is not None for app in settings.apps.values() for one in app.environments.values())


def grants_of(person: Person, settings: Settings) -> tuple[Grant, ...]:
    """Return all grants of the bot itself: deployer of the targets that deploy automatically."""
    return tuple(Grant(person.id, Role.DEPLOYER, *target) for target in sorted(targets(settings)))


def auto_text(environment: Environment | None) -> str:
    """Return what triggers a deployment there, as `a push to develop once its builds are green`; empty if nothing."""
    auto = environment.auto if environment else None
    return "" if auto is None or auto.ask else f"{' or '.join(_causes(auto))}{_condition(auto)}"


def _causes(auto: Auto) -> Iterator[str]:
    if auto.branch:
        yield f"a push to {auto.branch}"
    if auto.tag:
        yield f"a tag {auto.tag}"
    if auto.release:
        yield "a published release"
    if auto.image:
        yield "a new image"


def _condition(auto: Auto) -> str:
    if auto.checks:
        return f" once {' and '.join(auto.checks)} {'is' if len(auto.checks) == 1 else 'are'} green"
    return " once its builds are green" if auto.after else ""


def in_the_way(tables: Tables, plan: Plan) -> tuple[Deployment, ...]:
    """Return the automatic deployments that a newer one to the same target replaces: waiting and not cancelled."""
    target = (plan.app, plan.environment)
    return tuple(
        one
        for one in tables.deployments.open()
        if one.trigger and (one.plan.app, one.plan.environment) == target
        if one.state is State.WAITING and not one.cancel_by
    )


def skipped_by(older: tuple[Deployment, ...]) -> tuple[int, ...]:
    """Return the numbers of all skipped deployments: these, and the ones that they had replaced."""
    return tuple(sorted({number for one in older for number in (*one.skipped, one.number)}))
