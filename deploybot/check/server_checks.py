"""Check a server: its connection, its tools, the apps' directories, and whether jobs survive a lost connection."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from deploybot.check.check_results import CheckState, Row
from deploybot.check.registry_checks import try_logins
from deploybot.domain import JobState, JobStatus, Release, ServerFacts, short_id
from deploybot.errors import DeploybotError, EngineError, HostKeyMismatch, Unreachable, UserError
from deploybot.observed_state import runs_containers
from deploybot.part_tables import has_containers
from deploybot.ports import Engine, Host, Servers, Site
from deploybot.settings import App, Environment, Server, Settings
from deploybot.strategies import STRATEGIES
from deploybot.units import show_duration, show_size

_SCRIPT = "survive"
_JOB_DEADLINE = 20.0
_RETRIES = (0.1, 0.5)
_ANY = Release.of_commit("0" * 40)
_INSTEAD_OF_GIT = frozenset({"tar", "gzip"})
_KILLED = (
    "The server kills processes when their session ends. Run `loginctl enable-linger USER` there, or set "
    "`KillUserProcesses=no` in /etc/systemd/logind.conf."
)


class ServerLinks(Servers, Protocol):
    """All servers, and a way to break the connection to one of them."""

    async def drop(self, name: str) -> None:
        """Cut the connection to a server without notice, as a broken network would."""


@dataclass(frozen=True, slots=True)
class _CheckedTarget:
    """An environment that uses a server."""

    app: App
    environment: Environment

    @property
    def directory(self) -> str:
        """Return its directory on the server."""
        return self.app.bot_folder


async def try_server(server: Server, settings: Settings, links: ServerLinks) -> AsyncIterator[Row]:
    """Yield a row for each check of the server. An unreachable server is one row."""
    subject = f"server {server.name}"
    host = links.host(server.name)
    started = time.monotonic()
    try:
        facts = await host.facts()
    except Unreachable as error:
        yield Row(subject, "connection", CheckState.FAILED, error.why, _connection_cure(server, error))
        return
    took = show_duration(time.monotonic() - started)
    yield Row(
        subject, "connection", CheckState.OK, f"{server.ssh} answers in {took}, its host key matches the pinned one"
    )
    yield Row(subject, "user", CheckState.OK, f"{facts.user or server.user} (uid {facts.uid}) on {facts.system}")
    yield _tools(subject, facts)
    targets = _targets_on(server.name, settings)
    yield _room(subject, facts)
    if server.docker or any(runs_containers(one.app) for one in targets):
        yield await _engine(subject, links.engine(server.name), server, facts)
    if any(has_containers(one.app.strategy) for one in targets):
        yield _compose(subject, facts)
    if facts.compose:
        async for row in try_logins(subject, settings, (one.app for one in targets), host):
            yield row
    for one in targets:
        yield await _folder(subject, one, host)
    yield await _survival(subject, server, host, links)


def _connection_cure(server: Server, error: Unreachable) -> str:
    trust = f"`deploybot trust {server.name}`"
    if not server.host_key:
        return f"{trust} shows the server's fingerprint and pins it."
    if isinstance(error, HostKeyMismatch):
        return f"If the server was reinstalled, {trust} shows the new fingerprint. If not, find out who answers there."
    return (
        error.hint or f"Try `ssh -p {server.port} {server.user}@{server.host}` from here, and check the server's sshd."
    )


def _targets_on(name: str, settings: Settings) -> list[_CheckedTarget]:
    return [
        _CheckedTarget(app.at(environment), environment)
        for app in settings.apps.values()
        for environment in app.environments.values()
        if name in environment.servers
    ]


def _tools(subject: str, facts: ServerFacts) -> Row:
    missing = [tool for tool in facts.tools_missing if not (facts.git and tool in _INSTEAD_OF_GIT)]
    if missing:
        return Row(subject, "tools", CheckState.FAILED, f"missing: {', '.join(missing)}", "Install them on the server.")
    return Row(
        subject, "tools", CheckState.OK, "all found" if facts.git else "all found, with tar and gzip instead of git"
    )


async def _folder(subject: str, target: _CheckedTarget, host: Host) -> Row:
    """Check whether a release could be deployed to a target now, by the same rules as a deployment."""
    what = f"{target.app.name}/{target.environment.name}"
    directory = target.directory
    try:
        facts = await host.facts(directory)
        site = Site(app=target.app, environment=target.environment, facts=facts)
        STRATEGIES[target.app.strategy].check(site, _ANY)
    except Unreachable as error:
        return Row(subject, what, CheckState.FAILED, error.why, error.hint)
    except UserError as error:
        return Row(subject, what, CheckState.FAILED, error.sentence, error.hint)
    runs = f", {short_id(facts.current)} runs there" if facts.current else ""
    return Row(subject, what, CheckState.OK, f"{directory} is writable, {show_size(facts.disk_free)} free{runs}")


def _room(subject: str, facts: ServerFacts) -> Row:
    disk = f"{show_size(facts.disk_free)} of {show_size(facts.disk_total)} of disk free"
    return Row(subject, "room", CheckState.OK, f"{disk}, {show_size(facts.memory_available)} of memory available")


async def _engine(subject: str, engine: Engine | None, server: Server, facts: ServerFacts) -> Row:
    if engine is None:
        return Row(subject, "Docker", CheckState.SKIPPED, "no Engine")
    where = server.docker or facts.docker_host.removeprefix("unix://")
    try:
        return Row(subject, "Docker", CheckState.OK, f"Engine {await engine.version()} at {where}")
    except Unreachable as error:
        fix = error.hint or (
            f"On the server: `systemctl start docker`, and `sudo usermod -aG docker {server.user}`, "
            "which gives that user root access there."
        )
        return Row(subject, "Docker", CheckState.FAILED, error.why, fix)
    except EngineError as error:
        return Row(subject, "Docker", CheckState.FAILED, str(error), "The bot works with Docker 20.10 and later.")


def _compose(subject: str, facts: ServerFacts) -> Row:
    if not facts.compose:
        return Row(subject, "Compose", CheckState.SKIPPED, "none")
    return Row(subject, "Compose", CheckState.OK, f"`{' '.join(facts.compose)}` {facts.compose_version}")


async def _survival(subject: str, server: Server, host: Host, links: ServerLinks) -> Row:
    """Start a job, cut the connection and connect again. A server that kills the job cannot be used."""
    what = "detached job"
    job = f"check-{server.name}-{secrets.token_hex(4)}"
    try:
        started = await host.start(job, _SCRIPT, {}, deadline=_JOB_DEADLINE)
        if started.state is not JobState.RUNNING:
            return Row(subject, what, CheckState.FAILED, f"right after its start, the job is {started.state}", _KILLED)
        await links.drop(server.name)
        ended = await _wait(host, job)
        chunk = await host.poll(job, 0)
        await host.forget([job])
    except Unreachable as error:
        return Row(subject, what, CheckState.FAILED, str(error), error.hint)
    except DeploybotError as error:
        return Row(subject, what, CheckState.FAILED, str(error), _KILLED)
    if ended.state is JobState.DONE and ended.code == 0 and chunk.data.endswith(b"survived\n"):
        return Row(
            subject,
            what,
            CheckState.OK,
            "continued while the connection was down; its result and log were read afterwards",
        )
    return Row(subject, what, CheckState.FAILED, f"after the connection was cut, the job is {ended.state}", _KILLED)


async def _wait(host: Host, job: str) -> JobStatus:
    """Return the job's end. The first calls may still use the connection that was cut."""
    for pause in _RETRIES:
        with contextlib.suppress(Unreachable):
            return await host.wait(job, timeout=_JOB_DEADLINE)
        await asyncio.sleep(pause)
    return await host.wait(job, timeout=_JOB_DEADLINE)
