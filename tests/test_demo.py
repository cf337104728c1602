"""The demo: played whole, stopped half-way, and at a terminal; and that nothing of it is left."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

import pexpect
import pytest

from deploybot.demo import main
from deploybot.demo.demo_repository import changes, make
from deploybot.demo.demo_setup import DemoSetup, folder_of, lacks
from deploybot.demo.demo_transcript import DemoTranscript
from deploybot.demo.stray_processes import MARK, end_strays, strays
from deploybot.errors import UserError

ROOT = Path(__file__).parents[1]
DEMO = (sys.executable, "-m", "deploybot", "demo")
pytestmark = pytest.mark.timeout(600)


def environment(tmp_path: Path) -> dict[str, str]:
    """Whatever the demo makes, it makes below `tmp_path`."""
    return os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), "LANG": "C.UTF-8"}


def living(folder: Path) -> list[str]:
    """The command lines of processes that have to do with a folder, by their arguments or environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            command, variables = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
        except OSError:
            continue
        if bytes(folder) in command or bytes(folder) in variables:
            found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


def wait_for(condition: Callable[[], object], within: float = 30.0) -> bool:
    end = time.monotonic() + within
    while not (done := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return bool(done)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The whole session, without a terminal."""
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        DEMO,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=environment(folder),
        timeout=580,
    )
    return folder, done


def test_every_outcome_is_right(played: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _, done = played
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert done.stderr == ""
    assert "WRONG" not in done.stdout
    assert re.search(r"# All 1[5-9]\d outcomes were right, in ", done.stdout)
    assert done.stdout.endswith("Everything is deleted.\n")


def test_the_transcript_shows_the_whole_session(played: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _, done = played
    scenes = [
        "ana> deploy shop@v1\n",
        ": shop v1\n",
        "  ! touches migrations/0001-prices.sql\n",
        "its payment key is •••\n",
        "failed, rolled back to v2\n",
        "ana> rollback shop from production because the lantern is sold out\n",
        "did you mean `shop`?\n",
        "✗ `deploy` needs the role deployer on shop/production; you are viewer there.\n",
        "$ kill -9 ",
        "The connection to the bot was lost. Waiting for it to come back.\n",
        "  => builds of v4: 1, 13 pages, 0 of them twice\n",
        "  => fair on web3, asked at http://127.0.0.4:",
        "ana> deploy shop@v2.1 to market\n",
        "✗ You can't approve your own request: someone else must approve it.\n",
        "! #14 is void, and was not deployed.\n",
        "✓ #15 is approved.\n",
        ": shop v6\n",
        "  => the same, from somebody without the secret: 403\n",
        "✓ #16 shop/staging: ",
        "  => messages about the build: 1\n",
        "  => deployments of v7: 1\n",
        "! #17 shop/fair: v1 → v2 · failed, rolled back to v1\n",
        "  => fair on web3, asked at http://127.0.0.4:",
        "── An app without a repository is promoted ─",
        "! #13 shop/market: v2 → v2.1 · failed, rolled back to v2\n",
        "  => starts of v2.1 on web2, behind the canary: 0\n",
        "The audit is intact",
        "  => the payment key, in all answers and the bot's own files: nowhere\n",
    ]
    end = 0
    for scene in scenes:
        end = done.stdout.find(scene, end)
        assert end >= 0, scene
    assert "\x1b" not in done.stdout


def test_nothing_is_left(played: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = played
    assert list(folder.iterdir()) == []
    assert living(folder) == []
    ports = {int(port) for port in re.findall(r"http://127\.0\.0\.1:(\d+)/", done.stdout)}
    assert len(ports) == 4
    there = [(at, port) for at in (1, 2, 3, 4) for port in ports if "shop v" in answer(port, f"127.0.0.{at}")]
    assert there == []


def answer(port: int, address: str) -> str:
    """What listens there says, "" if nothing does. By now it may be somebody else."""
    with suppress(OSError, HTTPException), urlopen(f"http://{address}:{port}/", timeout=5) as reply:
        return str(reply.read(10_000).decode(errors="replace"))
    return ""


def begun(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    """A demo in which v1 has just been deployed, and the next command is running."""
    process = subprocess.Popen(
        (*DEMO, *words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(tmp_path),
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "=> staging" in line:
            break
    assert living(tmp_path)
    return process


def pressed_until_it_ends(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """What a demo says that gets a signal again and again, until it says nothing more."""
    told: list[str] = []
    assert process.stdout is not None
    reading = threading.Thread(target=lambda: told.append(process.stdout.read() if process.stdout else ""))
    reading.start()
    while process.poll() is None:
        process.send_signal(number)
        reading.join(0.005)
    reading.join(60)
    return "".join(told)


def test_stopped_half_way_it_puts_everything_away(tmp_path: Path) -> None:
    with begun(tmp_path) as process:
        told = pressed_until_it_ends(process, signal.SIGINT)
    assert process.returncode == 130, told
    assert told.endswith("Everything is deleted.\n")
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == []
    assert living(tmp_path) == []


PRESSED_AT_THE_END = """
import os, signal, threading
from deploybot.demo.demo_command import _held_back, _until_stopped

over = threading.Event()

def press():
    while not over.wait(0.0005):
        os.kill(os.getpid(), signal.SIGINT)

async def work():
    # A thread of the loop that has not ended when the loop closes. It takes the signals that the main thread blocks.
    thread.start()
    return 0

thread = threading.Thread(target=press)
with _held_back():
    _until_stopped(work())
over.set()
thread.join()
print("deleted")
"""


def test_a_signal_while_its_loop_closes_does_not_keep_it_from_deleting(tmp_path: Path) -> None:
    done = subprocess.run(
        (sys.executable, "-c", PRESSED_AT_THE_END),
        capture_output=True,
        text=True,
        check=False,
        env=environment(tmp_path),
        timeout=60,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("deleted\n", "", 0)


WRONG_SESSION = """
import os, signal, sys
from deploybot.demo import demo_command, demo_session

async def play(stage):
    await demo_session._people(stage)
    async with demo_session._bot(stage):
        await demo_session._first_release(stage)
        pid = int((stage.town.folder / "server/staging/shop.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        await stage.serves("staging", "v1")
        await stage.ask("ana", "status shop staging", "all OK")

demo_command.play = play
sys.exit(demo_command.main([]))
"""


def test_one_wrong_outcome_fails_it(tmp_path: Path) -> None:
    done = subprocess.run(
        (sys.executable, "-c", WRONG_SESSION),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=environment(tmp_path),
        timeout=250,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    wrong = re.findall(r"  => WRONG: (.*)\n", done.stdout)
    assert wrong, done.stdout
    assert "no answer (" in wrong[0]
    assert "the answer to `status shop staging` does not contain “all OK”" in wrong
    assert re.search(rf"# {len(wrong)} of \d+ outcomes were wrong, in ", done.stdout)
    assert done.stdout.count("# The last words of a bot that ran:") == 1
    assert done.stdout.endswith("Everything is deleted.\n")


def test_killed_it_leaves_files_and_no_process(tmp_path: Path) -> None:
    with begun(tmp_path) as process:
        process.kill()
        process.communicate(timeout=60)
    assert wait_for(lambda: not living(tmp_path)), living(tmp_path)


def test_its_folder_may_be_kept(tmp_path: Path) -> None:
    folder = tmp_path / "here" / "demo"
    with begun(tmp_path, "--dir", str(folder), "--keep") as process:
        process.send_signal(signal.SIGTERM)
        told, _ = process.communicate(timeout=60)
    assert f"Everything is stopped. The files are in {folder}.\n" in told
    assert living(tmp_path) == []
    assert {"bot.toml", "data", "keys", "server", "shop"} <= {entry.name for entry in folder.iterdir()}
    assert (folder / "server" / "log").read_text() == ""


def test_at_a_terminal_it_leaves_one_at_the_prompt(tmp_path: Path) -> None:
    demo = terminal(tmp_path)
    demo.expect_exact("deletes everything")
    demo.expect_exact("deploybot>")
    demo.sendline("status")
    demo.expect_exact("2 targets: all OK")
    assert len(living(tmp_path)) > 3
    demo.send("\x03")
    demo.sendline("exit")
    demo.expect_exact("Everything is deleted.")
    demo.expect(pexpect.EOF)
    demo.wait()
    demo.close()
    assert demo.exitstatus == 0
    assert list(tmp_path.iterdir()) == []
    assert living(tmp_path) == []


def test_a_closed_terminal_ends_it(tmp_path: Path) -> None:
    demo = terminal(tmp_path)
    demo.expect_exact("deploybot>")
    # It asks after a tenth of a second whether the demo has ended, which takes longer to put all away.
    with suppress(pexpect.ExceptionPexpect):
        demo.close(force=False)
    assert wait_for(lambda: not living(tmp_path)), living(tmp_path)
    assert wait_for(lambda: not [*tmp_path.iterdir()]), [*tmp_path.rglob("*")]


def terminal(tmp_path: Path) -> pexpect.spawn[str]:
    variables = environment(tmp_path) | {"TERM": "xterm"}
    return pexpect.spawn(DEMO[0], list(DEMO[1:]), env=variables, encoding="utf-8", timeout=90, dimensions=(40, 120))


def test_the_repository_is_the_same_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    heads = []
    for name in ("one", "two"):
        make(tmp_path / name)
        command = ("git", f"--git-dir={tmp_path / name / '.git'}", "log", "--format=%H %an %s %D", "--all")
        heads.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert heads[0] == heads[1]
    assert len(heads[0].splitlines()) == len(changes())
    assert [f"tag: v{number}" in heads[0] for number in range(1, 6)] == [True] * 4 + [False]


@pytest.fixture
def stage(tmp_path: Path) -> DemoTranscript:
    return DemoTranscript(DemoSetup(folder=tmp_path, ports={"staging": 1}, payment_key="pay_1234"), io.StringIO())


async def test_what_is_wrong_spoils_the_play(stage: DemoTranscript) -> None:
    stage.compare("builds", "1", "1")
    assert (stage.right, stage.wrong) == (1, [])
    stage.compare("builds", "2", "1")
    await stage.serves("staging", "v1")
    assert stage.wrong[0] == "builds: 2 instead of 1"
    assert stage.wrong[1].startswith("staging, asked at http://127.0.0.1:1/: no answer (")
    with pytest.raises(UserError, match="never: that did not happen within 0 s"):
        await stage.until("never", lambda: False, 0.0)


def test_a_secret_in_the_bots_files_spoils_the_play(stage: DemoTranscript) -> None:
    data = stage.town.folder / "data"
    data.mkdir()
    (data / "deploybot.db").write_bytes(b"\0pay_12345\0")
    stage.kept_secret()
    assert stage.wrong == ["the payment key, in all answers and the bot's own files: deploybot.db instead of nowhere"]


def test_a_machine_that_lacks_something_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lacks() == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert lacks().startswith("The demo needs git, sh, setsid, sha256sum, mkfifo, which this machine does not have")
    assert main([]) == 1
    assert "Install them" in capsys.readouterr().err


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    # By itself, for it leaves its process deaf to Ctrl-C.
    done = subprocess.run((*DEMO, "--dir", str(tmp_path)), capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{tmp_path} already exists." in done.stderr
    assert (tmp_path / "mine").read_text() == "x"
    assert main(["--nonsense"]) == 2
    with folder_of(None, keep=False) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_strays_are_found_by_their_mark_and_ended(tmp_path: Path) -> None:
    variables = os.environ | {MARK: str(tmp_path)}
    with subprocess.Popen(("sh", "-c", "setsid sleep 1000 & wait"), env=variables) as process:
        assert wait_for(lambda: len(list(strays(tmp_path))) == 2)
        assert list(strays(tmp_path.parent)) == []
        assert end_strays(tmp_path) == ()
        assert process.wait(10) == -signal.SIGKILL
    assert list(strays(tmp_path)) == []
