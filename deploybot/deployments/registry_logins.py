"""Decide which registry logins of bot.toml a step gets: none, unless `apps` of a registry names the app."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from deploybot.domain import Step, canonical_image
from deploybot.domain.registry_access import LOGINS, RegistryAccess, logins_text
from deploybot.settings import EVERY_APP, App, RegistryLogin

PULLED_FROM = "DEPLOYBOT_PULLED_FROM"
"""The value of a build step with the images that it pulls by name, one a line. The strategy computes it."""
_PULLING = frozenset({"compose_build", "compose_images"})
_IMAGE_COLUMNS = 4


def registry_values(
    registries: Mapping[str, RegistryLogin], app: App, step: Step, values: Mapping[str, str]
) -> dict[str, str]:
    """Return the logins for a step, as the value of its job; empty if it needs none.

    A step that builds gets all logins of the app: a Dockerfile may begin with an image from any of these registries.
    """
    if step.script not in _PULLING:
        return {}
    hosts = {canonical_image(name).partition("/")[0] for name in _images(step.script, values)}
    builds = step.script == "compose_build" and bool(values.get("DEPLOYBOT_BUILD"))
    text = logins_text(one for one in app_logins(registries, app).values() if builds or one.host in hosts)
    return {LOGINS: text} if text else {}


def app_logins(registries: Mapping[str, RegistryLogin], app: App) -> dict[str, RegistryAccess]:
    """Return the logins that an app's servers may get, by the names of their tables."""
    return {
        name: RegistryAccess(host_of(one), one.user, one.password.reveal())
        for name, one in registries.items()
        if one.user and one.password and not {app.name, EVERY_APP}.isdisjoint(one.apps)
    }


def host_of(registry: RegistryLogin) -> str:
    """Return the canonical host of a registry, with its port."""
    return canonical_image(f"{registry.host}/x").partition("/")[0]


def _images(script: str, values: Mapping[str, str]) -> Iterator[str]:
    """Yield the names of the images that a step may pull."""
    if script == "compose_build":
        yield from _lines(values, PULLED_FROM)
        yield from _lines(values, "DEPLOYBOT_PINNED")
        return
    for line in _lines(values, "DEPLOYBOT_IMAGES"):
        columns = line.split(" ")
        if len(columns) == _IMAGE_COLUMNS and columns[2] != "-":
            yield columns[2]


def _lines(values: Mapping[str, str], name: str) -> Iterator[str]:
    return (line for line in values.get(name, "").split("\n") if line)
