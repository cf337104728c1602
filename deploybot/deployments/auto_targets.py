"""Automatic deployments: the targets that bot.toml allows, and how a newer one replaces those that wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from deploybot.domain import Deployment, Grant, Person, Plan, Role, ServerPlan, State
from deploybot.errors import UserError
from deploybot.ports import Store, Tables
from deploybot.settings import Auto, Environment, Settings
from deploybot.wording import listed


def targets(settings: Settings) -> frozenset[tuple[str, str]]:
    """Return the targets (app, environment) that bot.toml deploys automatically, without asking."""
    found = ((app.name, one) for app in settings.apps.values() for one in app.environments.values())
    return frozenset((app, one.name) for app, one in found if one.auto is not None and not one.auto.ask)


async def insist_unedited(store: Store, plan: Plan, *, is_automatic: bool) -> None:
    """Raise UserError if a deployment `is_automatic` and would bring a person's changes of Compose files, too.

    They may not be finished. If a person started what runs, the files have to be those of the last deployment there.
    The trigger waits, and is tried again.
    """
    if not is_automatic:
        return
    last = await store.read(lambda tables: _last_configurations(tables, plan))
    known = {part.server: _configuration_of(part, last) for part in plan.servers if part.before is not None}
    edited = [part.server for part in plan.servers if known.get(part.server, part.configuration) != part.configuration]
    if unknown := [server for server in edited if not known[server]]:
        raise UserError(
            f"deploybot has not deployed {plan.app} to {listed(unknown)} yet, and something runs there, so an "
            "automatic deployment does not take it over.",
            hint=f"Deploy it once: deploy {plan.app} to {plan.environment}.",
        )
    if edited:
        raise UserError(
            f"The Compose files of {plan.app} on {listed(edited)} are not what the last deployment there used, and a "
            "new image does not bring such changes along.",
            hint=f"Deploy them: deploy {plan.app} to {plan.environment}. Or undo the changes.",
        )


def insist_same_files(old: Plan, new: Plan) -> None:
    """Raise UserError if Compose files on servers changed between a plan and the one at the start of its deployment."""
    before = {part.server: part.configuration for part in old.servers}
    changed = [part.server for part in new.servers if before.get(part.server, part.configuration) != part.configuration]
    if changed:
        raise UserError(
            f"The Compose files of {new.app} on {listed(changed)} changed since this was planned.",
            hint="Request it again. Its plan shows what the changes do.",
        )


def _configuration_of(part: ServerPlan, last: Mapping[str, str]) -> str:
    """Return the hash of the configuration that a server runs, or of its last deployment if a person started it."""
    recorded = part.before.configuration if part.before else ""
    return recorded or (last.get(part.server, "") if part.configuration else "")


def _last_configurations(tables: Tables, plan: Plan) -> dict[str, str]:
    """Return the hash of the configuration of the last deployment that put a release on each server."""
    target = (plan.app, plan.environment)
    manifests = {
        row.server: {one.release: one.manifest for one in tables.manifests.of_target(*target, row.server)}
        for row in tables.running.get(*target)
    }
    found = {}
    for row in tables.running.get(*target):
        made = tables.deployments.get(row.deployment)
        parts = made.plan.servers if made is not None and made.plan.release.id == row.release.id else ()
        planned = next((part.configuration for part in parts if part.server == row.server), "")
        manifest = manifests[row.server].get(row.release.id)
        found[row.server] = planned or (manifest.configuration if manifest else "")
    return found


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
