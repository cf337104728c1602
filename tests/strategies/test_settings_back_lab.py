"""An app without a repository whose settings a person changed: what a way back brings, and what it leaves alone."""

from __future__ import annotations

import subprocess

import pytest

from deploybot.domain import EffectKind, State
from deploybot.errors import UserError
from tests.lab import Engine
from tests.strategies.compose_shop import container, make_shop, page, push, trusted
from tests.strategies.test_compose_names_lab import status
from tests.strategies.test_image_apps_lab import ImageShop, flavour, shop

__all__ = ["flavour", "make_shop", "shop", "trusted"]


@pytest.mark.timeout(400)
async def test_a_rollback_brings_the_settings_of_the_deployment_that_is_named(shop: ImageShop, engine: Engine) -> None:
    push(engine, shop.registry, "one", "stable")
    red = await shop.shop.good("")
    shop.write(colour="blue")
    blue = await shop.shop.good("")
    assert blue.plan.release == red.plan.release
    releases = shop.shop.deployments.releases
    back = await releases.last_good(shop.shop.app, shop.shop.production, blue.plan.release)
    assert back is not None
    assert (back, back.deployment) == (red.plan.release, red.number)
    plan = await shop.shop.plan(back, rollback=True)
    assert [(one.kind, one.why) for one in plan.servers[0].effects] == [(EffectKind.RECREATED, "settings")]
    await shop.shop.good(back, rollback=True)
    assert (page(engine), shop.environment(engine, "COLOUR")) == ("one", "red")
    with pytest.raises(UserError, match=r"already runs .*, with these settings"):
        await shop.shop.plan(red.named, rollback=True)
    await shop.shop.good(blue.named, rollback=True)
    assert shop.environment(engine, "COLOUR") == "blue"
    # Without the copy nothing would change, and nobody may take it for a success.
    for one in (shop.shop.directory / ".deploybot/.deploybot/configurations").glob("*.json"):
        one.unlink()
    with pytest.raises(UserError, match=r"has no copy of its old settings\. The rollback would change nothing"):
        await shop.shop.plan(red.named, rollback=True)
    assert shop.environment(engine, "COLOUR") == "blue"


@pytest.mark.timeout(400)
async def test_what_was_taken_over_and_kept_is_not_touched_by_a_restore(shop: ImageShop, engine: Engine) -> None:
    push(engine, shop.registry, "one", "stable")
    push(engine, shop.registry, "side", "side")
    shop.write(side=True)
    compose = shop.shop.directory / "compose.yaml"
    head, name, tail = compose.read_text().partition("  side:\n")
    compose.write_text(head + name + tail.replace(":stable", ":side"))
    by_hand(shop, "up", "-d")
    side = container(engine, "side")["Id"]
    taken = await shop.shop.good("")
    assert {one.service: one.kind for one in taken.plan.servers[0].effects} == dict.fromkeys(
        ("side", "web"), EffectKind.KEPT
    )
    seen = await status(shop.shop)
    assert (seen.exact, seen.differences) == (True, ())
    push(engine, shop.registry, "two", "stable")
    compose.write_text(compose.read_text().replace("    ports:", '    command: ["false"]\n    ports:'))
    plan = await shop.shop.plan("")
    assert not [one for one in plan.warnings if "what Compose reads there now is restored" in one], plan.warnings
    failed = await shop.shop.deploy("")
    assert failed.state is State.RESTORED, (failed.outcome, failed.tail)
    assert page(engine) == "one"
    assert container(engine, "side")["Id"] == side


