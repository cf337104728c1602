"""The bot as a process: ready, told to stop, alone on its data folder, and honest about what it cannot use."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploybot.chat.console.child_bot import LIFE_FD, READY_FD
from tests.lab import free_port

STOPS_WITHIN = 10.0


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "bot.toml"
    path.write_text(f'[bot]\ndata = "{tmp_path / "data"}"\n')
    return path


def add(config: Path, line: str) -> None:
    """Add a line to bot.toml."""
    config.write_text(f"{config.read_text()}{line}\n")


def argv(config: Path, *words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "deploybot", "--config", str(config), *words)


@asynccontextmanager
async def bot(config: Path, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A bot that has said it is ready."""
    ready, ready_child = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *argv(config, "run"),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, READY_FD: str(ready_child), **environ},
        pass_fds=(ready_child, *(int(value) for value in environ.values())),
    )
    os.close(ready_child)
    try:
        with os.fdopen(ready, "rb", buffering=0) as pipe:
            assert await asyncio.wait_for(asyncio.to_thread(pipe.readline), 60) == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def run(config: Path, *words: str) -> tuple[int, str, float]:
    """A command to its end: exit code, what it wrote to stderr, and how long it took."""
    begun = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *argv(config, *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, errors.decode(), time.monotonic() - begun


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly_and_in_time(config: Path, number: signal.Signals) -> None:
    async with bot(config) as process:
        process.send_signal(number)
        async with asyncio.timeout(STOPS_WITHIN):
            assert await process.wait() == 0
    assert not (config.parent / "data" / "console.sock").exists()


async def test_it_goes_with_the_client_that_started_it(config: Path) -> None:
    life_child, life = os.pipe()
    try:
        async with bot(config, **{LIFE_FD: str(life_child)}) as process:
            os.close(life)
            async with asyncio.timeout(STOPS_WITHIN):
                assert await process.wait() == 0
    finally:
        os.close(life_child)


async def test_a_second_bot_says_who_is_there_and_leaves(config: Path) -> None:
    async with bot(config) as first:
        code, errors, _ = await run(config, "run")
        assert first.returncode is None
    assert code == 1
    assert f"process {first.pid}" in errors


async def test_a_killed_bot_leaves_nothing_that_stops_the_next(config: Path) -> None:
    async with bot(config) as process:
        process.kill()
        await process.wait()
    async with bot(config) as process:
        assert process.returncode is None


async def test_the_start_names_the_new_form_of_what_bot_toml_writes_in_an_old_one(config: Path) -> None:
    token = config.parent / "token"
    token.write_text("123456789:a-made-up-token-of-the-right-form")
    token.chmod(0o600)
    add(config, f'[telegram]\ntoken = {{ file = "{token}" }}\nchat = -1001234567890\napi_url = "http://127.0.0.1:9"')
    async with bot(config) as process:
        assert process.stderr is not None
        async with asyncio.timeout(60):
            while b"old form" not in (line := await process.stderr.readline()):
                assert line, "the log ended"
    hint = 'telegram.chat: write channel = "telegram:-1001234567890" instead of chat'
    assert f"WARNING deploybot.bot: bot.toml has an old form, which still works: {hint}" in " ".join(
        line.decode().split()
    )


async def test_the_start_names_forges_whose_kind_is_not_clear(config: Path) -> None:
    secret = config.parent / "secret"
    secret.write_text("5f8c1c0e7b6f4b0d9a64c7d23e0f9b18a1")
    secret.chmod(0o600)
    hooks = "".join(f'\n[hooks.{kind}]\nsecret = {{ file = "{secret}" }}' for kind in ("gitlab", "gitea"))
    apps = "".join(
        f'\n[apps.{name}]\nrepo = "git@{name}.example.com:a/b.git"\nstrategy = "script"'
        f'\nscript = "deploy.sh"\ndirectory = "/srv/{name}"'
        f'\n[apps.{name}.environments.production]\nservers = ["web1"]'
        for name in ("one", "two")
    )
    add(config, '[servers.web1]\nssh = "deploy@127.0.0.1"\nagent = true')
    add(config, f'[http]\nlisten = "127.0.0.1:{free_port()}"{hooks}{apps}')
    async with bot(config) as process:
        assert process.stderr is not None
        async with asyncio.timeout(60):
            while b"not clear" not in (line := await process.stderr.readline()):
                assert line, "the log ended"
    assert b"one.example.com may be gitea or gitlab; two.example.com may be gitea or gitlab." in line


async def test_the_first_start_prints_a_code_for_the_first_administrator(config: Path) -> None:
    async with bot(config) as process:
        assert process.stderr is not None
        line = await asyncio.wait_for(process.stderr.readline(), 60)
        code = line.decode().rpartition("claim ")[2].strip()
        wrong, _, _ = await run(config, "chat", "-c", "claim 00000000")
        right, _, _ = await run(config, "chat", "-c", f"claim {code}")
        again, _, _ = await run(config, "chat", "-c", f"claim {code}")
    assert (wrong, right, again) == (1, 0, 1)


async def test_a_damaged_database_is_reported_with_the_way_back(config: Path) -> None:
    async with bot(config) as process:
        process.terminate()
        await process.wait()
    database = config.parent / "data" / "deploybot.db"
    database.write_bytes(b"SQLite format 3\0" + os.urandom(8000))
    code, errors, _ = await run(config, "run")
    assert code == 1
    assert "deploybot.db.bak" in errors
    assert "Traceback" not in errors


async def test_a_bad_plug_in_stops_the_start_with_its_name(config: Path) -> None:
    plugins = config.parent / "mine"
    plugins.mkdir()
    (plugins / "hello.py").write_text("from deploybot import command\n@command('hello')\ndef hello(): ...\n")
    add(config, 'plugins = "mine"')
    code, errors, _ = await run(config, "run")
    assert code == 2
    assert "hello.py" in errors
    assert "needs" in errors
