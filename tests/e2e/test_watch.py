"""The watch on a real Engine: releases that pass their health check and then do worse are rolled back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from deploybot.domain import Deployment, State, WatchState
from tests.e2e.conftest import RunningBot, ended
from tests.e2e.test_reality import open_compose_bot
from tests.lab import Engine, Repo

YAML = """
services:
  web:
    build: .
    command: ["sh", "/start"]
    init: true
    restart: always
    stop_grace_period: 1s
    ports: ["8000:8000"]
"""
DOCKERFILE = "FROM lab/busybox\nCOPY www /www\nCOPY start /start\n"
SERVE = "chmod +x /www/cgi-bin/health\n{begin}\nhttpd -f -p 8000 -h /www\n"
HEALTH = "#!/bin/sh\nsleep {seconds}\nprintf 'Content-Type: text/plain\\r\\n\\r\\nok\\n'\n"
LOUD = 'while sleep 0.7; do echo "ERROR: no such table: users"; done &'
CRASHES = "[ -e /crashed ] || (touch /crashed; sleep 12; kill 1) &"
KNOWN = 65
"""Seconds of the old release's log that are enough to compare with."""


def commit(repo: Repo, tag: str, *, begin: str = "", seconds: float = 0.0) -> None:
    files = {
        "compose.yaml": YAML,
        "Dockerfile": DOCKERFILE,
        "start": SERVE.format(begin=begin),
        "www/index.html": f"{tag}\n",
        "www/cgi-bin/health": HEALTH.format(seconds=seconds),
    }
    repo.commit(files, f"Release {tag}")
    repo.tag(tag)


async def counts_down(bot: RunningBot, number: int) -> bool:
    """Return whether the rollback is announced now."""
    rows = await bot.world.store.read(lambda tables: tables.watches.of(number))
    return any(row.state is WatchState.WORSE for row in rows)


async def taken_back(bot: RunningBot, text: str) -> tuple[Deployment, str]:
    """Deploy a release that does worse; how it ended, and its cause."""
    done = await bot.deploy(text)
    return done, ended(done, State.RESTORED).splitlines()[0]


async def begun(bot: RunningBot, text: str) -> int:
    """Type a deployment; its number."""
    card = await bot.say(text)
    assert card.queued, card
    return int(card.key.partition(":")[2])


def health(engine: Engine) -> str:
    return f'health = {{ http = "http://{engine.address}:8000/cgi-bin/health", within = "20s" }}'


WATCH = 'watch = "1m"\nveto = "3s"'


@pytest.mark.timeout(600)
async def test_error_lines_and_slow_answers_are_found(
    engine: Engine, make_repo: Callable[..., Repo], tmp_path: Path
) -> None:
    repo = make_repo("shop")
    commit(repo, "v1")
    commit(repo, "loud", begin=LOUD)
    commit(repo, "slow", seconds=0.4)
    async with open_compose_bot(engine, repo, tmp_path, more=health(engine), environment=WATCH) as bot:
        ended(await bot.running.deploy("deploy shop@v1"), State.SUCCEEDED)
        await asyncio.sleep(KNOWN - 60)  # the old release's log has to be long enough to be compared with
        done, cause = await taken_back(bot.running, "deploy shop@loud")
        assert cause.startswith("Not healthy on web1: error lines: ")
        assert cause.endswith(" a minute, before 0.")
        assert any("error lines a minute" in line for line in done.tail)
        assert bot.page() == "v1"
        done, cause = await taken_back(bot.running, "deploy shop@slow")
        assert cause.startswith("Not healthy on web1: health check: answers after 4")
        assert bot.page() == "v1"


@pytest.mark.timeout(600)
async def test_a_crash_is_found_and_a_veto_keeps_the_release(
    engine: Engine, make_repo: Callable[..., Repo], tmp_path: Path
) -> None:
    repo = make_repo("shop")
    commit(repo, "v1")
    commit(repo, "crashes", begin=CRASHES)
    async with open_compose_bot(engine, repo, tmp_path, more=health(engine), environment=WATCH) as bot:
        ended(await bot.running.deploy("deploy shop@v1"), State.SUCCEEDED)
        _, cause = await taken_back(bot.running, "deploy shop@crashes")
        assert cause.startswith("Not healthy on web1: restarts and exits: 1")
        assert bot.page() == "v1"
        number = await begun(bot.running, "deploy shop@crashes")
        async with asyncio.timeout(100):
            while not await counts_down(bot.running, number):  # noqa: ASYNC110 - rows in a database
                await asyncio.sleep(0.2)
        assert (await bot.running.say(f"veto #{number}")).ok
        outcome = ended(await bot.running.end_of(number), State.SUCCEEDED)
        assert outcome.startswith("ana vetoed the rollback. web1: restarts and exits: 1")
        assert bot.page() == "crashes"
