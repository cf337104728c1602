"""`deploybot chat` in scripts: what is printed, where, and with which exit code; and a bot of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploybot.card import Card, Tone
from deploybot.chat.console.console_protocol import SOCKET
from deploybot.chat.console.console_session import CHANNEL
from tests.chat.stub import Bot

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
ENV = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PACE": "0.05"}
STUB = ("--own", "python", str(HERE / "stub.py"))


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    bot = Bot(tmp_path / "data" / SOCKET, pace=0.02)
    await bot.console.start()
    yield bot
    await bot.console.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@dataclass(frozen=True)
class Ended:
    code: int | None
    out: str
    err: str


async def start(data: Path, *words: str, **extra: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / "run_client.py"),
        str(data),
        *words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENV | extra,
    )


async def end(process: asyncio.subprocess.Process, text: str = "") -> Ended:
    async with asyncio.timeout(30):
        out, err = await process.communicate(text.encode())
    return Ended(process.returncode, out.decode(), err.decode())


async def chat(data: Path, *words: str, text: str = "", **extra: str) -> Ended:
    return await end(await start(data, *words, **extra), text)


async def until(process: asyncio.subprocess.Process, text: str) -> str:
    assert process.stdout is not None
    read = ""
    async with asyncio.timeout(20):
        while text not in read:
            line = await process.stdout.readline()
            assert line, f"{read!r} ended before {text!r}"
            read += line.decode()
    return read


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("echo hi", 0),
        ("fail", 1),
        ("break x", 1),
        ("unheard-of", 1),
        ("deploy ok", 0),
        ("deploy bad", 1),
        ("deploy lost", 3),
    ],
)
async def test_exit_codes(bot: Bot, data: Path, line: str, code: int) -> None:
    ended = await chat(data, "-c", line)
    assert ended.code == code
    assert ended.err == ""
    assert "\x1b" not in ended.out
    assert len(bot.received) == 1


async def test_progress_is_printed_plainly_and_nothing_twice(bot: Bot, data: Path) -> None:
    ended = await chat(data, "-c", "deploy ok")
    lines = ended.out.splitlines()
    assert lines[:2] == ["● #1 deploy v2 (0123456789) to shop staging — running", "  replaces v1 (abcdef0123)"]
    assert lines[-3:] == [
        "✓ #1 deploy v2 (0123456789) to shop staging — done",
        "  ✓ web1  fetch 0.1 s, build 0.1 s, switch 0.1 s",
        "  by ben, took 0.3 s",
    ]
    assert len(lines) == len(set(lines))
    assert bot.cards["deployment:1"].final


async def test_json_is_one_object_a_line(bot: Bot, data: Path) -> None:
    ended = await chat(data, "--json", "-c", "deploy bad", "--as", "ben")
    messages = [json.loads(line) for line in ended.out.splitlines()]
    assert [one["type"] for one in messages] == ["card"] * (len(messages) - 1) + ["done"]
    assert messages[-1] == {"type": "done", "request": "2", "ok": False, "exit": 1}
    assert messages[0]["message"] == "deployment:1"
    assert messages[0]["card"]["final"] is False
    assert messages[-2]["edit"] is True
    assert messages[-2]["card"]["tone"] == "bad"
    assert bot.received[0].identity.user == f"{os.getuid()}/ben"


async def test_without_waiting_a_script_learns_what_it_started(bot: Bot, data: Path) -> None:
    bot.pace = 20
    ended = await chat(data, "--no-wait", "-c", "deploy ok")
    assert ended.code == 0
    assert ended.out.startswith("● #1 deploy v2 (0123456789) to shop staging — running\n")
    assert not bot.cards["deployment:1"].final


async def test_lines_from_stdin_run_until_one_fails(bot: Bot, data: Path) -> None:
    ended = await chat(data, text="echo one\n\n# nothing\necho two\nfail\necho never")
    assert ended.out.splitlines() == ["one", "two", "✗ No.", "  → Ask for less."]
    assert ended.code == 1
    assert [one.text for one in bot.received] == ["echo one", "echo two", "fail"]
    assert (await chat(data)).code == 0


@pytest.mark.usefixtures("bot")
async def test_a_log_reaches_a_file_as_it_is(data: Path) -> None:
    ended = await chat(data, "-c", "follow 3000")
    assert ended.out.splitlines() == [
        "● shop staging, log-1",
        *[f"line {number} of the log" for number in range(3000)],
        "log-1 ended after 3000 lines",
    ]


async def test_ctrl_c_stops_a_followed_log(bot: Bot, data: Path) -> None:
    process = await start(data, "-c", "follow")
    await until(process, "line 0 of the log")
    process.send_signal(signal.SIGINT)
    ended = await end(process)
    assert ended.code == 0
    assert "log-1 ended after" in ended.out
    assert bot.logs["log-1"].is_set()


async def test_ctrl_c_leaves_a_deployment_alone(bot: Bot, data: Path) -> None:
    bot.steps = asyncio.Semaphore(0)
    process = await start(data, "-c", "deploy ok")
    await until(process, "running")
    process.send_signal(signal.SIGINT)
    ended = await end(process)
    assert ended.code == 3
    assert ended.err == "Stopped waiting. Running deployments continue: see `status` and `history`.\n"
    for _ in range(4):
        bot.steps.release()
    await asyncio.gather(*bot.tasks)
    assert bot.cards["deployment:1"].ok


async def test_a_reader_that_leaves_ends_a_followed_log_without_a_complaint(bot: Bot, data: Path) -> None:
    process = await start(data, "-c", "follow")
    await until(process, "line 0 of the log")
    assert process.stdout is not None
    process.stdout._transport.close()  # type: ignore[attr-defined]
    async with asyncio.timeout(20):
        assert await process.wait() == 3
        await bot.logs["log-1"].wait()
    assert process.stderr is not None
    assert "Traceback" not in (await process.stderr.read()).decode()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("-c", "echo hi"), "No bot listens on "),
        (("-c", " "), "-c takes one command.\n  As in: deploybot chat -c 'status'\n"),
        (("-c", "echo a\necho b"), "-c takes one command."),
        (("--as", "Ben B", "-c", "echo hi"), "`Ben B` is not a person's name."),
    ],
)
async def test_wrong_use_and_no_bot(data: Path, words: tuple[str, ...], sentence: str) -> None:
    ended = await chat(data, *words)
    assert ended.code == 2
    assert ended.err.startswith(sentence)
    assert ended.out == ""


@pytest.mark.needs("root")
async def test_the_console_of_another_users_bot(bot: Bot, data: Path) -> None:
    for folder in data.parents:
        if folder.stat().st_uid == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    program = (
        "import os, sys\n"
        "from deploybot.chat.console.console_client import main\n"
        "from deploybot.settings import BotSettings, Settings\n"
        "settings = Settings(bot=BotSettings(data=sys.argv[1]))\n"
        "os.setgid(65534), os.setuid(65534)\n"
        "sys.exit(main(settings, line='echo hi'))\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(data)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENV,
    )
    ended = await end(process)
    assert ended.code == 2
    assert ended.err == (
        "The console of this bot belongs to the user root; only that user and root may use it.\n"
        "  Run: sudo -u root deploybot chat\n"
    )
    assert not bot.received


async def test_ctrl_c_promises_nothing_of_a_bot_that_ended_without_a_word(data: Path) -> None:
    process = await start(data, "-c", "deploy ok", *STUB, str(data), PACE="100")
    await until(process, "running")
    process.send_signal(signal.SIGINT)
    ended = await end(process)
    assert ended.code == 3
    assert ended.err.splitlines()[1:] == ["Stopped waiting. See it with: deploybot chat -c 'status'"]


async def test_a_bot_of_its_own_lives_as_long_as_the_command(data: Path) -> None:
    ended = await chat(data, "-c", "deploy ok", *STUB, str(data))
    assert ended.code == 0
    assert "— done" in ended.out
    assert ended.err == "No bot is running. Starting a temporary one for this console.\n"
    assert not (data / SOCKET).exists()


async def test_an_own_bot_that_cannot_start_says_why(data: Path) -> None:
    program = data.with_name("broken.py")
    program.write_text("import sys; sys.exit('bot.toml is wrong')")
    ended = await chat(data, "-c", "status", "--own", "python", str(program))
    assert ended.code == 2
    assert ended.err.endswith("one could not be started:\nbot.toml is wrong\n  Try: deploybot run\n")


OTHERS_WERE_FASTER = """
import os, subprocess, sys
from pathlib import Path
data, tries = Path(sys.argv[1]), Path(sys.argv[2])
data.mkdir(exist_ok=True)
with tries.open("a") as file:
    file.write("x")
