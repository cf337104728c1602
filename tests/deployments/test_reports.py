"""What others are told is queued in the very transaction that changes a deployment's state: neither lost nor ahead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from deploybot.domain import State, word_of
from deploybot.ports import Tables
from deploybot.reporting.outgoing_reporter import OutgoingSettings
from deploybot.settings import Secret
from deploybot.store.database import Database
from deploybot.testing import Outcome
from tests.deployments.conftest import SECRET, V1, V2, V3, Shop, make_shop

T = TypeVar("T")
TARGET = "outgoing:board"


class Watched:
    """The database, in which each transaction is held to have told what it changed."""

    def __init__(self, store: Database) -> None:
        self.read = store.read
        self.problem = ""
        self.commits = 0
        self.behind = 0
        self._store = store

    async def write(self, work: Callable[[Tables], T]) -> T:
        def watched(tables: Tables) -> T:
            result = work(tables)
            self.commits += 1
            known = [*tables.deployments.open(), *tables.deployments.recent("shop", limit=50)]
            self.behind += sum(_last_word(tables, one.number) != word_of(one) for one in known)
            return result

        return await self._store.write(watched)


def _rows(tables: Tables, sql: str, *values: object) -> list[tuple[str, ...]]:
    return [tuple(row) for row in tables.reports._run(sql, values)]  # type: ignore[attr-defined]


def _last_word(tables: Tables, number: int) -> str:
    rows = _rows(tables, "SELECT word FROM reports WHERE deployment = ? ORDER BY id DESC LIMIT 1", number)
    return rows[0][0] if rows else ""


async def words(shop: Shop, number: int) -> list[str]:
    sql = "SELECT word FROM reports WHERE deployment = ? AND target = ? ORDER BY id"
    return [row[0] for row in await shop.store.read(lambda tables: _rows(tables, sql, number, TARGET))]


def told(shop: Shop) -> Watched:
    """Let an address be told, and watch every commit."""
    board = OutgoingSettings(url="http://127.0.0.1:9/hook", secret=Secret(env="BOARD"))
    shop.settings = shop.settings.model_copy(update={"outgoing": {"board": board}})
    watched = Watched(shop.store)
    shop.store = watched  # type: ignore[assignment]
    shop.start_bot()
    return watched


async def test_every_commit_of_deployments_that_go_well_and_badly_tells_what_it_changed(
    shop: Shop, figure: Callable[[str], None]
) -> None:
    watched = told(shop)
    first = await shop.deploy(V1)
    shop.hosts["web2"].script("switch", Outcome(code=1, log=b"no\n"))
    second = await shop.deploy(V2)
    assert (first.state, second.state) == (State.SUCCEEDED, State.FAILED)
    assert await words(shop, first.number) == ["running", "succeeded"]
    assert await words(shop, second.number) == ["running", "restoring", "failed"]
    figure(f"reports: {watched.behind} of {watched.commits} commits behind what they changed")
    assert watched.behind == 0
    assert watched.commits > 10


async def test_one_that_waits_for_another_and_is_cancelled(shop: Shop) -> None:
    watched = told(shop)
    await shop.ask(V1)
    waiting = int((await shop.ask(V2)).key.partition(":")[2])
    await shop.deployments.cancel(shop.ctx(), waiting)
    await shop.end_of(waiting)
    await shop.end_of(waiting - 1)
    assert await words(shop, waiting) == ["waiting", "cancelled"]
    assert watched.behind == 0


async def test_one_that_wants_approval_tells_that_it_waits_for_it_and_no_secret(tmp_path: Path) -> None:
    async with make_shop(tmp_path, approvals=1) as shop:
        watched = told(shop)
        card = await shop.deployments.request(shop.ctx(f"the password is {SECRET}"), shop.app, shop.production, V3)
        number = int(card.key.partition(":")[2])
        await shop.deployments.cancel(shop.ctx(), number)
        ended = await shop.end_of(number)
        assert ended.state is State.CANCELLED
        assert await words(shop, number) == ["requested", "cancelled"]
        texts = await shop.store.read(lambda tables: _rows(tables, "SELECT report FROM reports"))
        assert SECRET not in str(texts)
        assert "the password is" in str(texts)
        assert watched.behind == 0
