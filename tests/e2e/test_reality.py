"""Servers in the state in which people leave them: what runs counts, and not what the bot remembers."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploybot.domain import State
from tests.e2e.conftest import RunningBot, ended, open_running_bot, page, server_toml
from tests.lab import Engine, Registry, Repo, until, web

SERVE = 'trap "exit 0" TERM; httpd -f -p 8000 -h /www & wait'
WEB = f"""
services:
  web:
    build: .
    command: ["sh", "-c", '{SERVE}']
    stop_grace_period: 1s
    ports: ["8000:8000"]
"""
DB = """
  db:
    image: lab/busybox
    command: ["sh", "-c", 'trap "exit 0" TERM; sleep 100000 & wait']
    stop_grace_period: 1s
    volumes: ["./conf:/conf:ro"]
"""
DOCKERFILE = "FROM lab/busybox\nCOPY www /www\n"
APP = """
[apps.shop]
repo = "{repo}"
strategy = "compose"
directory = "{home}/shop"
need_disk = "1MB"
stable = "{stable}"
restore_within = "60s"
compose = {{ wait = "60s", source = "{source}"{compose} }}
{more}
[apps.shop.environments.live]
servers = ["web1"]
{environment}
"""
Files = Mapping[str, str | None]


@dataclass(slots=True)
class ComposeBot:
    """A bot, its repository, and the Engine that its server has."""

    running: RunningBot
    engine: Engine
    repo: Repo
    home: Path
    project: str = "shop-live"

    def container(self, service: str) -> dict[str, object]:
        """What `docker inspect` says of a service's only container."""
        names = (f"label=com.docker.compose.project={self.project}", f"label=com.docker.compose.service={service}")
        ids = self.engine.docker("ps", "-aq", *(word for name in names for word in ("--filter", name))).split()
        assert len(ids) == 1, (service, ids)
        (found,) = json.loads(self.engine.docker("inspect", ids[0]))
        assert isinstance(found, dict)
        return found

    def id_of(self, service: str) -> str:
        return str(self.container(service)["Id"])

    def page(self) -> str:
        """Return what the app answers, once it does: a container that runs may not listen yet."""
        return page(self.engine)


@asynccontextmanager
async def open_compose_bot(
    engine: Engine,
    repo: Repo,
    folder: Path,
    *,
    more: str = "",
    environment: str = "",
    compose: str = "",
    source: str = "build",
    stable: str = "0.5s",
) -> AsyncIterator[ComposeBot]:
    home = Path(engine.sshd.home) / folder.name
    app = APP.format(
        repo=repo.url, home=home, more=more, environment=environment, compose=compose, source=source, stable=stable
    )
    path = folder / "bot.toml"
    path.write_text(f'[bot]\ndata = "{folder / "data"}"\n{server_toml(engine.sshd)}\n{app}')
    async with open_running_bot(path) as running:
        yield ComposeBot(running, engine, repo, home)


@pytest.fixture
def shop(make_repo: Callable[..., Repo]) -> Repo:
    repo = make_repo("shop")
    for version in ("v1", "v2", "v3"):
        commit(repo, version, {"compose.yaml": WEB + DB, "www/index.html": f"{version}\n"})
    return repo


def commit(repo: Repo, tag: str, files: Files) -> None:
    repo.commit({"Dockerfile": DOCKERFILE, "conf/db.conf": "one\n", **files}, f"Release {tag}")
    repo.tag(tag)


async def test_a_missing_secret_is_found_before_and_nothing_is_touched(
    engine: Engine, shop: Repo, tmp_path: Path
) -> None:
    worker = "  worker:\n    image: lab/busybox\n    command: sleep 1000\n    secrets: [pw]\n"
    commit(shop, "v4", {"compose.yaml": f"{WEB}{DB}{worker}secrets:\n  pw: {{file: ./pw.txt}}\n"})
    async with open_compose_bot(engine, shop, tmp_path) as bot:
        ended(await bot.running.deploy("deploy shop@v1"), State.SUCCEEDED)
        before = bot.id_of("web")
        refused = await bot.running.read("deploy shop@v4")
        assert "pw.txt" in refused
        assert "shared/pw.txt" in refused
        assert (bot.page(), bot.id_of("web")) == ("v1", before)


