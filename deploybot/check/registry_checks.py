"""Check whether the logins of bot.toml's registries work from a server, as a pull there would use them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterable

from deploybot.check.check_results import CheckState, Row
from deploybot.deployments.registry_logins import app_logins
from deploybot.domain import JobState
from deploybot.domain.registry_access import LOGINS, RegistryAccess, logins_text
from deploybot.errors import DeploybotError
from deploybot.part_tables import has_containers
from deploybot.ports import Host
from deploybot.settings import App, RegistryLogin, Settings

_SCRIPT = "registry_login"
_WITHIN = 10.0


async def try_logins(subject: str, settings: Settings, apps: Iterable[App], host: Host) -> AsyncIterator[Row]:
    """Yield a row for each registry whose login the apps of a server use. A job asks, and nothing of it stays."""
    found: dict[str, RegistryAccess] = {}
    for app in apps:
        if has_containers(app.strategy):
            found |= app_logins(settings.registries, app)
    if not found:
        return
    try:
        answers = await _ask(host, found.values())
    except DeploybotError as problem:
        yield Row(subject, "registry login", CheckState.FAILED, str(problem), getattr(problem, "hint", ""))
        return
    for name, login in found.items():
        what, why = f"registry {name}", answers.get(login.host, f"no answer within {_WITHIN:.0f} s")
        if why == "ok":
            yield Row(subject, what, CheckState.OK, f"{login.user} can log in to {login.host} from there")
        else:
            yield Row(subject, what, CheckState.FAILED, f"{login.host}: {why}", _fix(name, settings.registries[name]))


def _fix(name: str, registry: RegistryLogin) -> str:
    plain = "Is it in `insecure-registries` of Docker there? " if registry.plain else ""
    return (
        f"{plain}Check user and password in [registries.{name}], and that the server reaches {registry.host}. "
        "Without `apps` there, the login stays with the bot."
    )


async def _ask(host: Host, logins: Iterable[RegistryAccess]) -> dict[str, str]:
    """Return what each registry answers, by its host."""
    known = list(logins)
    job = f"login-{secrets.token_hex(8)}"
    values = {"DEPLOYBOT_REGISTRIES": "\n".join(one.host for one in known), LOGINS: logins_text(known)}
    status = await host.start(job, _SCRIPT, values, deadline=_WITHIN)
    if status.state is JobState.RUNNING:
        status = await host.wait(job, timeout=_WITHIN)
    if status.state is JobState.RUNNING:
        await host.cancel(job, grace=1)
    chunk = await host.poll(job, 0)
    await host.forget([job])
    lines = (line.partition(" ") for line in chunk.data.decode("utf-8", "replace").splitlines())
    return {name: why for name, _, why in lines}
