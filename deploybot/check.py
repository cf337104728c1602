"""`deploybot check`: really tries every server, repository and chat of bot.toml, all at once, each within a deadline.

It stands on ports only. What was tried becomes a `Row`, and a row that failed says what to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import enum
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from deploybot.domain import Heads, JobState, JobStatus, Release, ServerFacts, short_id
from deploybot.errors import DeploybotError, EngineError, HostKeyMismatch, Unreachable, UserError
from deploybot.events.auto.hints import autos
from deploybot.events.auto.rules import newest_tag
from deploybot.events.patterns import fits
from deploybot.ports import Engine, Finding, Host, Images, RefSource, Servers
from deploybot.settings import App, Auto, Environment, Server, Settings
from deploybot.strategies.needs import check_compose, check_server
from deploybot.strategies.steps import Site
from deploybot.units import show_duration, show_size

WITHIN = 30.0
_SCRIPT = "survive"
_JOB_DEADLINE = 20.0
_RETRIES = (0.1, 0.5)
_ANY = Release("0" * 40)
_INSTEAD_OF_GIT = frozenset({"tar", "gzip"})


class Links(Servers, Protocol):
    """All servers, and a way to break the connection to one of them."""

    async def drop(self, name: str) -> None:
        """Cut the connection to a server without a word, as a broken link would."""


class State(enum.StrEnum):
    """How a try ended."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Row:
    """One try: of whom (`server web1`), what, how it ended, what was seen, and the cure where it failed."""

    subject: str
    what: str
    state: State
    says: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class _Placed:
    """An environment that uses a server."""

    app: App
    environment: Environment

    @property
    def directory(self) -> str:
        """Where it lives on the server."""
        return self.environment.directory or self.app.directory


async def check(
    settings: Settings,
    links: Links,
    refs: RefSource,
    *,
    images: Images | None = None,
    chats: Mapping[str, AsyncIterator[Finding]] = MappingProxyType({}),
    mask: Callable[[str], str] = str,
    within: float = WITHIN,
) -> tuple[Row, ...]:
    """Try everything at once; a server, repository, image or chat has `within` seconds, one that hangs costs its row.

    `chats` try themselves, by name. `mask` takes secrets out of what others said.
    """
    tries = [
        _bounded(f"server {name}", _server(server, settings, links), within)
        for name, server in settings.servers.items()
    ]
    tries += [_bounded(f"app {name}", _repository(app, refs), within) for name, app in settings.apps.items()]
    if images is not None:
        tries += [
            _bounded(f"app {name}", _image(app, service, images), within)
            for name, app in settings.apps.items()
            for service in app.images
        ]
    watched = [app for app in settings.apps.values() if autos(app)]
    tries += [_bounded(f"app {app.name}", _by_itself(app, refs), within) for app in watched]
    tries += [_bounded(name, _chat(name, findings), within) for name, findings in chats.items()]
    rows = [_data(settings.bot.data), *(row for rows in await asyncio.gather(*tries) for row in rows)]
    return tuple(dataclasses.replace(row, says=mask(row.says), cure=mask(row.cure)) for row in rows)


async def _bounded(subject: str, tries: AsyncIterator[Row], within: float) -> list[Row]:
    """The rows that came in time, and one more where time ran out."""
    rows: list[Row] = []
    try:
        async with asyncio.timeout(within):
            async for row in tries:
                rows.append(row)  # noqa: PERF401  what came before the time ran out is kept
    except TimeoutError:
        cure = "See what keeps it busy; a firewall that swallows packets looks like this, too."
        rows.append(Row(subject, "answer", State.FAILED, f"no answer within {show_duration(within)}", cure))
    except DeploybotError as error:
        rows.append(Row(subject, "answer", State.FAILED, str(error), getattr(error, "hint", "")))
    return rows


