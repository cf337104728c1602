"""What a release yields depends on variables of the server: its record follows what it really runs with."""

from __future__ import annotations

from collections.abc import Sequence

from deploybot.domain import Container, ServiceImage, State
from deploybot.status.status_board import StatusBoard
from deploybot.testing import Outcome
from tests.deployments.test_containers import ComposedServer, composed, good, manifests, server
from tests.kit.bot import V1, V2, BotUnderTest
from tests.strategies.sites import PROJECT

__all__ = ["composed", "server"]


def set_web(server: ComposedServer, **more: object) -> None:
    """Change what the Compose files of every release yield, as `.env` and secrets do."""
    server.host.services = {"web": {"build": {"context": "."}, **more}}


def there(server: ComposedServer) -> Sequence[Container]:
    return server.engine.all[PROJECT]


def label(server: ComposedServer) -> str:
    (found,) = {one.label("deploybot.settings") for one in there(server)}
    return found


async def record(bot: BotUnderTest, release: str = V1.id) -> ServiceImage:
    (web,) = (await manifests(bot))[release].manifest.services
    return web


async def status(bot: BotUnderTest) -> str:
    board = StatusBoard(bot.hosts, bot.store, bot.clock)
    (line,) = (await board.board([(bot.app, bot.production)])).lines
    return line.text


async def test_a_rollback_expects_as_many_containers_as_the_files_yield_now(
    composed: BotUnderTest, server: ComposedServer
) -> None:
    set_web(server, scale=3)
    await good(composed, V1)
    set_web(server, scale=2)
    await good(composed, V2)
    await good(composed, V1, rollback=True)
    assert (len(there(server)), (await record(composed)).replicas) == (2, 2)


async def test_the_same_release_with_other_settings_is_recorded_with_them(
    composed: BotUnderTest, server: ComposedServer
) -> None:
    set_web(server, environment={"KEY": "old"})
    await good(composed, V1)
    old = label(server)
    set_web(server, environment={"KEY": "new"})
    await good(composed, V1)
    assert label(server) != old
    assert (await record(composed)).settings == label(server)
    assert "settings" not in await status(composed)


async def test_a_release_comes_back_with_as_many_containers_as_it_had(
    composed: BotUnderTest, server: ComposedServer
) -> None:
    set_web(server, scale=3)
    await good(composed, V1)
    set_web(server, scale=2)
    server.host.script("compose_up", Outcome(effect=server.up_broken), Outcome(effect=server.up))
    ended = await composed.deploy(V2)
    assert ended.state is State.RESTORED, ended.outcome
    assert (len(there(server)), (await record(composed)).replicas) == (3, 3)


async def test_a_restored_release_is_recorded_with_the_settings_that_it_has_now(
    composed: BotUnderTest, server: ComposedServer
) -> None:
    set_web(server, environment={"KEY": "old"})
    await good(composed, V1)
    old = label(server)
    set_web(server, environment={"KEY": "new"})
    server.host.script("compose_up", Outcome(effect=server.up_broken), Outcome(effect=server.up))
    ended = await composed.deploy(V2)
    assert ended.state is State.RESTORED, ended.outcome
    assert (await record(composed)).settings == label(server) != old
    assert "settings" not in await status(composed)


async def test_a_failure_elsewhere_leaves_the_record_of_what_was_not_touched(
    composed: BotUnderTest, server: ComposedServer
) -> None:
    await good(composed, V1)
    known = await record(composed)
    set_web(server, environment={"KEY": "new"})
    server.host.script("compose_build", Outcome(code=1))
    ended = await composed.deploy(V2)
    assert ended.state is State.FAILED, ended.outcome
    assert await record(composed) == known