async def test_going_back_starts_from_what_runs(engine: Engine, shop: Repo, tmp_path: Path) -> None:
    sick = WEB + "    healthcheck: {test: [CMD, 'false'], interval: 0.3s, retries: 1}\n"
    commit(shop, "sick", {"compose.yaml": sick + DB, "www/index.html": "sick\n"})
    async with open_compose_bot(engine, shop, tmp_path, environment='on_failure = "leave"') as bot:
        for name in ("v1", "v2"):
            ended(await bot.running.deploy(f"deploy shop@{name}"), State.SUCCEEDED)
        ended(await bot.running.deploy("deploy shop@sick"), State.FAILED)
        assert bot.page() == "sick"
        diff = await bot.running.read("diff shop@v2")
        assert shop.sha("sick")[:10] in diff
        rolled = await bot.running.deploy("rollback shop")
        ended(rolled, State.SUCCEEDED)
        assert rolled.plan.release.id == shop.sha("v2")
        assert bot.page() == "v2"


async def test_the_exact_image_comes_back_or_nothing(
    engine: Engine, registry: Registry, make_repo: Callable[..., Repo], tmp_path: Path
) -> None:
    if registry not in engine._registries:
        engine.trust(registry)
    repo = make_repo("shop")
    name = registry.name("shop")
    yaml = f'services:\n  web:\n    image: {name}\n    stop_grace_period: 1s\n    ports: ["8000:8000"]\n'
    async with open_compose_bot(engine, repo, tmp_path, source="images") as bot:
        for tag, text in (("a", "ONE"), ("b", "TWO")):
            engine.load(web(name, text))
            engine.docker("push", name)
            engine.docker("image", "rm", name)
            repo.commit({"compose.yaml": yaml, "note": text}, tag)
            repo.tag(tag)
            ended(await bot.running.deploy(f"deploy shop@{tag}"), State.SUCCEEDED)
            assert bot.page() == text
        engine.docker("image", "prune", "-af")
        ended(await bot.running.deploy("rollback shop to a"), State.SUCCEEDED)
        assert bot.page() == "ONE"
        engine.docker("image", "prune", "-af")
        registry.stop()
        try:
            refused = await bot.running.say("rollback shop to b")
            number = int(refused.key.partition(":")[2])
            assert (await bot.running.end_of(number)).state is State.FAILED
            assert bot.page() == "ONE"
        finally:
            registry.start()


async def test_deployed_by_hand_is_said(engine: Engine, shop: Repo, tmp_path: Path) -> None:
    async with open_compose_bot(engine, shop, tmp_path) as bot:
        ended(await bot.running.deploy("deploy shop@v2"), State.SUCCEEDED)
        release = bot.home / "shop/releases" / shop.sha("v2")
        (release / "www/index.html").write_text("by hand\n")
        engine.docker("compose", "-p", bot.project, "up", "-d", "--build", cwd=release)
        # `up` returns before the program in the container listens.
        until(lambda: bot.page() == "by hand", within=30, what="the page that was deployed by hand")
        board = await bot.running.read("status")
        assert "all OK" not in board
        assert "web" in board
        ended(await bot.running.deploy("rollback shop to v2"), State.SUCCEEDED)
        assert bot.page() == "v2"


async def test_a_service_restarts_only_when_something_of_its_own_changed(
    engine: Engine, shop: Repo, tmp_path: Path
) -> None:
    commit(shop, "conf", {"conf/db.conf": "two\n"})
    async with open_compose_bot(engine, shop, tmp_path) as bot:
        ended(await bot.running.deploy("deploy shop@v1"), State.SUCCEEDED)
        database, first = bot.id_of("db"), bot.id_of("web")
        plan = await bot.running.read("deploy shop@v2 --dry-run")
        assert "db kept" in plan
        ended(await bot.running.deploy("deploy shop@v2"), State.SUCCEEDED)
        assert (bot.id_of("db"), bot.page()) == (database, "v2")
        assert bot.id_of("web") != first
        ended(await bot.running.deploy("deploy shop@v3"), State.SUCCEEDED)
        web3 = bot.id_of("web")
        plan = await bot.running.read("deploy shop@conf --dry-run")
        assert "db recreated (mounted content)" in plan
        ended(await bot.running.deploy("deploy shop@conf"), State.SUCCEEDED)
        assert bot.id_of("db") != database
        assert bot.id_of("web") == web3