def _data(folder: Path) -> Row:
    """Whether the bot can keep anything here; nothing is made."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Row("bot", "data folder", State.OK, f"{folder}" if there == folder else f"{folder}, made at the start")
    cure = f"Make it for the user the bot runs as: `install -d -m 700 -o USER {folder}`."
    return Row("bot", "data folder", State.FAILED, f"{folder} cannot be written by this user", cure)


async def _server(server: Server, settings: Settings, links: Links) -> AsyncIterator[Row]:
    subject = f"server {server.name}"
    host = links.host(server.name)
    started = time.monotonic()
    try:
        facts = await host.facts()
    except Unreachable as error:
        yield Row(subject, "connection", State.FAILED, error.why, _connection_cure(server, error))
        return
    took = show_duration(time.monotonic() - started)
    yield Row(subject, "connection", State.OK, f"{server.ssh} answers in {took}, its host key is the pinned one")
    yield Row(subject, "user", State.OK, f"{facts.user or server.user} (uid {facts.uid}) on {facts.system}")
    yield _tools(subject, facts)
    placed = _placed(server.name, settings)
    yield _room(subject, facts)
    if server.docker:
        yield await _engine(subject, links.engine(server.name), server)
    if any(one.app.strategy == "compose" for one in placed):
        yield _compose(subject, facts)
    for one in placed:
        yield await _place(subject, one, host)
    yield await _survival(subject, server, host, links)


def _connection_cure(server: Server, error: Unreachable) -> str:
    trust = f"`deploybot trust {server.name}`"
    if not server.host_key:
        return f"No host key is pinned: {trust} shows the server's fingerprint and writes it."
    if isinstance(error, HostKeyMismatch):
        return f"If the server was set up anew, {trust} shows the new fingerprint; if not, find out who answers there."
    return error.hint or f"Try `ssh -p {server.port} {server.user}@{server.host}` from here, and look at its sshd."


def _placed(name: str, settings: Settings) -> list[_Placed]:
    return [
        _Placed(app, environment)
        for app in settings.apps.values()
        for environment in app.environments.values()
        if name in environment.servers
    ]


def _tools(subject: str, facts: ServerFacts) -> Row:
    missing = [tool for tool in facts.tools_missing if not (facts.git and tool in _INSTEAD_OF_GIT)]
    if missing:
        return Row(subject, "tools", State.FAILED, f"missing: {', '.join(missing)}", "Install them on the server.")
    return Row(subject, "tools", State.OK, "all there" if facts.git else "all there, with tar and gzip in place of git")


async def _place(subject: str, placed: _Placed, host: Host) -> Row:
    """Whether a release could go there now, by the rules that a deployment asks."""
    what = f"{placed.app.name}/{placed.environment.name}"
    directory = placed.directory
    try:
        facts = await host.facts(directory)
        site = Site(app=placed.app, environment=placed.environment, facts=facts)
        check_server(site, _ANY)
        if placed.app.strategy == "compose":
            check_compose(site)
    except Unreachable as error:
        return Row(subject, what, State.FAILED, error.why, error.hint)
    except UserError as error:
        return Row(subject, what, State.FAILED, error.sentence, error.hint)
    runs = f", {short_id(facts.current)} runs there" if facts.current else ""
    return Row(subject, what, State.OK, f"{directory} can be written, {show_size(facts.disk_free)} free{runs}")


def _room(subject: str, facts: ServerFacts) -> Row:
    disk = f"{show_size(facts.disk_free)} of {show_size(facts.disk_total)} of disk free"
    return Row(subject, "room", State.OK, f"{disk}, {show_size(facts.memory_available)} of memory available")


async def _engine(subject: str, engine: Engine | None, server: Server) -> Row:
    if engine is None:
        return Row(subject, "Docker", State.SKIPPED, "no Engine")
    try:
        return Row(subject, "Docker", State.OK, f"Engine {await engine.version()} at {server.docker}")
    except Unreachable as error:
        cure = error.hint or (
            f"On the server: `systemctl start docker`, and `sudo usermod -aG docker {server.user}`, "
            "which makes that user as mighty as root there."
        )
        return Row(subject, "Docker", State.FAILED, error.why, cure)
    except EngineError as error:
        return Row(subject, "Docker", State.FAILED, str(error), "The bot works with Docker 20.10 and later.")


def _compose(subject: str, facts: ServerFacts) -> Row:
    if not facts.compose:
        return Row(subject, "Compose", State.SKIPPED, "none")
    return Row(subject, "Compose", State.OK, f"`{' '.join(facts.compose)}` {facts.compose_version}")


async def _survival(subject: str, server: Server, host: Host, links: Links) -> Row:
    """Start a job, cut the connection, connect again: a server that kills what a session left cannot be used."""
    what = "detached job"
    job = f"check-{server.name}-{secrets.token_hex(4)}"
    try:
        started = await host.start(job, _SCRIPT, {}, deadline=_JOB_DEADLINE)
        if started.state is not JobState.RUNNING:
            return Row(subject, what, State.FAILED, f"a job that was just started is {started.state}", _KILLED)
        await links.drop(server.name)
        ended = await _wait(host, job)
        chunk = await host.poll(job, 0)
        await host.forget([job])
    except Unreachable as error:
        return Row(subject, what, State.FAILED, str(error), error.hint)
    except DeploybotError as error:
        return Row(subject, what, State.FAILED, str(error), _KILLED)
    if ended.state is JobState.DONE and ended.code == 0 and chunk.data.endswith(b"survived\n"):
        return Row(subject, what, State.OK, "went on while the connection was cut, and its end and log were read after")
    return Row(subject, what, State.FAILED, f"after the connection was cut it is {ended.state}", _KILLED)


async def _wait(host: Host, job: str) -> JobStatus:
    """The job's end. The first calls may still meet the connection that was cut."""
    for pause in _RETRIES:
        with contextlib.suppress(Unreachable):
            return await host.wait(job, timeout=_JOB_DEADLINE)
        await asyncio.sleep(pause)
    return await host.wait(job, timeout=_JOB_DEADLINE)


