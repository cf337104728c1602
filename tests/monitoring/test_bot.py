"""A real bot with everything of this turned on: what it answers, what it writes, and that it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from aiohttp import ClientSession

from deploybot.bot import Bot, _log_failure
from deploybot.chat.console.child_bot import READY_FD
from deploybot.config import load
from deploybot.wiring.infrastructure import adapters
from tests.lab import free_port

TOKEN = "metrics-token-0123456789"
CONFIG = """
[bot]
data = "{data}"
log_format = "json"

[http]
listen = "127.0.0.1:{port}"
token = {{ env = "HTTP_TOKEN" }}

[outgoing.board]
url = "http://127.0.0.1:9/hook"
secret = {{ env = "BOARD_SECRET" }}

[otel]
endpoint = "http://127.0.0.1:9/v1/traces"
"""


async def test_work_that_broke_makes_it_ill_and_what_has_just_ended_does_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tmp_path / "bot.toml"
    config.write_text(f'[bot]\ndata = "{tmp_path / "data"}"\n')
    settings = load(config, {})
    bot = Bot(settings, adapters(settings))

    async def end(error: Exception | None) -> None:
        if error is not None:
            raise error

    tasks = [asyncio.create_task(end(error), name=name) for name, error in (("ends", None), ("breaks", KeyError()))]
    bot._work = tasks
    for task in tasks:
        task.add_done_callback(_log_failure)
    await asyncio.wait(tasks)
    problems = bot._problems()
    assert (problems["ends"], "it stopped" in problems["breaks"]) == ("", True)
    assert [record.getMessage() for record in caplog.records] == ["breaks broke"]


async def test_it_answers_and_logs_and_ends(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "bot.toml"
    config.write_text(CONFIG.format(data=tmp_path / "data", port=port))
    ready, ready_child = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploybot", "--config", str(config), "run"),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, READY_FD: str(ready_child), "HTTP_TOKEN": TOKEN, "BOARD_SECRET": "sixteen-letters-and-more"},
        pass_fds=(ready_child,),
    )
    os.close(ready_child)
    try:
        with os.fdopen(ready, "rb", buffering=0) as pipe:
            assert await asyncio.wait_for(asyncio.to_thread(pipe.readline), 30) == b"ready\n"
        url, opened = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {TOKEN}"}
        async with ClientSession() as session:
            async with session.get(f"{url}/healthz", headers=opened) as answer:
                assert answer.status == 200
                assert {"database", "console", "disk"} <= (await answer.json())["parts"].keys()
            async with session.get(f"{url}/metrics", headers=opened) as answer:
                assert "deploybot_loop_lag_seconds_count" in await answer.text()
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 15)
        assert process.returncode == 0
        lines = [json.loads(line) for line in errors.decode().splitlines() if line.startswith("{")]
        assert {"ready", "stopping; deployments continue on the servers"} <= {line["text"] for line in lines}
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
