"""Find out about a server for `deploybot init`: its host key, and the Compose projects that already run there."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploybot.errors import Unreachable

if TYPE_CHECKING:
    from deploybot.domain import Container
    from deploybot.settings import Server, Settings

KNOWN_HOSTS = (Path("~/.ssh/known_hosts"), Path("/etc/ssh/ssh_known_hosts"))
ASK_WITHIN = 20.0
_WORKING_DIR = "com.docker.compose.project.working_dir"
_PREFERRED = ("ssh-ed25519", "ecdsa-", "ssh-rsa")


@dataclass(frozen=True, slots=True)
class RunningProject:
    """A Compose project that runs on a server: its services, the folder it was started from, and what it mounts of it.

    `mounted` are paths relative to `folder`.
    """

    name: str
    services: tuple[str, ...]
    folder: str = ""
    mounted: tuple[str, ...] = ()


def known_key(server: Server, files: Sequence[Path] = KNOWN_HOSTS) -> str:
    """Return the host key that this user's `ssh` trusts for a server, as a line; empty if it knows none.

    The format of the files is that of sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
    """
    import asyncssh

    there = [str(path) for one in files if (path := one.expanduser()).is_file()]
    try:
        keys, _, revoked, *_ = asyncssh.match_known_hosts(
            asyncssh.read_known_hosts(there), server.host, server.host, server.port
        )
    except (OSError, ValueError):
        return ""
    lines = [key.export_public_key().decode().strip() for key in keys if key not in revoked]
    ordered = (line for start in _PREFERRED for line in lines if line.startswith(start))
    return " ".join(next(ordered, "").split()[:2])


async def running_projects(settings: Settings, name: str) -> tuple[RunningProject, ...]:
    """Ask a server's Engine which Compose projects run. Raises Unreachable or EngineError."""
    import asyncio

    from deploybot.wiring.infrastructure import adapters

    world = adapters(settings, beside=True)
    try:
        async with asyncio.timeout(ASK_WITHIN):
            engine = world.pool.engine(name)
            return projects_of(await engine.all_containers()) if engine else ()
    except TimeoutError as problem:
        raise Unreachable(name, f"no answer within {ASK_WITHIN:.0f} s") from problem
    finally:
        await world.pool.close()


def projects_of(containers: Iterable[Container]) -> tuple[RunningProject, ...]:
    """Return the running containers by their Compose project, sorted by name."""
    found: dict[str, list[Container]] = {}
    for one in containers:
        if one.project and one.service and one.state == "running" and not one.oneoff:
            found.setdefault(one.project, []).append(one)
    return tuple(_project(name, found[name]) for name in sorted(found))


def _project(name: str, containers: Sequence[Container]) -> RunningProject:
    folder = containers[0].label(_WORKING_DIR)
    inside = (
        posixpath.relpath(mount.source, folder)
        for one in containers
        for mount in one.mounts
        if folder and mount.kind == "bind" and mount.source.startswith(f"{folder}/")
    )
    services = tuple(sorted({one.service for one in containers}))
    return RunningProject(name, services, folder, tuple(sorted(set(inside))))


def same_app(projects: Iterable[RunningProject], names: Collection[str]) -> RunningProject | None:
    """Return the one project whose name or folder is that of the app or its repository; None if several match."""
    called = {name.lower() for name in names if name}
    same = [one for one in projects if called & {one.name.lower(), posixpath.basename(one.folder).lower()}]
    return same[0] if len(same) == 1 else None
