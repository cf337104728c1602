"""An app without a repository that a person updates and edits by hand, on a real Engine."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from dataclasses import replace

import pytest

from deploybot.deployments.auto_targets import insist_unedited
from deploybot.domain import AutoRule, Deployment, EffectKind, Plan, Release, State, Trigger, TriggerState
from deploybot.errors import UserError
from tests.lab import Engine, Registry, web
from tests.strategies.compose_shop import PLUGIN, ComposeInstall, labels, make_shop, page, push, trusted
from tests.strategies.test_image_apps_lab import ImageShop, shop

__all__ = ["make_shop", "shop", "trusted"]


@pytest.fixture
def flavour() -> ComposeInstall:
    return PLUGIN


def by_hand(shop: ImageShop, *words: str) -> None:
    """A person runs `docker compose` in the folder."""
    env = {**shop.shop.host.env, "COMPOSE_PROJECT_NAME": "shop-production"}
    subprocess.run(["docker", "compose", *words], cwd=shop.shop.directory, env=env, check=True, capture_output=True)


def push_side(engine: Engine, registry: Registry, text: str) -> str:
    """Push an image of another repository under `main`; return its digest."""
    name = registry.name("side", "main")
    engine.load(web(name, text))
    engine.docker("push", name)
    found = engine.docker("image", "inspect", "--format", '{{join .RepoDigests "\\n"}}', name).split()[0]
    engine.docker("image", "rm", name)
    return found.partition("@")[2]


def side_runs(shop: ImageShop, name: str) -> None:
    """The file names another image for the side."""
    file = shop.shop.directory / "compose.yaml"
    head, sep, tail = file.read_text().partition("  side:\n")
    lines = [f"    image: {name}" if line.startswith("    image:") else line for line in tail.splitlines()]
    file.write_text(head + sep + "\n".join(lines) + "\n")


def digest_of(release: Release, service: str) -> str:
    found = release.image(service)
    assert found is not None
    return found.digest


@pytest.mark.timeout(300)
async def test_a_tag_of_one_service_moves_no_other_after_an_update_by_hand(shop: ImageShop, engine: Engine) -> None:
    push(engine, shop.registry, "one", "stable")
    first = push_side(engine, shop.registry, "s1")
    shop.write(side=True)
    side_runs(shop, shop.registry.name("side", "main"))
    await shop.shop.good("")
    push(engine, shop.registry, "two", "stable")
    by_hand(shop, "pull", "web")
    by_hand(shop, "up", "-d", "web")
    assert page(engine) == "two"
    push(engine, shop.registry, "three", "3.0")
    assert push_side(engine, shop.registry, "s2") != first
    release = await shop.shop.release("3.0")
    assert digest_of(release, "side") == first
    plan = await shop.shop.plan(release)
    assert {one.service: one.kind for one in plan.servers[0].effects} == {
        "side": EffectKind.KEPT,
        "web": EffectKind.RECREATED,
    }
    await shop.shop.good(release)
    assert (page(engine), labels(engine, "side")["deploybot.image"].partition("@")[2]) == ("three", first)
    assert digest_of(await shop.shop.release(""), "side") != first


@pytest.mark.timeout(300)
async def test_a_digest_of_one_program_does_not_get_into_another_of_its_repository(
    shop: ImageShop, engine: Engine
) -> None:
    push(engine, shop.registry, "one", "stable")
    worker = push(engine, shop.registry, "worker", "worker").partition("@")[2]
    shop.write(side=True)
    side_runs(shop, shop.registry.name("shop", "worker"))
    await shop.shop.good("")
    new = push(engine, shop.registry, "two", "stable").partition("@")[2]
    release = await shop.shop.release(new)
    assert (digest_of(release, "web"), digest_of(release, "side")) == (new, worker)
    push(engine, shop.registry, "three", "3.0")
    with pytest.raises(UserError, match="so it is unclear which of them gets the tag `3\\.0`"):
        await shop.shop.release("3.0")


async def refuses(shop: ImageShop, plan: Plan, words: str) -> None:
    with pytest.raises(UserError, match=words):
        await insist_unedited(shop.shop.store, plan, is_automatic=True)


@pytest.mark.timeout(300)
async def test_an_unfinished_edit_is_not_rolled_out_after_an_update_by_hand(shop: ImageShop, engine: Engine) -> None:
    push(engine, shop.registry, "one", "stable")
    by_hand(shop, "up", "-d")
    push(engine, shop.registry, "two", "stable")
    await refuses(shop, await shop.shop.plan(""), "has not deployed shop to web1 yet")
    await shop.shop.good("")
    push(engine, shop.registry, "three", "stable")
    by_hand(shop, "pull")
    by_hand(shop, "up", "-d")
    push(engine, shop.registry, "four", "stable")
    await insist_unedited(shop.shop.store, await shop.shop.plan(""), is_automatic=True)
    shop.write(colour="unfinished")
    await refuses(shop, await shop.shop.plan(""), "are not what the last deployment there used")


async def requested(shop: ImageShop, *, is_automatic: bool) -> int:
    """Request what the tags mean now; return its number."""
    release = await shop.shop.release("")
    ctx = shop.shop._ctx()
    if is_automatic:
        trigger = Trigger(
            app="shop",
            environment="production",
            rule=AutoRule.IMAGE,
            source="images",
            commit="",
            release="x",
            ref="",
            why="w",
            made=0.0,
            state=TriggerState.OPEN,
        )
        added = await shop.shop.store.write(lambda tables: tables.triggers.add(trigger))
        ctx = replace(ctx, incoming=replace(ctx.incoming, trigger=added.number))
    card = await shop.shop.deployments.request(ctx, shop.shop.app, shop.shop.production, release)
    return int(card.key.partition(":")[2])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("is_automatic", [True, False])
async def test_what_waits_does_not_start_after_an_edit(shop: ImageShop, engine: Engine, *, is_automatic: bool) -> None:
    push(engine, shop.registry, "one", "stable")
    await shop.shop.good("")
    push(engine, shop.registry, "two", "stable")
    go = threading.Event()

    def wait() -> None:
        go.wait(100)

    shop.shop.host.before["compose_build"] = wait
    shop.shop.host.before["switch"] = lambda: shop.write(colour="unfinished")
    first: asyncio.Task[Deployment] = asyncio.create_task(shop.shop.deploy(""))
    await shop.shop.seen(2, State.RUNNING)
    push(engine, shop.registry, "three", "stable")
    number = await requested(shop, is_automatic=is_automatic)
    go.set()
    assert (await first).state is State.SUCCEEDED
    await shop.shop.deployments.queue.idle(number)
    ended = await shop.shop.deployments.get(number)
    assert ended is not None
    assert ended.state is State.FAILED
    assert ended.outcome.endswith("Nothing was done.")
    assert ("are not what the last deployment" if is_automatic else "changed since this was planned") in ended.outcome
    assert (page(engine), shop.environment(engine, "COLOUR")) == ("two", "red")


@pytest.mark.timeout(300)
async def test_an_image_that_was_built_on_the_server_is_looked_up_nowhere(shop: ImageShop, engine: Engine) -> None:
    engine.load(web("shop-built-here:1", "built"))
    file = shop.shop.directory / "compose.yaml"
    file.write_text(file.read_text().replace(shop.registry.name("shop", "stable"), "shop-built-here:1"))
    by_hand(shop, "up", "-d")
    with pytest.raises(UserError, match="may be somebody else"):
        await shop.shop.release("")
