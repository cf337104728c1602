"""A short chaos while a forge calls, and that its judge would find what is wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from deploybot.card import Card
from deploybot.domain import Channel
from deploybot.notifications.event_subjects import build_thing
from deploybot.ports import Fate, NewDelivery, Tables
from deploybot.store.database import Database
from tests.chaos.app import There
from tests.chaos.hooks.figures import chaos
from tests.chaos.hooks.forge import BRANCH, Commit, Delivery
from tests.chaos.hooks.judge import judge
from tests.lab import Lab

RUNS = 2
SEED = "test"
COMMIT = Commit("a" * 40, "b" * 40, 1, green=True)
CONSOLE = Channel("console", "console")
WELL = {"web1": There(COMMIT.sha, "", COMMIT.sha, healthy=True)}


@pytest.mark.timeout(300)
async def test_whenever_it_dies_while_a_forge_calls_nothing_is_lost_or_done_twice(
    lab: Lab, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    lines: list[str] = []
    figures = await chaos(lab, tmp_path, runs=RUNS, seed=SEED, lanes=2, say=lines.append)
    assert not figures.findings, "\n".join(lines)
    assert figures.kills >= RUNS
    assert figures.deployments >= RUNS
    figure(str(figures))


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """The database after a push whose builds are green was told and heard, and deployed."""
    async with Database(tmp_path / "deploybot.db", durable=False) as store:
        await store.write(_tell)
    return tmp_path


def _tell(tables: Tables) -> None:
    new = NewDelivery(
        app="shop", sender="github", delivery="one", digest=b"1", again_after=60.0, body=b"{}", received=1.0
    )
    (number,) = tables.deliveries.add((new,))
    tables.deliveries.finish(number, Fate.DONE, "posted (1)", 1.0)
    things = {f"{build_thing(COMMIT.sha, BRANCH)}": "main — green after 2 s", "push:1": f"1 commit {COMMIT.sha[:10]}"}
    for thing, title in things.items():
        tables.outbox.put(CONSOLE, Card(key=f"event:shop:{thing}:1", title=title), 1.0)


def judged(data: Path, *spoils: str, commit: Commit = COMMIT, answers: tuple[str, ...] = ("kept",)) -> list[str]:
    """What is found after statements that spoil the database."""
    with closing(sqlite3.connect(data / "deploybot.db")) as connection, connection:
        for spoil in spoils:
            connection.execute(spoil)
    delivery = Delivery("push", b"{}", id="one", answers=[*answers])
    return [*judge(data, [commit], [delivery], WELL)]


def test_the_judge_finds_nothing_where_all_is_well(data: Path) -> None:
    assert judged(data) == []


@pytest.mark.parametrize(
    ("spoil", "finding"),
    [
        ("DELETE FROM deliveries", "lost: push one was answered ['kept'], and is not there"),
        ("UPDATE deliveries SET fate = 'failed'", "lost: push one is failed: posted (1)"),
        ("DELETE FROM outbox WHERE key LIKE '%push%'", f"lost: nobody was told of the push of {COMMIT.sha}"),
        ("DELETE FROM outbox WHERE key LIKE '%build%'", f"lost: nobody was told of the builds of {COMMIT.sha}"),
        (
            "UPDATE outbox SET card = replace(card, 'green', 'red')",
            f"untrue: the builds of {COMMIT.sha} are green, but the message says: main — red after 2 s",
        ),
    ],
)
def test_the_judge_finds_what_is_lost_or_untrue(data: Path, spoil: str, finding: str) -> None:
    assert finding in judged(data, spoil)


def test_the_judge_finds_what_was_kept_or_reported_twice(data: Path) -> None:
    again = "UPDATE outbox SET key = 'event:shop:push:2', card = (SELECT card FROM outbox WHERE key LIKE '%push%')"
    found = judged(data, f"{again} WHERE key LIKE '%build%'", answers=("kept", "kept"))
    assert "doubled: push one was kept 1 times, answered ['kept', 'kept']" in found
    assert f"doubled: the push of {COMMIT.sha} have 2 messages" in found


def test_the_judge_finds_a_server_that_was_left_behind(data: Path) -> None:
    other = Commit("c" * 40, COMMIT.sha, 2, green=True)
    assert f"lost: web1 serves {COMMIT.sha}, but {other.sha} was pushed last, and is green" in judged(
        data, commit=other
    )
