"""The adapters between the core and the outside world, made from bot.toml."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from deploybot.config import secrets_of
from deploybot.deployments.retention import releases_in_need
from deploybot.masking import Redactor
from deploybot.ports import ArtifactUploads, Clock, Engine, Images, RefSource, Servers, Store
from deploybot.server_pool import SshServers
from deploybot.settings import App, Server, Settings
from deploybot.sources.artifacts import Artifacts
from deploybot.sources.git_mirror import LOCK_WITHIN
from deploybot.sources.git_source import GitSource
from deploybot.sources.no_repository import Repositories
from deploybot.ssh.ssh_pool import Pool
from deploybot.store.database import Database

_BESIDE_WITHIN = 5.0


class SystemClock:
    """ports.Clock over the system's clock."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()


@dataclass(frozen=True, slots=True, kw_only=True)
class Infrastructure:
    """The ports that the core uses. Tests may wrap or replace them."""

    store: Store
    servers: Servers
    refs: RefSource
    redactor: Redactor
    clock: Clock
    images: Images | None = None
    uploads: ArtifactUploads | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters(Infrastructure):
    """The real adapters, including those that must be opened and closed."""

    database: Database
    pool: SshServers


def adapters(settings: Settings, *, beside: bool = False) -> Adapters:
    """Return the real adapters.

    With `beside`, a bot may be running with the same settings. Its forwarded sockets are left alone, and its fetches
    are hardly waited for.
    """
    redactor = Redactor(secrets_of(settings))
    database = Database(settings.bot.data / "deploybot.db", redactor)
    pool = _servers(settings, None if beside else settings.bot.data / "sockets")
    files = artifacts(settings, database)
    return Adapters(
        database=database,
        pool=pool,
        store=database,
        servers=pool,
        refs=Repositories(
            GitSource(
                settings.bot.data,
                redactor,
                lock_within=_BESIDE_WITHIN if beside else LOCK_WITHIN,
                signers=settings.signers,
            ),
            files,
        ),
        redactor=redactor,
        clock=SystemClock(),
        images=_images(settings, SystemClock()),
        uploads=files,
    )


def artifacts(settings: Settings, store: Store) -> Artifacts:
    """Return the artifacts of all apps. Those that a deployment may still need are never deleted."""

    async def needed(app: App) -> Collection[str]:
        return await store.read(lambda tables: releases_in_need(tables, app))

    return Artifacts(settings.bot.data, SystemClock(), needed)


def _servers(settings: Settings, sockets: Path | None) -> SshServers:
    """Return all servers over one pool. The Engine client takes 20 MB, so it is imported when first needed."""
    pool = Pool(settings.servers, sockets=sockets)

    def engine(server: Server) -> Engine | None:
        from deploybot.engine import docker_engine  # noqa: PLC0415  see above

        return docker_engine.engine(server, pool, servers.host(server.name))

    servers = SshServers(settings.servers, pool, engine)
    return servers


def _images(settings: Settings, clock: Clock) -> Images | None:
    """Return the registries if an app has images. aiohttp is imported only then."""
    if not any(one.has_images for app in settings.apps.values() for one in app.everywhere()):
        return None
    from deploybot.sources.image_source import Registries  # noqa: PLC0415  see above

    return Registries(settings.registries.items(), clock)
