"""A release that is deployed again with other images: its good record stays until the new ones are verified."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.deployments.kept_manifests import MOST_RECORDS
from deploybot.domain import Deployment, ManifestRow, State
from deploybot.ports import Tables
from deploybot.status.status_board import StatusBoard
from deploybot.testing import Outcome
from tests.deployments.test_containers import ComposedServer, composed, good, runs, server
from tests.kit.bot import V1, V2, BotUnderTest
from tests.strategies.sites import image_id

__all__ = ["composed", "server"]


@pytest.fixture
def moving(composed: BotUnderTest, server: ComposedServer) -> BotUnderTest:
    """A shop whose Compose file names images by a tag that moves."""
    server.host.services = {"web": {"image": "acme/shop:latest"}}
    compose = composed.app.compose.model_copy(update={"source": "images"})
    composed.settings.apps["shop"] = composed.app.model_copy(update={"compose": compose})
    return composed


def on_failure(bot: BotUnderTest, policy: str) -> None:
    """What becomes of a release that fails."""
    production = bot.app.environments["production"].model_copy(update={"on_failure": policy})
    bot.settings.apps["shop"] = bot.app.model_copy(update={"environments": {"production": production}})


async def left(bot: BotUnderTest, server: ComposedServer) -> Deployment:
    """Deploy V1, then V1 again when its tag means another image, which is unhealthy and stays; how that ended."""
    await good(bot, V1)
    on_failure(bot, "leave")
    server.moved = "9"
    server.host.script("compose_up", Outcome(effect=server.up_broken), Outcome(effect=server.up))
    ended = await bot.deploy(V1)
    assert ended.state is State.FAILED, ended.outcome
    return ended


async def row(bot: BotUnderTest, *, attempt: bool) -> ManifestRow:
    where = ("shop", "production", "web1", V1.id)
    found = await bot.store.read(lambda tables: tables.manifests.get(*where, attempt=attempt))
    assert found is not None
    return found


def image(row: ManifestRow) -> str:
    return row.manifest.services[0].image


async def test_the_restored_images_of_the_same_release_are_known(moving: BotUnderTest, server: ComposedServer) -> None:
    await good(moving, V1)
    server.moved = "9"
    server.host.script("compose_up", Outcome(effect=server.up_broken), Outcome(effect=server.up))
    ended = await moving.deploy(V1)
    assert ended.state is State.RESTORED, ended.outcome
    assert "Now running: web1 1111111111." in ended.outcome
    assert runs(server) == [image_id("1")]
    for attempt in (False, True):
        kept = await row(moving, attempt=attempt)
        assert (image(kept), kept.verified) == (image_id("1"), True)


async def test_a_failure_that_stays_is_known_and_a_rollback_takes_the_verified_images(
    moving: BotUnderTest, server: ComposedServer
) -> None:
    ended = await left(moving, server)
    assert "Now running: web1 1111111111 (web is unhealthy)." in ended.outcome
    assert runs(server) == [image_id("9")]
    assert (image(await row(moving, attempt=False)), image(await row(moving, attempt=True))) == (
        image_id("1"),
        image_id("9"),
    )
    await good(moving, V1, rollback=True)
    assert runs(server) == [image_id("1")]
    assert image(await row(moving, attempt=True)) == image_id("1")


async def test_what_was_left_is_no_difference_and_is_what_the_next_failure_goes_back_to(
    moving: BotUnderTest, server: ComposedServer
) -> None:
    await left(moving, server)
    board = StatusBoard(moving.hosts, moving.store, moving.clock)
    (line,) = (await board.board([(moving.app, moving.production)])).lines
    assert "v1 (1111111111)" in line.text
    assert "image" not in line.text
    assert "unhealthy" in line.text
    on_failure(moving, "restore")
    server.moved = ""
    server.host.script("compose_up", Outcome(effect=server.up_broken), Outcome(effect=server.up))
    ended = await moving.deploy(V2)
    assert ended.state is State.RESTORED, ended.outcome
    assert runs(server) == [image_id("9")]


async def test_a_restart_of_what_was_left_expects_what_was_left(moving: BotUnderTest, server: ComposedServer) -> None:
    await left(moving, server)
    server.host.script("compose_up", Outcome(effect=server.heal))
    card = await moving.deployments.restart(moving.ctx(), moving.app, moving.production)
    ended = await moving.end_of(int(card.key.partition(":")[2]))
    assert ended.state is State.SUCCEEDED, ended.outcome
    assert runs(server) == [image_id("9")]


async def test_a_success_makes_the_new_images_the_record(moving: BotUnderTest, server: ComposedServer) -> None:
    await good(moving, V1)
    server.moved = "9"
    await good(moving, V1)
    assert runs(server) == [image_id("9")]
    assert image(await row(moving, attempt=False)) == image_id("9")


async def test_a_failed_attempt_does_not_cost_an_older_release_its_images(
    moving: BotUnderTest, server: ComposedServer
) -> None:
    await left(moving, server)
    server.moved = ""
    await good(moving, V2)
    assert runs(server) == [image_id("2")]
    await good(moving, V1, rollback=True)
    assert runs(server) == [image_id("1")]


async def test_records_are_bounded_and_what_runs_stays(moving: BotUnderTest) -> None:
    await good(moving, V1)
    known = await row(moving, attempt=False)

    def age(tables: Tables) -> None:
        for number in range(MOST_RECORDS + 20):
            tables.manifests.put(replace(known, release=f"{number:040x}", at=float(number)))

    await moving.store.write(age)
    await good(moving, V2)
    rows = await moving.store.read(lambda tables: tables.manifests.of_target("shop", "production", "web1"))
    assert len(rows) == MOST_RECORDS
    assert {V1.id, V2.id, f"{MOST_RECORDS + 19:040x}"} <= {one.release for one in rows}
    assert f"{19:040x}" not in {one.release for one in rows}
