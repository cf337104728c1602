"""What is deployed by itself: what bot.toml lets the bot do, and of several that wait in one place the newest wins."""

from __future__ import annotations

from collections.abc import Iterator

from deploybot.domain import Deployment, Grant, Person, Plan, Role, State
from deploybot.ports import Tables
from deploybot.settings import Auto, Environment, Settings


def places(settings: Settings) -> frozenset[tuple[str, str]]:
    """The apps and environments that bot.toml deploys by itself."""
    found = ((app.name, one) for app in settings.apps.values() for one in app.environments.values())
    return frozenset((app, one.name) for app, one in found if one.auto is not None and not one.auto.ask)


def is_used(settings: Settings) -> bool:
    """Whether bot.toml has any `auto`."""
    return any(one.auto is not None for app in settings.apps.values() for one in app.environments.values())


def grants_of(person: Person, settings: Settings) -> tuple[Grant, ...]:
    """All that the bot itself may do, and it may do nothing else: these places of bot.toml."""
    return tuple(Grant(person.id, Role.DEPLOYER, *place) for place in sorted(places(settings)))


def auto_text(environment: Environment | None) -> str:
    """What is deployed there by itself, as `a push to develop once its builds are green`; empty where nothing is."""
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
    """Those by themselves that a newer one for the same place comes instead of: what waits and nobody is stopping."""
    place = (plan.app, plan.environment)
    return tuple(
        one
        for one in tables.deployments.open()
        if one.wish and (one.plan.app, one.plan.environment) == place
        if one.state is State.WAITING and not one.cancel_by
    )


def skipped_by(older: tuple[Deployment, ...]) -> tuple[int, ...]:
    """All that are skipped with them: what they had come in place of, too."""
    return tuple(sorted({number for one in older for number in (*one.skipped, one.number)}))
