"""Ask a server and its Engine at the same time what runs there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from deploybot.domain import Container, EngineFacts, Image, Observed
from deploybot.errors import DeploybotError, EngineError, ServerDown, Unreachable
from deploybot.part_tables import has_containers
from deploybot.ports import Engine, Servers
from deploybot.settings import App, Environment, project_name
from deploybot.untrusted_input import failure_of

T = TypeVar("T")

OBSERVE_WITHIN = 15.0
"""Seconds for a server and its Engine to answer everything."""


def runs_containers(app: App) -> bool:
    """Return whether an app is expected to run in the containers of its Compose project."""
    return has_containers(app.strategy) or app.compose.project is not None or bool(app.logs and app.logs.docker)


async def within(
    ask: Callable[[], Awaitable[T]], what: str, seconds: float, *, late: type[Unreachable] = Unreachable
) -> T | DeploybotError:
    """Ask, and return the answer or the error why it failed or is unusable: one server's error must not affect others.

    `late` is the error for no answer within `seconds`.

    A function is passed, not its coroutine: a look that is cancelled before it begins leaves none behind unawaited.
    """
    try:
        async with asyncio.timeout(seconds):
            return await ask()
    except TimeoutError:
        return late(what, f"no answer within {seconds:.0f} s")
    except Exception as problem:  # noqa: BLE001  of any class
        return failure_of(what, problem)


async def observe(
    servers: Servers,
    app: App,
    environment: Environment,
    server: str,
    *,
    directory: str = "",
    timeout: float = OBSERVE_WITHIN,
) -> Observed:
    """Ask a server and its Engine at the same time for all that a plan needs. Raises Unreachable or EngineError.

    The Engine is asked only if the app runs containers. `directory` replaces the bot's folder for the app.
    """
    app = app.at(environment)
    where = directory or app.bot_folder
    facts, seen = await asyncio.gather(
        within(lambda: servers.host(server).facts(where, timeout=timeout), server, timeout, late=ServerDown),
        within(lambda: _engine_view(servers, app, environment, server), f"Docker on {server}", timeout),
    )
    if isinstance(facts, DeploybotError):
        raise facts
    if isinstance(seen, DeploybotError):
        raise seen
    return Observed(
        facts=facts,
        project=seen.project,
        containers=seen.containers,
        others=seen.others,
        images=seen.images,
        networks=seen.networks,
        volumes=seen.volumes,
        engine=seen.engine,
        at=time.time(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _EngineView:
    """The part of `Observed` that comes from an Engine."""

    project: str = ""
    containers: tuple[Container, ...] = ()
    others: tuple[Container, ...] = ()
    images: tuple[Image, ...] = ()
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    engine: EngineFacts | None = None


async def _engine_view(servers: Servers, app: App, environment: Environment, server: str) -> _EngineView:
    if not runs_containers(app):
        return _EngineView()
    engine, project = servers.engine(server), project_name(app, environment)
    if engine is None:
        raise EngineError(f"bot.toml sets no Docker Engine for {server}")
    (containers, images), everything, networks, volumes, info = await asyncio.gather(
        _with_images(engine, project), engine.all_containers(), engine.networks(), engine.volumes(), engine.info()
    )
    return _EngineView(
        project=project,
        containers=_with_lost_networks(containers, everything),
        others=tuple(one for one in everything if one.project != project),
        images=images,
        networks=networks,
        volumes=volumes,
        engine=info,
    )


def _with_lost_networks(containers: Sequence[Container], others: Sequence[Container]) -> tuple[Container, ...]:
    """Mark containers that use the network of a container that is gone: they are cut off, too."""
    return tuple(
        replace(one, cut_off=True)
        if one.network_of and not any(other.is_called(one.network_of) for other in (*containers, *others))
        else one
        for one in containers
    )


async def _with_images(engine: Engine, project: str) -> tuple[tuple[Container, ...], tuple[Image, ...]]:
    """Return the containers of a project, and the images that they run."""
    containers = await engine.containers(project)
    wanted = sorted({one.image_id for one in containers if one.image_id})
    images = await asyncio.gather(*map(engine.image, wanted))
    return containers, tuple(one for one in images if one)
