"""The board of real servers, through the bot's own SSH pool."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from deploybot.card import Card, Line, Tone
from deploybot.domain import Identity, Kind, Manifest, ManifestRow, Plan, Release, Running, ServiceImage, State
from deploybot.observed_state import observe
from deploybot.ports import Tables
from deploybot.status import server_look
from deploybot.status.status_board import StatusBoard
from deploybot.store.database import Database
from deploybot.testing import FakeClock
from deploybot.wiring.infrastructure import SystemClock
from tests.lab import Engine, Sshd, web
from tests.status.real_servers import RealServers, open_real_servers

SOCKET = "/var/run/docker.sock"
COMMIT = "1" * 40


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a first look, with its login, takes longer than a board waits for."""
    monkeypatch.setattr(server_look, "LOOK_WITHIN", 20.0)


async def board(made: RealServers, store: Database) -> StatusBoard:
    return StatusBoard(made.servers, store, FakeClock(time.time()))


async def show(on: StatusBoard, made: RealServers) -> Card:
    return await on.board([(made.app, made.environment)])


async def test_twenty_servers_are_asked_at_once_and_one_that_hangs_is_one_line(
    sshds: Callable[[int], list[Sshd]], store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = sshds(20)
    monkeypatch.setattr(server_look, "LOOK_WITHIN", 10.0)
    async with open_real_servers(tmp_path, machines, strategy="files") as made:
        for name in made.machines:  # twenty questions at once are looked at here, and not twenty logins
            await made.servers.host(name).facts(docker=False, timeout=60)
        on = await board(made, store)
        card = await show(on, made)
        assert [line.tone for line in card.lines] == [Tone.PLAIN] * 20
        began = time.monotonic()
        await show(on, made)
        warm = time.monotonic() - began
        machines[7].pause()
        began = time.monotonic()
        card = await show(on, made)
        hung = time.monotonic() - began
        machines[7].resume()
    assert warm < 10
    assert 9 < hung < 30
    assert [line.name for line in card.lines if line.tone is Tone.BAD] == ["web8"]
    assert card.title == "20 targets: 1 server does not answer"


async def test_a_server_that_refuses_is_reported_at_once(sshd: Sshd, store: Database, tmp_path: Path) -> None:
    sshd.stop()
    async with open_real_servers(tmp_path, [sshd], strategy="files") as made:
        began = time.monotonic()
        card = await show(await board(made, store), made)
        assert time.monotonic() - began < 15
        assert "cannot be reached" in card.lines[0].text
        sshd.start()
        assert (await show(await board(made, store), made)).lines[0].tone is Tone.PLAIN


async def test_directory_facts_and_containers_are_really_read(engine: Engine, store: Database, tmp_path: Path) -> None:
    engine.load(web())
    directory = engine.sshd.home / "shop"
    (directory / "releases" / COMMIT).mkdir(parents=True)
    (directory / "current").symlink_to(f"releases/{COMMIT}")
    (directory / ".deploybot").mkdir()
    (directory / ".deploybot/switching").write_text("2" * 40 + "\n")
    labels = ("--label", "com.docker.compose.project=shop-production", "--label", "com.docker.compose.service=web")
    engine.docker("run", "-d", *labels, "--name", "shop-web-1", "lab/web:v1")
    async with open_real_servers(tmp_path, [engine.sshd], socket=SOCKET, directory=str(directory)) as made:
        on = await board(made, store)
        card = await on.detail(made.app, [made.environment])
        while card.table and (card.table.rows[0][1] != "healthy" or not card.table.rows[0][4].endswith(" %")):
            card = await on.detail(made.app, [made.environment])
        assert card.table is not None
        name, state, _, restarts, cpu, memory = card.table.rows[0]
        assert (name, state, restarts) == ("shop-web-1", "healthy", "0")
        assert cpu.endswith(" %")
        assert memory.endswith("B")
        (line,) = [one for one in card.lines if one.name == "web1"]
        assert line.text.startswith(
            "runs web (image lab/web:v1), which deploybot did not deploy · "
            "partly switched from 1111111111 to 2222222222 · healthy · "
        )
        engine.stop()
        (line,) = (await show(on, made)).lines
        assert " · health unknown: Docker does not answer · disk " in line.text
        engine.start()
        assert " · web is stopped" in (await show(on, made)).lines[0].text


COMPOSE = """
services:
  web: {image: "lab/web:v1", init: true}
  db: {image: "lab/busybox:latest", init: true, command: sleep 1000}
"""
V1 = Release.of_commit(COMMIT, "v1")


class DeployedShop:
    """The app `shop` as the bot has put it onto a real Engine, with the record of it."""

    def __init__(self, engine: Engine, made: RealServers, store: Database, directory: Path) -> None:
        self.engine = engine
        self.made = made
        self.store = store
        self.directory = directory
        self.clock = SystemClock()
        self.board = StatusBoard(made.servers, store, self.clock)

    def compose(self, *words: str, text: str = COMPOSE) -> None:
        """Do by hand what people do."""
        file = self.directory / "compose.yaml"
        file.write_text(text)
        self.engine.docker("compose", "-p", "shop-production", "-f", str(file), *words)

    async def deployed(self) -> None:
        """Bring it up, and record it as the bot does: what was put there, and which images it runs."""
        (self.directory / "releases" / COMMIT).mkdir(parents=True)
        (self.directory / ".deploybot/releases" / COMMIT).mkdir(parents=True)
        (self.directory / ".deploybot/releases" / COMMIT / "complete").touch()
        (self.directory / "current").symlink_to(f"releases/{COMMIT}")
        labelled = COMPOSE.replace("init: true", f"init: true, labels: {{deploybot.release: '{COMMIT}'}}")
        self.compose("up", "-d", text=labelled)
        seen = await observe(self.made.servers, self.made.app, self.made.environment, "web1")
        images = (ServiceImage(service=one.service, image=one.image_id) for one in seen.containers)
        manifest = Manifest(services=tuple(images))

        def work(tables: Tables) -> None:
            ana = tables.people.add("ana", Identity("console", "1"))
            plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V1, servers=())
            made = tables.deployments.add(plan, requester=ana, reason="", channel=None, now=self.clock.now())
            for state in (State.RUNNING, State.SUCCEEDED):
                tables.deployments.move(made.number, state, now=self.clock.now())
            where = {"app": "shop", "environment": "production", "server": "web1"}
            row = Running(**where, release=V1, deployment=made.number, since=self.clock.now(), healthy=True)
            tables.running.put(row)
            known = ManifestRow(**where, release=V1.id, manifest=manifest, at=self.clock.now(), verified=True)
            tables.manifests.put(known)

        await self.store.write(work)

    async def line(self) -> Line:
        """Its line on the board now."""
        return (await show(self.board, self.made)).lines[0]

    async def until(self, says: str) -> Line:
        """Its line, as soon as it says something."""
        async with asyncio.timeout(60):
            while says not in (line := await self.line()).text:
                assert line.text
        return line