_KILLED = (
    "Something there ends what a session leaves behind: `loginctl enable-linger USER`, or `KillUserProcesses=no` "
    "in /etc/systemd/logind.conf."
)


async def _chat(name: str, findings: AsyncIterator[Finding]) -> AsyncIterator[Row]:
    async for found in findings:
        yield Row(name, found.what, State.FAILED if found.cure else State.OK, found.says, found.cure)


async def _repository(app: App, refs: RefSource) -> AsyncIterator[Row]:
    subject = f"app {app.name}"
    what = "repository"
    try:
        release = await refs.resolve(app, "")
    except Unreachable as error:
        cure = error.hint or "See that the address is right and that repo_key or repo_token opens it."
        yield Row(subject, what, State.FAILED, f"{app.repo}: {error.why}", cure)
    except UserError as error:
        yield Row(subject, what, State.FAILED, error.sentence, error.hint or "See `branch` in bot.toml.")
    else:
        yield Row(subject, what, State.OK, f"{app.repo}: {release} {release.subject}".rstrip())


async def _image(app: App, service: str, images: Images) -> AsyncIterator[Row]:
    """Whether a registry shows the image of one service, and what it is now."""
    subject, what = f"app {app.name}", f"image {service}"
    of = app.images[service]
    try:
        (pin,) = await images.pins(app.model_copy(update={"images": {service: of}}))
    except Unreachable as error:
        cure = error.hint or f"See that apps.{app.name}.images.{service}.image is right."
        yield Row(subject, what, State.FAILED, str(error), cure)
    except UserError as error:
        yield Row(subject, what, State.FAILED, error.sentence, error.hint)
    else:
        yield Row(subject, what, State.OK, f"{of.image}, {of.tag}: {pin.version}")


async def _by_itself(app: App, refs: RefSource) -> AsyncIterator[Row]:
    """What each look of the bot's own asks, and what it finds for every environment that is deployed by itself."""
    subject = f"app {app.name}"
    try:
        heads = await refs.heads(app)
    except Unreachable as error:
        yield Row(subject, "auto", State.FAILED, error.why, error.hint)
        return
    for name, auto in autos(app).items():
        found, missing = _found(auto, heads)
        if missing:
            cure = f"Push one, or look at apps.{app.name}.environments.{name}.auto."
            yield Row(subject, f"auto {name}", State.FAILED, f"the repository has no {' and no '.join(missing)}", cure)
        elif found:
            yield Row(subject, f"auto {name}", State.OK, ", ".join(found))


def _found(auto: Auto, heads: Heads) -> tuple[list[str], list[str]]:
    """What there is now of what `auto` waits for, and what there is nothing of."""
    found, missing = [], []
    if auto.branch:
        names = [name for name in sorted(heads.branches) if fits(auto.branch, name)]
        found += [f"{name} is {heads.branches[name][:10]}" for name in names]
        missing += [] if names else [f"branch {auto.branch}"]
    if auto.tag:
        tags = {name: commit for name, commit in heads.tags.items() if fits(auto.tag, name)}
        newest = newest_tag(tags, {}, early="-" in auto.tag)
        found += [f"the newest tag is {newest}"] if newest else [f"no tag {auto.tag} yet"]
    return found, missing
