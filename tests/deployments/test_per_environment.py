"""Two environments of one app, each with keys of its own: no value of the app as a whole, or of the other, is used."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from deploybot.chat.card_channels import card_channels, keys_of_channels, named_channels
from deploybot.deployments.fingerprint import config_of, differences
from deploybot.deployments.step_execution import Executor
from deploybot.deployments.step_runner import StepRunner
from deploybot.deployments.target_inspection import Inspector
from deploybot.domain import Binding, Changes, Channel, Kind, Manifest, NamedRef, Pin, Plan, Role, ServerFacts, State
from deploybot.ports import Site
from deploybot.settings import App, Settings
from deploybot.strategies import STRATEGIES
from deploybot.testing import FakeImages, FakeRefs
from deploybot.wiring.infrastructure import adapters
from tests.deployments.test_binding import PART, changed
from tests.kit.bot import HEALTH, V1, V2, BotUnderTest, open_as, shop_settings
from tests.kit.settings import Table, app_settings, bot_settings

WRONG = {
    "branch": "wrong",
    "directory": "/srv/wrong",
    "build": "./wrong",
    "output": "wrong",
    "restart": "./wrong",
    "health": {"http": "http://127.0.0.1:6666/wrong"},
    "stable": "66s",
    "restore_within": "66s",
    "shared": {"from": "/srv/wrong", "paths": ["wrong"]},
    "logs": {"file": "/srv/wrong/log"},
    "env": {"WORD": "wrong"},
    "tasks": {"seed": "./wrong"},
    "keep": 66,
    "need_disk": "66GB",
    "need_memory": "66GB",
    "step_timeout": "66s",
    "channel": "slack:C0WRONG6666",
}
"""What the app itself has. Each environment replaces all of it."""
STAGING, PRODUCTION = Channel("slack", "C0STAGING123"), Channel("telegram", "-1001234567890", "7")


def own(name: str, channel: Channel) -> Table:
    return {
        "servers": ["web1"],
        "branch": "develop" if name == "staging" else "main",
        "directory": f"/srv/shop-{name}",
        "build": f"./build {name}",
        "output": f"out/{name}",
        "restart": f"./restart {name}",
        "health": {"http": HEALTH, "within": "2s"},
        "stable": 0,
        "restore_within": "1s",
        "shared": {"from": f"/data/{name}", "paths": ["uploads"]},
        "logs": {"file": f"/var/log/{name}.log"},
        "env": {"WORD": name},
        "tasks": {"seed": f"./seed {name}", f"only-{name}": "true"},
        "keep": 2 if name == "staging" else 3,
        "need_disk": "1MB",
        "need_memory": 0,
        "step_timeout": "77s" if name == "staging" else "88s",
        "channel": str(channel),
    }


def both(data: Path = Path("/nonexistent"), **production: object) -> Settings:
    environments = {"staging": own("staging", STAGING), "production": {**own("production", PRODUCTION), **production}}
    slack = {"bot_token": {"env": "A"}, "app_token": {"env": "B"}}
    shop = {**WRONG, "environments": environments}
    return bot_settings(data, apps={"shop": shop}, slack=slack, telegram={"token": {"env": "C"}})


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[BotUnderTest]:
    team = {"ana": [(Role.ADMIN, "*", "*")], "ben": [(Role.DEPLOYER, "*", "*")]}
    async with open_as(BotUnderTest, tmp_path, both(tmp_path / "data"), team=team) as made:
        made.refs.known |= {"wrong": "f" * 40, "develop": V1.id, "main": V2.id}
        yield made


async def good(bot: BotUnderTest, text: str) -> int:
    number = await bot.ask(text)
    done = await bot.end_of(number)
    assert done.state is State.SUCCEEDED, done.outcome
    return number


async def test_each_environment_is_deployed_by_its_own_keys(bot: BotUnderTest) -> None:
    host = bot.hosts["web1"]
    for name, release, limit in (("staging", V1, 77.0), ("production", V2, 88.0)):
        del host.started[:]
        number = await good(bot, f"deploy shop to {name}")
        assert (await bot.deployment(number)).plan.release.id == release.id
        await good(bot, f"run shop seed {name}")
        await good(bot, f"restart shop {name}")
        await good(bot, f"deploy shop@v3 to {name}")
        await good(bot, f"rollback shop from {name}")
        values = "\n".join(value for one in host.started for value in one.env.values())
        assert "wrong" not in values
        other = "production" if name == "staging" else "staging"
        assert other not in values
        commands = [one.env.get("DEPLOYBOT_COMMAND", "") for one in host.started]
        for one in (f"./build {name}", f"./restart {name}", f"./seed {name}"):
            assert one in commands
        assert {one.deadline for one in host.started if one.script in {"command", "build"}} == {limit}


def test_a_site_has_the_keys_of_its_environment_and_those_of_a_record_before_them() -> None:
    app = app_settings(
        strategy="compose",
        keep=66,
        compose={"files": ["wrong.yaml"], "wait": "66s"},
        environments={"production": {"keep": 2, "compose": {"files": ["prod.yaml"], "profiles": ["web"]}}},
    )
    site = Site(app=app, environment=app.environments["production"], facts=ServerFacts(home="/home/deploy"))
    assert (site.app.keep, site.app.compose.files, site.app.compose.wait) == (2, ("prod.yaml",), 66.0)
    before = site.as_recorded(Manifest(files=("old.yaml",), env_file="old.env", profiles=("old",)))
    assert (before.files, before.app.compose.env_file, before.app.compose.profiles) == (
        ("old.yaml",),
        "old.env",
        ("old",),
    )
    assert replace(before, running="x").app.compose.profiles == ("old",)
    # Also if the environment says the same as the app.
    same = {"profiles": ["web"]}
    app = app_settings(strategy="compose", compose=same, environments={"production": {"compose": same}})
    site = Site(app=app, environment=app.environments["production"], facts=ServerFacts(home="/home/deploy"))
    assert site.as_recorded(Manifest(files=("old.yaml",), profiles=("old",))).app.compose.profiles == ("old",)


async def test_checks_and_restores_take_as_long_as_their_environment_says(bot: BotUnderTest) -> None:
    """The executor gives the runner, the verifier and the restorer the app of a deployment."""
    inspector = Inspector(store=bot.store, servers=bot.hosts, refs=bot.refs, strategies=STRATEGIES)
    executor = Executor(
        settings=bot.settings,
        store=bot.store,
        steps=cast("StepRunner", None),
        inspector=inspector,
        strategies=STRATEGIES,
        clock=bot.clock,
    )
    site = await inspector.site(bot.app, bot.app.environments["staging"], "web1")
    assert (site.facts.directory, site.app.keep) == ("/srv/shop-staging", 2)
    deployment = await bot.deployment(await good(bot, "deploy shop to staging"))
    app, environment = executor.target(deployment)
    assert (app.restore_within, app.stable, app.directory, environment.name) == (
        1.0,
        0.0,
        "/srv/shop-staging",
        "staging",
    )


async def test_cards_go_to_the_channels_of_the_environment(bot: BotUnderTest) -> None:
    for name, channel in (("staging", STAGING), ("production", PRODUCTION)):
        deployment = await bot.deployment(await good(bot, f"deploy shop to {name}"))
        channels = card_channels(replace(deployment, channel=None), bot.settings)
        assert channels == (channel,)
        gone = replace(deployment, plan=replace(deployment.plan, environment="gone"), channel=None)
        assert card_channels(gone, bot.settings) == (Channel("slack", "C0WRONG6666"),)
    assert {STAGING, PRODUCTION} <= {*named_channels(bot.settings)}
    assert keys_of_channels(bot.settings)["slack", "C0STAGING123"] == "apps.shop.environments.staging.channel"


async def test_a_role_and_a_lock_are_announced_in_the_channels_of_their_environment(bot: BotUnderTest) -> None:
    assert (await bot.say("allow slack:T1/U7:dia deployer on shop/staging")).ok
    assert (await bot.say("allow slack:T1/U8:cem deployer on shop")).ok
    items = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now() + 1, 1000))
    told = {(item.card.title.split()[2], item.channel) for item in items if item.channel.platform == "slack"}
    assert {channel for _, channel in told} == {STAGING, Channel("slack", "C0WRONG6666")}


async def test_a_lock_that_somebody_else_removes_is_announced_there_too(bot: BotUnderTest) -> None:
    assert (await bot.say("lock shop staging because of a test", "ben")).ok
    assert (await bot.say("unlock shop staging")).ok
    items = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now() + 1, 1000))
    told = [item.channel for item in items if "removed ben's lock" in item.card.title]
    assert [one for one in told if one.platform == "slack"] == [STAGING]


class NotedRefs(FakeRefs):
    """A repository that notes the app by which it is asked."""

    def __init__(self, folder: Path, **known: str) -> None:
        super().__init__(folder, **known)
        self.noted: list[App] = []

    async def newest(self, app: App) -> tuple[NamedRef, ...]:
        self.noted.append(app)
        return await super().newest(app)

    async def changes(self, app: App, old: str, new: str) -> Changes:
        self.noted.append(app)
        return await super().changes(app, old, new)


async def test_the_repository_is_asked_for_what_holds_there(tmp_path: Path) -> None:
    """For the branch that is offered first, and for the paths that make a plan warn."""
    settings, refs = both(tmp_path / "data", warn_paths=["migrations/**"]), NotedRefs(tmp_path, main=V1.id, v2=V2.id)
    async with open_as(BotUnderTest, tmp_path, settings, refs=refs) as bot:
        await good(bot, "deploy shop to production")
        await good(bot, "deploy shop@v2 to production")
        assert [one.warn_paths for one in refs.noted] == [("migrations/**",)]
        await bot.deployments.releases.offered(bot.app, bot.production)
        assert refs.noted[-1].branch == "main"


async def test_ignored_tags_are_those_of_what_is_followed_there(tmp_path: Path) -> None:
    settings = _tagged(tmp_path / "data", images={"web": {"tag": "^1.4"}})
    images = FakeImages(**{WEB: {"develop": DEVELOP, "2026.02.0": MAIN}})
    async with open_as(BotUnderTest, tmp_path, settings, images=images) as bot:
        releases, places = bot.deployments.releases, bot.app.environments
        assert await releases.ignored_tags(bot.app, places["staging"]) == ()
        (found,) = await releases.ignored_tags(bot.app, places["production"])
        assert (found.what, found.tags[0][0]) == ("web", "2026.02.0")


def test_registries_are_asked_if_only_an_environment_has_images(tmp_path: Path) -> None:
    image = {"images": {"web": {"image": WEB}}}
    for own_keys, needed in ((image, True), ({}, False)):
        shop = {"strategy": "compose", "environments": {"staging": own_keys}}
        settings = bot_settings(tmp_path / "data", apps={"shop": shop})
        assert (adapters(settings).images is not None) is needed


async def test_the_board_and_the_log_are_those_of_the_environment(bot: BotUnderTest) -> None:
    await good(bot, "deploy shop to staging")
    host = bot.hosts["web1"]
    host.http["http://127.0.0.1:6666/wrong"] = (500, "")
    host.http[HEALTH] = (204, "")
    card = await bot.say("status shop staging")
    assert card.ok
    assert "answers" not in str(card)
    await bot.say("logs shop from staging")
    assert [one.env["DEPLOYBOT_FILE"] for one in host.started if one.script == "logs_file"] == ["/var/log/staging.log"]


async def test_a_task_of_one_environment_is_unknown_in_another(bot: BotUnderTest) -> None:
    await good(bot, "deploy shop to staging")
    await good(bot, "deploy shop to production")
    await good(bot, "run shop only-staging staging")
    card = await bot.say("run shop only-staging production")
    assert (card.title, card.hint) == (
        "shop has no task `only-staging` in production.",
        "Its tasks: only-production, seed.",
    )
    assert (await bot.say("run shop nothing staging")).title.startswith("There is no task `nothing` of shop")
    assert "tasks: seed, only-staging, only-production" in str((await bot.say("apps")).lines)


def test_a_request_is_bound_to_the_keys_that_hold_in_its_environment() -> None:
    plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V2, servers=(PART,))
    before = config_of(plan, both())
    changes: tuple[tuple[str, object, str], ...] = (
        ("keep", 4, "was 3, now 4"),
        ("build", "./other", 'was "./build production", now "./other"'),
        ("branch", "trunk", 'was "main", now "trunk"'),
    )
    for key, value, shown in changes:
        after = config_of(plan, both(Path("/nonexistent"), **{key: value}))
        assert _config_differences(before, after) == (f"config: apps.shop.environments.production.{key} {shown}",)
    other: dict[str, object] = {"channel": "console", "logs": {"file": "/other"}, "tasks": {"seed": "./other"}}
    assert config_of(plan, both(Path("/nonexistent"), **other)) == before
    task = replace(plan, kind=Kind.TASK, task="seed")
    found = _config_differences(config_of(task, both()), config_of(task, both(tasks={"seed": "./other"})))
    assert found == ('config: apps.shop.environments.production.tasks.seed was "./seed production", now "./other"',)


def test_what_another_environment_has_voids_nothing() -> None:
    plan = Plan(kind=Kind.DEPLOY, app="shop", environment="staging", release=V2, servers=(PART,))
    assert config_of(plan, both()) == config_of(plan, both(keep=4, build="./other", branch="trunk"))


def test_without_keys_of_its_own_an_environment_has_the_fingerprint_of_the_version_before() -> None:
    """Requests that wait while the bot is upgraded stay valid."""
    plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V2, servers=(PART,))
    keys = [key for key, _ in config_of(plan, shop_settings(Path("/nonexistent"), approvals=1))]
    inner = "apps.shop.environments.production."
    known = {"directory", "env", "health", "on_failure", "secrets", "servers", "shared"}
    assert {key.removeprefix(inner) for key in keys if key.startswith(inner)} == known
    assert changed(plan) == ()


def _config_differences(before: tuple[tuple[str, str], ...], after: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    def binding(config: tuple[tuple[str, str], ...]) -> Binding:
        return Binding(ref=None, release=V2, config=config, replaces=(), origin=(), steps=())

    return differences(binding(before), binding(after))


WEB = "registry.example.com/acme/shop"
DEVELOP, MAIN = (f"sha256:{digit * 64}" for digit in "12")


def _tagged(folder: Path, **production: object) -> Settings:
    """A shop whose staging follows the tag develop, and whose production follows main after staging."""
    environments = {
        "staging": {"servers": ["web1"], "branch": "develop", "images": {"web": {"tag": "develop"}}},
        "production": {"servers": ["web2"], "branch": "main", "after": "staging", **production},
    }
    shop = {"strategy": "compose", "images": {"web": {"image": WEB, "tag": "main"}}, "environments": environments}
    settings = bot_settings(folder, servers=("web1", "web2"), apps={"shop": shop})
    # bot.toml has images with Compose only; what is tested here needs no containers.
    settings.apps["shop"].__dict__["strategy"] = "files"
    return settings


async def test_after_compares_commits_and_digests_whatever_the_tags(tmp_path: Path) -> None:
    images = FakeImages(**{WEB: {"develop": DEVELOP, "main": MAIN}})
    team = {"ana": [(Role.ADMIN, "*", "*")]}
    async with open_as(BotUnderTest, tmp_path, _tagged(tmp_path / "data"), team=team, images=images) as bot:
        bot.refs.known |= {"develop": V2.id, "main": V1.id}
        first = await bot.deployment(await good(bot, "deploy shop to staging"))
        assert first.plan.release.images == (Pin("web", WEB, "develop", DEVELOP),)
        # Another commit and another image were never in staging; then the same commit, but another image.
        for commit in (V1, V2):
            bot.refs.known["main"] = commit.id
            card = await bot.say("deploy shop to production")
            assert not card.ok
            assert "must be healthy in staging first" in f"{card.title} {card.text}"
        # The branch was moved to the tested commit, and the tag to the tested image: it is the same release.
        images.known[WEB]["main"] = DEVELOP
        second = await bot.deployment(await good(bot, "deploy shop to production"))
        assert second.plan.release.id == first.plan.release.id
        assert second.plan.release.images == (Pin("web", WEB, "main", DEVELOP),)


async def test_a_promotion_takes_what_runs_in_staging_whatever_production_follows(tmp_path: Path) -> None:
    images = FakeImages(**{WEB: {"develop": DEVELOP, "main": MAIN}})
    team = {"ana": [(Role.ADMIN, "*", "*")]}
    async with open_as(BotUnderTest, tmp_path, _tagged(tmp_path / "data"), team=team, images=images) as bot:
        bot.refs.known |= {"develop": V2.id, "main": V1.id}
        first = await bot.deployment(await good(bot, "deploy shop to staging"))
        second = await bot.deployment(await good(bot, "promote shop to production"))
        assert second.plan.release == first.plan.release


async def test_a_digest_counts_only_where_its_image_is_followed(tmp_path: Path) -> None:
    images = FakeImages(**{WEB: {"main": MAIN}, "acme/shop-live": {"main": DEVELOP}})
    settings = _tagged(tmp_path / "data", images={"web": {"image": "acme/shop-live"}})
    async with open_as(BotUnderTest, tmp_path, settings, images=images) as bot:
        app = bot.app
        found = await bot.deployments.releases.resolve(app, app.environments["production"], DEVELOP)
        assert [pin.image for pin in found.images] == ["acme/shop-live"]
        card = await bot.say(f"deploy shop@{DEVELOP} to staging")
        assert card.title == f"No image of shop has the digest {DEVELOP[:17]}…."
        assert card.hint == f"Searched: {WEB}."
