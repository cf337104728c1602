"""The board of real servers, through the bot's own SSH pool."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from deploybot.card import Card, Tone
from deploybot.observe.status import Board
from deploybot.store.database import Database
from deploybot.testing import FakeClock, memory_store
from tests.lab import Engine, Sshd, web
from tests.observe.world import World, world

SOCKET = "/var/run/docker.sock"
COMMIT = "1" * 40


@pytest.fixture
async def store() -> AsyncIterator[Database]:
    async with memory_store() as store:
        yield store


async def board(made: World, store: Database) -> Board:
    return Board(made.servers, store, FakeClock(time.time()))


async def show(on: Board, made: World) -> Card:
    return await on.board([(made.app, made.environment)])


async def test_twenty_servers_are_asked_at_once_and_one_that_hangs_is_one_line(
    sshds: Callable[[int], list[Sshd]], store: Database, tmp_path: Path
) -> None:
    machines = sshds(20)
    async with world(tmp_path, machines, strategy="files") as made:
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
    assert warm < 4
    assert hung < 8
    assert [line.name for line in card.lines if line.tone is Tone.BAD] == ["web8"]
    assert card.title == "20 places: 1 server does not answer"


async def test_a_server_that_refuses_is_told_at_once(sshd: Sshd, store: Database, tmp_path: Path) -> None:
    sshd.stop()
    async with world(tmp_path, [sshd], strategy="files") as made:
        began = time.monotonic()
        card = await show(await board(made, store), made)
        assert time.monotonic() - began < 3
        assert "cannot be reached" in card.lines[0].text
        sshd.start()
        assert (await show(await board(made, store), made)).lines[0].tone is Tone.PLAIN


async def test_directory_facts_and_containers_are_really_read(engine: Engine, store: Database, tmp_path: Path) -> None:
    engine.load(web())
    directory = engine.sshd.home / "shop"
    (directory / "releases" / COMMIT).mkdir(parents=True)
    (directory / "current").symlink_to(f"releases/{COMMIT}")
    (directory / "switching").write_text("2" * 40 + "\n")
    labels = ("--label", "com.docker.compose.project=shop-production", "--label", "com.docker.compose.service=web")
    engine.docker("run", "-d", *labels, "--name", "shop-web-1", "lab/web:v1")
    async with world(tmp_path, [engine.sshd], socket=SOCKET, directory=str(directory)) as made:
        on = await board(made, store)
        card = await on.detail(made.app, [made.environment])
        while card.table and card.table.rows[0][1] != "healthy":
            card = await on.detail(made.app, [made.environment])
        assert card.table is not None
        name, state, _, restarts, cpu, memory = card.table.rows[0]
        assert (name, state, restarts) == ("shop-web-1", "healthy", "0")
        assert cpu.endswith(" %")
        assert memory.endswith("B")
        (line,) = [one for one in card.lines if one.name == "web1"]
        assert line.text.startswith(
            "runs 1111111111, which I did not put there · half switched from 1111111111 to 2222222222 · healthy · "
        )
        engine.stop()
        (line,) = (await show(on, made)).lines
        assert " · health unknown: Docker does not answer · disk " in line.text
        engine.start()
        assert " · web has ended · " in (await show(on, made)).lines[0].text


async def test_servers_tell_what_they_are(
    engine: Engine, sshds: Callable[[int], list[Sshd]], store: Database, tmp_path: Path
) -> None:
    (down,) = sshds(1)
    down.stop()
    async with world(tmp_path, [engine.sshd, down], socket=SOCKET) as made:
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
