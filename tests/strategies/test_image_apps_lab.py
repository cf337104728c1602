"""An app without a repository on a real Engine, by all versions of Compose: the server's own file, pinned images."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from deploybot.domain import EffectKind, Release, State
from deploybot.errors import UserError
from deploybot.settings import RegistryLogin
from deploybot.sources.image_source import Registries
from deploybot.wiring.infrastructure import SystemClock
from tests.lab import Engine, Registry, Repo
from tests.strategies.compose_shop import (
    FIVE,
    ONE,
    PLUGIN,
    ComposeInstall,
    ComposeShop,
    MakeShop,
    container,
    flavour,
    labels,
    make_shop,
    page,
    push,
    trusted,
    with_compose,
)

__all__ = ["flavour", "make_shop", "trusted"]

YAML = """{version}
services:
  web:
    image: {image}
    ports: ["8000:8000"]
    stop_grace_period: 1s
    environment: {{COLOUR: "${{COLOUR:-none}}"}}
    volumes: ["./data:/data"]
{more}"""
SIDE = """  side:
    image: {image}
    command: ["sh", "-c", 'trap "exit 0" TERM; sleep 100000 & wait']
    healthcheck: {{disable: true}}
    stop_grace_period: 1s
"""


class ImageShop:
    """The shop without a repository, and its Compose file, which a person edits."""

    def __init__(self, shop: ComposeShop, registry: Registry, flavour: ComposeInstall) -> None:
        self.shop, self.registry, self.flavour = shop, registry, flavour
        self.write()

    def write(self, tag: str = "stable", *, side: bool = False, colour: str = "red") -> None:
        version = 'version: "3.8"' if self.flavour is ONE else ""
        more = SIDE.format(image=self.registry.name("shop", tag)) if side else ""
        text = YAML.format(version=version, image=self.registry.name("shop", tag), more=more)
        (self.shop.directory / "compose.yaml").write_text(text)
        (self.shop.directory / ".env").write_text(f"COLOUR={colour}\n")

    async def effects(self, release: Release | str = "", **more: object) -> Mapping[str, tuple[EffectKind, str]]:
        plan = await self.shop.plan(release, **more)
        return {one.service: (one.kind, one.why) for one in plan.servers[0].effects}

    async def is_changed(self) -> bool:
        """Whether the server says that a person changed the files."""
        return (await self.shop.host.facts(str(self.shop.directory / ".deploybot"))).files_changed

    def environment(self, engine: Engine, name: str) -> str:
        config = container(engine, "web")["Config"]
        assert isinstance(config, dict)
        return str(dict(one.split("=", 1) for one in config["Env"])[name])


@pytest.fixture
async def shop(make_shop: MakeShop, trusted: Registry, flavour: ComposeInstall) -> ImageShop:
    login = RegistryLogin.model_validate({"host": trusted.address, "plain": True})
    images = Registries([("house", login)], SystemClock())
    return ImageShop(await make_shop(None, flavour, images=images), trusted, flavour)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@with_compose(ONE, FIVE)
@pytest.mark.timeout(300)
async def test_cycle_without_a_repository(shop: ImageShop, engine: Engine) -> None:
    one = push(engine, shop.registry, "one", "stable")
    before = files(shop.shop.directory)
    first = await shop.shop.good("")
    assert page(engine) == "one"
    assert labels(engine, "web")["deploybot.image"] == one
    container_id = container(engine, "web")["Id"]
    assert await shop.effects() == {"web": (EffectKind.KEPT, "")}
    push(engine, shop.registry, "two", "stable")
    assert await shop.effects() == {"web": (EffectKind.RECREATED, "image")}
    await shop.shop.good("")
    assert page(engine) == "two"
    # What the registry has now does not matter: the record names the digest.
    shop.registry.stop()
    await shop.shop.good(first.plan.release, rollback=True)
    shop.registry.start()
    assert page(engine) == "one"
    assert container(engine, "web")["Id"] != container_id
    assert files(shop.shop.directory) == before
    assert (await shop.shop.restart()).state is State.SUCCEEDED
    assert page(engine) == "one"


@pytest.mark.timeout(300)
async def test_changed_files_are_said_and_come_with_the_next_release(shop: ImageShop, engine: Engine) -> None:
    push(engine, shop.registry, "one", "stable")
    first = await shop.shop.good("")
    assert (first.plan.warnings, await shop.is_changed()) == ((), False)
    shop.write(side=True, colour="blue")
    assert await shop.is_changed()
    plan = await shop.shop.plan("")
    said = f"The Compose files in {shop.shop.directory} changed since the last deployment."
    assert any(said in one for one in plan.warnings), plan.warnings
    assert {one.service: (one.kind, one.why) for one in plan.servers[0].effects} == {
        "side": (EffectKind.NEW, ""),
        "web": (EffectKind.RECREATED, "settings"),
    }
    second = await shop.shop.good("")
    assert shop.environment(engine, "COLOUR") == "blue"
    assert first.plan.servers[0].configuration != second.plan.servers[0].configuration
    # A release from before lacks the new service's image. A way back brings its settings, too: from the bot's copy.
    with pytest.raises(UserError, match="has no image for side"):
        await shop.shop.plan(first.plan.release)
    assert not await shop.is_changed()
    push(engine, shop.registry, "never deployed", "stable")
    back = await shop.shop.good(first.plan.release, rollback=True)
    assert (page(engine), shop.environment(engine, "COLOUR")) == ("one", "red")
    assert back.plan.servers[0].configuration == first.plan.servers[0].configuration
    assert "side" not in engine.docker("ps", "--format", "{{.Names}}"), "that release had no such service"
    assert await shop.is_changed(), "the files are others than what runs"
    assert (await shop.shop.restart()).state is State.SUCCEEDED
    shop.write(side=True, colour="blue")
    await shop.shop.good("")
    assert (page(engine), shop.environment(engine, "COLOUR")) == ("never deployed", "blue")
    # What was removed from the file goes, and comes not back.
    shop.write()
    await shop.shop.good("")
    assert "side" not in engine.docker("ps", "-a", "--format", "{{.Names}}")


@pytest.mark.timeout(300)
async def test_a_file_that_changes_between_plan_and_start_stops_it(shop: ImageShop, engine: Engine) -> None:
    push(engine, shop.registry, "one", "stable")
    await shop.shop.good("")
    push(engine, shop.registry, "two", "stable")
    started = shop.shop.host.start

    async def start(job: str, script: str, *args: object, **more: object) -> object:
        if script == "compose_build":
            shop.write(colour="black")
        return await started(job, script, *args, **more)  # type: ignore[arg-type]

    shop.shop.host.start = start  # type: ignore[method-assign,assignment]
    failed = await shop.shop.deploy("")
    assert failed.state is State.FAILED, failed
    assert f"The Compose files in {shop.shop.directory} on web1 changed since this was planned" in " ".join(failed.tail)
    assert (page(engine), shop.environment(engine, "COLOUR")) == ("one", "red")


@pytest.mark.timeout(300)
async def test_a_failed_release_goes_back_to_the_settings_that_ran(shop: ImageShop, engine: Engine) -> None:
    push(engine, shop.registry, "one", "stable")
    await shop.shop.good("")
    good = (shop.shop.directory / "compose.yaml").read_text()
    bad = good.replace("    ports:", '    command: ["false"]\n    ports:')
    (shop.shop.directory / "compose.yaml").write_text(bad)
    plan = await shop.shop.plan("")
    assert any(one.endswith("If this fails, the old images and settings are restored.") for one in plan.warnings)
    scripts: list[str] = []
    started = shop.shop.host.start

    async def start(job: str, script: str, *args: object, **more: object) -> object:
        scripts.append(script)
        if scripts.count("compose_images") > 1:  # A person saves a half-written file while the release fails.
            (shop.shop.directory / "compose.yaml").write_text("services: {web: [")
            (shop.shop.directory / ".env").write_text("COMPOSE_PROFILES='")
        return await started(job, script, *args, **more)  # type: ignore[arg-type]

    shop.shop.host.start = start  # type: ignore[method-assign,assignment]
    failed = await shop.shop.deploy("")
    assert failed.state is State.RESTORED, (failed.outcome, failed.tail, scripts)
    assert (page(engine), shop.environment(engine, "COLOUR")) == ("one", "red")
    assert (shop.shop.directory / "compose.yaml").read_text() == "services: {web: ["
    assert await shop.is_changed()


@pytest.mark.timeout(300)
async def test_a_way_back_without_a_copy_starts_nothing_new(shop: ImageShop, engine: Engine) -> None:
    push(engine, shop.registry, "one", "stable")
    first = await shop.shop.good("")
    shop.write(side=True)
    await shop.shop.good("")
    copies = shop.shop.directory / ".deploybot/.deploybot/configurations"
    assert {oct(one.stat().st_mode & 0o777) for one in (copies, *copies.iterdir())} <= {"0o700", "0o600"}
    for one in copies.glob("*.json"):
        one.write_text("{}")
    with pytest.raises(UserError, match="has no image for side"):
        await shop.shop.plan(first.plan.release, rollback=True)


@pytest.mark.timeout(300)
async def test_a_file_that_changes_right_before_the_start_stops_it(shop: ImageShop, engine: Engine) -> None:
    push(engine, shop.registry, "one", "stable")
    await shop.shop.good("")
    push(engine, shop.registry, "two", "stable")
    started = shop.shop.host.start

    async def start(job: str, script: str, *args: object, **more: object) -> object:
        if script == "compose_up" and "one" in page(engine):
            shop.write(colour="black")
        return await started(job, script, *args, **more)  # type: ignore[arg-type]

    shop.shop.host.start = start  # type: ignore[method-assign,assignment]
    failed = await shop.shop.deploy("")
    assert failed.state is State.RESTORED, failed
    assert "changed since this was planned. Deploy again." in " ".join(failed.tail)
    assert (page(engine), shop.environment(engine, "COLOUR")) == ("one", "red")


@pytest.mark.timeout(300)
async def test_without_a_compose_file_nothing_begins(shop: ImageShop) -> None:
    await asyncio.to_thread((shop.shop.directory / "compose.yaml").unlink)
    with pytest.raises(UserError, match=f"Compose cannot read the files in {shop.shop.directory} on web1"):
        await shop.shop.release("")


@pytest.mark.timeout(300)
async def test_an_app_may_get_a_repository_and_lose_it_again(
    make_shop: MakeShop, trusted: Registry, make_repo: Callable[..., Repo], engine: Engine
) -> None:
    login = RegistryLogin.model_validate({"host": trusted.address, "plain": True})
    shop = await make_shop(None, images=Registries([("house", login)], SystemClock()), compose={})
    mine = ImageShop(shop, trusted, PLUGIN)
    push(engine, trusted, "one", "stable")
    first = await shop.good("")
    repo = make_repo("shop")
    image = trusted.name("shop", "other")
    repo.commit(
        {"compose.yaml": YAML.format(version="", image=image, more="").replace('    volumes: ["./data:/data"]\n', "")}
    )
    push(engine, trusted, "two", "other")
    shop.set_app(repo=repo.url, compose=shop.app.compose.model_copy(update={"source": "images"}))
    second = await shop.good("")
    assert page(engine) == "two"
    with pytest.raises(UserError, match="is images, and strategy `compose` of shop deploys a commit"):
        await shop.plan(first.plan.release, rollback=True)
    shop.set_app(repo=None)
    with pytest.raises(UserError, match="deploys images without a repository"):
        await shop.plan(second.plan.release, rollback=True)
    mine.write(colour="blue")
    plan = await shop.plan("")
    assert plan.servers[0].before is not None, "what the repository brought is restored if this fails"
    await shop.good("")
    assert (page(engine), mine.environment(engine, "COLOUR")) == ("one", "blue")