if len(tries.read_text()) <= int(sys.argv[3]):
    holder = {holder}
    (data / "deploybot.lock").write_text(f"{{holder}} temporary\\n")
    sys.exit("another bot uses the data folder")
os.execv(sys.executable, [sys.executable, sys.argv[4], str(data)])
"""
GONE = 'subprocess.check_output(["sh", "-c", "echo $$"], text=True).strip()'


async def _behind_others(data: Path, holder: str) -> tuple[Ended, int]:
    """Start a bot that ends three times, when somebody has written to the lock file; how it ended, and the tries."""
    program, tries = data.with_name("late.py"), data.with_name("tries")
    program.write_text(OTHERS_WERE_FASTER.format(holder=holder))
    words = ("python", str(program), str(data), str(tries), "3", str(HERE / "stub.py"))
    return await chat(data, "-c", "echo hi", "--own", *words), len(tries.read_text())


async def test_a_bot_is_started_again_as_long_as_others_were_faster_and_are_gone(data: Path) -> None:
    ended, tries = await _behind_others(data, GONE)
    assert (ended.code, ended.out, tries) == (0, "hi\n", 4)


async def test_an_own_bot_that_ends_with_the_lock_is_not_started_again(data: Path) -> None:
    ended, tries = await _behind_others(data, "os.getpid()")
    assert (ended.code, tries) == (2, 1)
    assert "another bot uses the data folder" in ended.err


@pytest.mark.needs("root")
async def test_no_bot_is_started_in_another_users_folder(data: Path) -> None:
    data.mkdir(mode=0o700)  # noqa: ASYNC240  nothing else runs yet
    os.chown(data, 65534, 65534)
    ended = await chat(data, "-c", "status", *STUB, str(data))
    assert ended.code == 2
    assert ended.err.startswith(f"No bot is running, and its data folder {data} belongs to the user nobody.\n")
    assert list(data.iterdir()) == []  # noqa: ASYNC240  nothing else runs


async def test_an_own_bot_goes_with_a_client_that_is_killed(data: Path) -> None:
    process = await start(data, "-c", "follow", *STUB, str(data))
    await until(process, "line 0 of the log")
    process.kill()
    await process.wait()
    async with asyncio.timeout(30):
        while (data / SOCKET).exists():  # noqa: ASYNC110  another process takes it away
            await asyncio.sleep(0.02)


async def test_of_two_clients_that_start_a_bot_at_once_both_find_one(data: Path) -> None:
    ended = await asyncio.gather(*(chat(data, "-c", f"echo {number}", *STUB, str(data)) for number in range(3)))
    # A bot goes with the client that started it, so that another's answer may be lost; but nobody finds none.
    assert {one.code for one in ended} <= {0, 3}
    assert 0 in {one.code for one in ended}


async def test_a_deployment_is_followed_over_a_restart_of_the_bot(data: Path) -> None:
    async def run_bot(**extra: str) -> asyncio.subprocess.Process:
        ready, child = os.pipe()
        env = ENV | extra | {"DEPLOYBOT_READY_FD": str(child)}
        words = (sys.executable, str(HERE / "stub.py"), str(data))
        bot = await asyncio.create_subprocess_exec(*words, env=env, pass_fds=(child,))
        os.close(child)
        assert await asyncio.to_thread(os.read, ready, 10) == b"ready\n"
        os.close(ready)
        return bot

    first = await run_bot(PACE="100")
    process = await start(data, "-c", "deploy ok")
    await until(process, "running")
    first.kill()
    await first.wait()
    second = await run_bot(PACE="1", RESUME="1")
    try:
        ended = await end(process)
    finally:
        second.terminate()
        await second.wait()
    assert ended.err == "The connection to the bot was lost. Waiting for it to come back.\n"
    assert ended.code == 0
    assert "— done" in ended.out


async def test_a_script_goes_on_with_a_bot_that_was_restarted_between_its_commands(bot: Bot, data: Path) -> None:
    process = await start(data)
    assert process.stdin is not None
    process.stdin.write(b"echo one\n")
    await until(process, "one")
    await bot.console.close()
    again = Bot(bot.path)
    await again.console.start()
    ended = await end(process, "echo two\n")
    assert (ended.code, ended.out) == (0, "two\n")
    await again.console.close()


async def test_a_bot_that_dies_before_it_answers(bot: Bot, data: Path) -> None:
    process = await start(data, "-c", "wait for it")
    async with asyncio.timeout(30):
        while not bot.received:  # noqa: ASYNC110  another process sends it
            await asyncio.sleep(0.01)
    await bot.console.close()
    ended = await end(process)
    assert ended.code == 3
    assert "It is unknown whether the command ran" in ended.err


async def test_nothing_of_the_client_is_loaded_by_the_server() -> None:
    program = (
        "import sys, deploybot.chat.console.console_chat, deploybot.chat.outbox_worker\n"
        "print([name for name in sys.modules if name.split('.')[0] in {'rich', 'prompt_toolkit'}])"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=subprocess.PIPE, env=ENV)
    assert (await process.communicate())[0].decode().strip() == "[]"


async def test_listeners_get_what_everybody_gets(bot: Bot, data: Path) -> None:
    process = await start(data, "--listen")
    await bot.console.send(CHANNEL, Card(title="a build began", key="build", tone=Tone.BUSY, final=False))
    await until(process, "a build began")
    await bot.console.send(CHANNEL, Card(title="a build is green", key="build", tone=Tone.GOOD))
    await until(process, "a build is green")
    process.send_signal(signal.SIGINT)
    assert (await end(process)).code == 0
    assert not bot.received


async def test_who_listens_waits_for_a_bot_that_went_away(bot: Bot, data: Path) -> None:
    process = await start(data, "--listen", "--json")
    await bot.console.send(CHANNEL, Card(title="here"))
    await until(process, "here")
    await bot.console.close()
    later = Bot(data / SOCKET)
    await later.console.start()
    await later.console.send(CHANNEL, Card(title="back again"))
    await until(process, "back again")
    process.send_signal(signal.SIGINT)
    ended = await end(process)
    await later.console.close()
    assert ended.code == 0
    assert "Waiting for it to come back." in ended.err


async def test_who_listens_says_nothing(data: Path) -> None:
    ended = await chat(data, "--listen", "-c", "status")
    assert ended.code == 2
    assert "--listen takes no command" in ended.err
