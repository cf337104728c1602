"""Decide by which branch or tag the steps of a release know it: what triggered it, or what it ran with before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from deploybot.deployments.past_releases import good_ways
from deploybot.domain import Release, Trigger
from deploybot.ports import Store, Tables
from deploybot.settings import Environment

LOOK_BACK = 200
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+@#=-]{0,199}", re.ASCII)


class ReleaseNames:
    """Finds the names of releases in the database. A release is shown under the ref that was typed all the same."""

    def __init__(self, store: Store) -> None:
        """Take the database."""
        self._store = store

    async def of_request(self, environment: Environment, release: Release, number: int) -> Release:
        """Return a release that was just named, with the ref of its trigger: of `number`, which is 0 if a person asked.

        A trigger that asks first has a button that names its commit, so a person may ask for it. New images alone
        change no name. From now on the release itself is meant, not what was typed: with the settings of a deployment,
        if its number was.
        """
        named = replace(release, typed=release.typed if release.deployment else None)

        def look(tables: Tables) -> Release:
            trigger = tables.triggers.get(number) if number else tables.triggers.current(*_target(environment))
            pressed = trigger is not None and bool(trigger.ref) and trigger.ref == release.typed
            if trigger is None or not (number or pressed):
                return named
            running = [row.release for row in tables.running.get(*_target(environment))]
            return as_triggered(named, trigger, running)

        return await self._store.read(look)

    async def settings_of(self, environment: Environment, release: Release) -> Mapping[str, str]:
        """Return the settings that are meant with a release, as hashes by server; nothing if it alone is meant."""

        def look(tables: Tables) -> Mapping[str, str]:
            rows = tables.deployments.succeeded(*_target(environment), LOOK_BACK)
            ways = {one.deployment.number: one.settings for one in good_ways(reversed(rows))}
            found = tables.deployments.get(release.deployment)
            is_there = found is not None and (found.plan.app, found.plan.environment) == _target(environment)
            return ways.get(release.deployment) or (found.plan.configurations if found and is_there else {})

        return await self._store.read(look) if release.deployment else {}

    async def of_past(self, environment: Environment, release: Release) -> Release:
        """Return a release to go back to, with the names that it last ran well with there."""

        def look(tables: Tables) -> Release:
            rows = tables.deployments.good(*_target(environment), LOOK_BACK)
            return next(
                (as_known(release, one.plan.release) for one in rows if one.plan.release.id == release.id), release
            )

        return await self._store.read(look)


def as_triggered(release: Release, trigger: Trigger, running: Iterable[Release]) -> Release:
    """Return a release with the branch or tag of its trigger; of images, with the names that its commit runs with."""
    kind, _, name = trigger.source.partition("/")
    if kind in {"heads", "tags"}:
        # A person cannot type other names. A command of bot.toml may put them into a shell's text.
        tag = name if kind == "tags" else ""
        return replace(release, tag=tag, known_as=name) if _PLAIN.fullmatch(name) else release
    return next((as_known(release, one) for one in running if one.same_code(release)), release)


def as_known(release: Release, recorded: Release) -> Release:
    """Return a release with the names of a record of it. A record of the version before has no tag."""
    if not recorded.step_ref:
        return release
    known_as = release.known_as if recorded.step_ref == release.step_ref else recorded.step_ref
    return replace(release, tag=recorded.tag, known_as=known_as)


def _target(environment: Environment) -> tuple[str, str]:
    return environment.app, environment.name