@pytest.fixture
async def deployed(engine: Engine, store: Database, tmp_path: Path) -> AsyncIterator[DeployedShop]:
    engine.load(web("lab/web:v1"), web("lab/web:v2", "v2"))
    directory = engine.sshd.home / "shop"
    shutil.rmtree(directory, ignore_errors=True)
    async with open_real_servers(tmp_path, [engine.sshd], socket=SOCKET, directory=str(directory)) as made:
        one = DeployedShop(engine, made, store, directory)
        await one.deployed()
        assert (await one.until(" · healthy · ")).tone is Tone.GOOD
        yield one
    engine.docker("compose", "-p", "shop-production", "down", "-t", "0")
    shutil.rmtree(directory)


async def test_somebody_deploys_by_hand_and_status_says_so(deployed: DeployedShop) -> None:
    deployed.compose("up", "-d", "web", text=COMPOSE.replace("web:v1", "web:v2"))
    line = await deployed.until("healthy")
    assert line.text.startswith("runs something other than #1 deployed: web was started by hand (image lab/web:v2) · ")
    assert line.tone is Tone.BAD
    assert "1 needs attention" in (await show(deployed.board, deployed.made)).title


async def test_the_same_image_under_another_name_is_the_same(deployed: DeployedShop) -> None:
    deployed.engine.docker("tag", "lab/web:v2", "lab/web:v1")
    line = await deployed.line()
    assert line.text.startswith(f"{V1} · ")
    assert line.tone is Tone.GOOD
    deployed.compose("up", "-d", "--force-recreate", "web")
    assert (await deployed.line()).text.startswith(
        "runs something other than #1 deployed: web was started by hand (image lab/web:v1) · "
    )


async def test_what_is_stopped_or_removed_is_named(deployed: DeployedShop) -> None:
    deployed.engine.docker("stop", "-t", "0", "shop-production-db-1")
    assert " · db is stopped (exit code " in (await deployed.line()).text
    deployed.engine.docker("rm", "shop-production-db-1")
    line = await deployed.line()
    assert line.text.startswith(f"{V1} · db is missing · ")
    assert line.tone is Tone.BAD
    deployed.compose("down", "-t", "0")
    assert (await deployed.line()).text.startswith(f"#1 deployed {V1}, but nothing of it runs · ")


async def test_a_container_too_much_is_named(deployed: DeployedShop) -> None:
    deployed.compose(
        "up", "-d", "extra", text=f"{COMPOSE}  extra: {{image: 'lab/busybox:latest', command: sleep 1000}}\n"
    )
    assert " · extra container shop-production-extra-1 · " in (await deployed.line()).text


async def test_a_release_whose_folder_is_deleted(deployed: DeployedShop) -> None:
    shutil.rmtree(deployed.directory / "releases" / COMMIT)
    line = await deployed.line()
    assert line.text.startswith(f"{V1} · the release's folder is gone · ")
    assert line.tone is Tone.BAD


async def test_a_crash_loop_is_reported_as_one(deployed: DeployedShop) -> None:
    text = COMPOSE.replace("command: sleep 1000", "restart: always, command: 'sh -c \"exit 1\"'")
    deployed.compose("up", "-d", "db", text=text)
    line = await deployed.until("keeps restarting")
    assert re.search(r" · db keeps restarting: \d+ restarts · ", line.text)
    assert line.tone is Tone.BAD


async def test_servers_report_what_they_are(
    engine: Engine, sshds: Callable[[int], list[Sshd]], store: Database, tmp_path: Path
) -> None:
    (down,) = sshds(1)
    down.stop()
    async with open_real_servers(tmp_path, [engine.sshd, down], socket=SOCKET) as made:
        card = await (await board(made, store)).servers(["web1", "web2"])
    assert card.table is not None
    first, second = card.table.rows
    assert first[:3] == ("web1", "as deploy", first[2])
    assert first[2].startswith("Debian")
    assert first[3].startswith("20.10")
    assert first[4].startswith("2.")
    assert first[5].count("B") == 2
    assert second[1] == "no"
    assert card.tone is Tone.BAD
