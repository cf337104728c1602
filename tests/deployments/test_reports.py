"""What others are told is queued in the very transaction that changes a deployment's state: neither lost nor ahead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from deploybot.domain import State, word_of
from deploybot.ports import Store, Tables
from deploybot.reporting.outgoing_reporter import OutgoingSettings
from deploybot.settings import Secret
from deploybot.testing import Outcome
from tests.kit.bot import SECRET, V1, V2, V3, BotUnderTest, open_bot

T = TypeVar("T")
TARGET = "outgoing:board"


class Watched:
    """The database, in which each transaction is held to have told what it changed."""

    def __init__(self, store: Store) -> None:
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


async def words(bot: BotUnderTest, number: int) -> list[str]:
    sql = "SELECT word FROM reports WHERE deployment = ? AND target = ? ORDER BY id"
    return [row[0] for row in await bot.store.read(lambda tables: _rows(tables, sql, number, TARGET))]


def told(bot: BotUnderTest) -> Watched:
    """Let an address be told, and watch every commit."""
    board = OutgoingSettings(url="http://127.0.0.1:9/hook", secret=Secret(env="BOARD"))
    bot.settings = bot.settings.model_copy(update={"outgoing": {"board": board}})
    watched = Watched(bot.store)
    bot.store = watched  # type: ignore[assignment]
    bot.start()
    return watched


async def test_every_commit_of_deployments_that_go_well_and_badly_reports_what_it_changed(
    bot: BotUnderTest, figure: Callable[[str], None]
) -> None:
    watched = told(bot)
    first = await bot.deploy(V1)
    bot.hosts["web2"].script("switch", Outcome(code=1, log=b"no\n"))
    second = await bot.deploy(V2)
    assert (first.state, second.state) == (State.SUCCEEDED, State.FAILED)
    assert await words(bot, first.number) == ["running", "succeeded"]
    assert await words(bot, second.number) == ["running", "restoring", "failed"]
    figure(f"reports: {watched.behind} of {watched.commits} commits behind what they changed")
    assert watched.behind == 0
    assert watched.commits > 10


async def test_one_that_waits_for_another_and_is_cancelled(bot: BotUnderTest) -> None:
    watched = told(bot)
    await bot.request(V1)
    waiting = int((await bot.request(V2)).key.partition(":")[2])
    await bot.deployments.cancel(bot.ctx(), waiting)
    await bot.end_of(waiting)
    await bot.end_of(waiting - 1)
    assert await words(bot, waiting) == ["waiting", "cancelled"]
    assert watched.behind == 0


async def test_a_request_reports_that_it_waits_for_approval_and_no_secret(tmp_path: Path) -> None:
    async with open_bot(tmp_path, approvals=1) as bot:
        watched = told(bot)
        card = await bot.deployments.request(bot.ctx(f"the password is {SECRET}"), bot.app, bot.production, V3)
        number = int(card.key.partition(":")[2])
        await bot.deployments.cancel(bot.ctx(), number)
        ended = await bot.end_of(number)
        assert ended.state is State.CANCELLED
        assert await words(bot, number) == ["requested", "cancelled"]
        texts = await bot.store.read(lambda tables: _rows(tables, "SELECT report FROM reports"))
        assert SECRET not in str(texts)
        assert "the password is" in str(texts)
        assert watched.behind == 0