@pytest.mark.timeout(400)
async def test_a_restart_and_tasks_use_the_copy_that_runs(shop: ImageShop, engine: Engine) -> None:
    compose = "docker compose" if shop.flavour.alone is None else "docker-compose"
    shop.shop.set_app(tasks={"services": f"{compose} config --services"})
    push(engine, shop.registry, "one", "stable")
    shop.write(side=True)
    file, env = shop.shop.directory / "compose.yaml", shop.shop.directory / ".env"
    file.write_text(file.read_text().replace("  side:\n", "  side:\n    profiles: [more]\n"))
    env.write_text("COLOUR=red\nCOMPOSE_PROFILES=more\n")
    first = await shop.shop.good("")
    push(engine, shop.registry, "two", "stable")
    env.write_text("COLOUR=blue\n")
    await shop.shop.good("")
    await shop.shop.good(first.named, rollback=True)
    env.write_text("COLOUR='\n")
    file.write_text("services: [")
    started = {name: started_at(engine, name) for name in ("side", "web")}
    assert (await shop.shop.restart()).state is State.SUCCEEDED
    assert all(started_at(engine, name) != at for name, at in started.items())
    task = await shop.shop.task("services")
    assert task.state is State.SUCCEEDED, (task.outcome, task.tail)
    assert "side" in shop.shop.host.said


@pytest.mark.timeout(400)
@pytest.mark.parametrize("edited", [True, False])
async def test_an_edit_in_the_middle_of_a_restore_does_not_start(shop: ImageShop, engine: Engine, edited: bool) -> None:
    push(engine, shop.registry, "one", "stable")
    good_one = await shop.shop.good("")
    push(engine, shop.registry, "two", "stable")
    good = (shop.shop.directory / "compose.yaml").read_text()
    bad = good.replace("    ports:", '    command: ["false"]\n    ports:')
    (shop.shop.directory / "compose.yaml").write_text(bad)
    before = shop.shop.host.before

    def mend() -> None:
        (shop.shop.directory / "compose.yaml").write_text(good)

    def switching() -> None:
        # The file is right again when the restore is bound, and edited when its script starts.
        before["compose_images"] = mend
        if edited:
            before["compose_up"] = lambda: shop.write(colour="black")

    before["compose_up"] = switching
    failed = await shop.shop.deploy("")
    assert failed.state is State.RESTORED, (failed.outcome, failed.tail)
    assert (page(engine), shop.environment(engine, "COLOUR")) == ("one", "red")
    assert await shop.is_changed() == edited
    # The files themselves are used as long as they are the same: a copy lacks secrets that come from a variable.
    marks = shop.shop.directory / ".deploybot/.deploybot/releases" / good_one.plan.release.id
    assert (marks / "files.kept").exists() == edited


def by_hand(shop: ImageShop, *words: str, project: str = "shop-production") -> None:
    """Run Compose as a person does, in the folder of the files."""
    alone = shop.flavour.alone
    command = [str(alone / "docker-compose")] if alone else ["docker", "compose"]
    env = {**shop.shop.host.env, "COMPOSE_PROJECT_NAME": project}
    subprocess.run([*command, *words], cwd=shop.shop.directory, env=env, check=True, capture_output=True)


def started_at(engine: Engine, service: str) -> object:
    state = container(engine, service)["State"]
    assert isinstance(state, dict)
    return state["StartedAt"]


@pytest.mark.timeout(300)
async def test_data_of_a_stopped_project_is_not_left_behind(shop: ImageShop, engine: Engine) -> None:
    push(engine, shop.registry, "one", "stable")
    compose = shop.shop.directory / "compose.yaml"
    text = compose.read_text().replace("./data:/data", "data:/data") + "volumes: {data: {}}\n"
    compose.write_text(text)
    (shop.shop.directory / ".env").write_text("COLOUR=red\nCOMPOSE_PROJECT_NAME=mine\n")
    by_hand(shop, "up", "-d", project="mine")
    by_hand(shop, "down", project="mine")
    with pytest.raises(UserError, match=r"and mine_data exists here\. Project shop-production would start with new"):
        await shop.shop.plan("")
    shop.shop.set_compose(project="mine")
    assert [one.kind for one in (await shop.shop.plan("")).servers[0].effects] == [EffectKind.NEW]