async def test_a_first_failure_is_prepared_again_from_scratch(
    engine: Engine, make_repo: Callable[..., Repo], tmp_path: Path
) -> None:
    repo = make_repo("shop")
    yaml = WEB.replace('"sh", "-c",', '"sh", "-c",').replace("ports:", "environment: {NEED: '${NEED:-}'}\n    ports:")
    yaml = yaml.replace("trap", '[ -n "$$NEED" ] || exit 9; trap')
    commit(repo, "v1", {"compose.yaml": yaml, "www/index.html": "v1\n"})
    async with open_compose_bot(engine, repo, tmp_path) as bot:
        failed = await bot.running.deploy("deploy shop@v1")
        outcome = ended(failed, State.FAILED)
        assert "Nothing ran before" in outcome
        status = await bot.running.read("status")
        assert "I did not put there" not in status
        (bot.home / "shop/shared").mkdir()
        (bot.home / "shop/shared/.env").write_text("NEED=1\n")
        ended(await bot.running.deploy("deploy shop@v1"), State.SUCCEEDED)
        assert bot.page() == "v1"


async def test_a_crash_loop_after_it_seemed_healthy_is_a_failure(engine: Engine, shop: Repo, tmp_path: Path) -> None:
    loop = "  late:\n    image: lab/busybox\n    restart: always\n    command: sh -c 'sleep 2; exit 1'\n"
    commit(shop, "v4", {"compose.yaml": WEB + DB + loop, "www/index.html": "v4\n"})
    async with open_compose_bot(engine, shop, tmp_path, stable="6s") as bot:
        ended(await bot.running.deploy("deploy shop@v1"), State.SUCCEEDED)
        outcome = ended(await bot.running.deploy("deploy shop@v4"), State.RESTORED)
        assert "late" in outcome
        assert bot.page() == "v1"
        assert not engine.docker("ps", "-aq", "--filter", "label=com.docker.compose.service=late").strip()


NOTES = f"""
services:
  web:
    build: .
    command: ["sh", "-c", '{SERVE}']
    stop_grace_period: 1s
    ports: ["8000:8000"]
    environment: {{PASSWORD: "$PASSWORD"}}
  db:
    image: lab/busybox
    command: ["sh", "-c", 'trap "exit 0" TERM; sleep 100000 & wait']
    stop_grace_period: 1s
    volumes: ["./data:/data", "kept:/kept"]
volumes:
  kept: {{}}
"""


def give(folder: Path, home: str | Path) -> None:
    """Let a folder belong to whom the home belongs to."""
    owner = Path(home).stat()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)


async def test_an_app_that_runs_already_is_taken_over(
    engine: Engine, make_repo: Callable[..., Repo], tmp_path: Path
) -> None:
    repo = make_repo("notes")
    commit(repo, "v1", {"compose.yaml": NOTES, "www/index.html": "v1\n"})
    checkout = Path(engine.sshd.home) / tmp_path.name / "notes"
    checkout.parent.mkdir()
    repo.git("clone", "--quiet", str(repo.path), str(checkout))
    (checkout / ".env").write_text("PASSWORD=open-sesame\n")
    (checkout / "data").mkdir()
    (checkout / "data/rows").write_text("1\n")
    give(checkout.parent, engine.sshd.home)
    engine.docker("compose", "up", "-d", "--build", cwd=checkout)
    commit(repo, "v2", {"www/index.html": "v2\n"})
    commit(repo, "sick", {"compose.yaml": NOTES.replace('trap "exit 0"', "exit 3; :", 1), "www/index.html": "sick\n"})
    async with open_compose_bot(engine, repo, tmp_path) as bot:
        refused = await bot.running.read("deploy shop@v1 --dry-run")
        assert 'compose.project = "notes"' in refused
        assert "PASSWORD" in refused
    shared = f'shared = {{ from = "{checkout}", paths = ["data", ".env"] }}'
    async with open_compose_bot(engine, repo, tmp_path, more=shared, compose=', project = "notes"') as bot:
        bot.project = "notes"
        before = {name: bot.id_of(name) for name in ("web", "db")}
        plan = await bot.running.read("deploy shop@v1 --dry-run")
        assert "nothing changes" in plan
        assert (await bot.running.deploy("deploy shop@sick")).state is State.RESTORED
        assert bot.page() == "v1"
        assert bot.id_of("db") == before["db"]
        ended(await bot.running.deploy("deploy shop@v1"), State.SUCCEEDED)
        assert bot.page() == "v1"
        ended(await bot.running.deploy("deploy shop@v2"), State.SUCCEEDED)
        assert (bot.page(), bot.id_of("db")) == ("v2", before["db"])
        ended(await bot.running.deploy("rollback shop"), State.SUCCEEDED)
        assert (bot.page(), bot.id_of("db")) == ("v1", before["db"])
        assert (checkout / "data/rows").read_text() == "1\n"
