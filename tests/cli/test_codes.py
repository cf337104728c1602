"""`deploybot forget-code`, on a real database and real files."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploybot.cli import main
from deploybot.store.database import Database
from deploybot.store.one_time_code_rows import CodeFiles


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEPLOYBOT_CONFIG", raising=False)
    Path("bot.toml").write_text('[bot]\ndata = "data"\n')


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def _audit() -> list[tuple[str, str, str]]:
    async def read() -> list[tuple[str, str, str]]:
        async with Database(Path("data/deploybot.db"), durable=False) as store:
            rows = await store.read(lambda tables: tables.audit.tail(10))
        return [(row.actor, row.action, row.subject) for row in rows]

    return asyncio.run(read())


def test_a_phone_is_forgotten() -> None:
    _run("allow", "ana", "admin")
    files = CodeFiles(Path("data/codes"))
    asyncio.run(files.offer(1, "SECRET"))
    asyncio.run(files.confirm(1))
    result = _run("forget-code", "@Ana")
    assert (result.output, result.exit_code) == ("ana can enrol another phone now: `totp`.\n", 0)
    assert asyncio.run(files.get(1)) is None
    assert (f"console:{os.getuid()} (command line)", "totp forgotten", "ana") in _audit()
    assert _run("forget-code", "ana").output == "ana had no phone enrolled.\n"


def test_nobody_of_that_name() -> None:
    _run("allow", "ana", "admin")
    result = _run("forget-code", "anna")
    assert result.exit_code == 1
    assert 'unknown person "anna", did you mean "ana"?' in result.output
