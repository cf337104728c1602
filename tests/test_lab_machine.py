"""What the laboratory needs on its machine, and that it leaves nothing there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

import pytest

from tests.lab import Lab, free_port, run, until
from tests.lab.lab import control_groups, reap
from tests.lab.run import own_ports, started

ROOT = Path(__file__).parents[1]
LEAVE = """
import sys, tests.lab
lab = tests.lab.Lab()
server, engine = lab.sshd(), lab.engine()
lab.full_disk()
engine.docker("run", "--detach", "lab/busybox", "sleep", "600")
print(lab.directory, *server.box.pids(), *engine.box.pids(), flush=True)
sys.stdin.read()
"""


def traces(directory: Path) -> list[str]:
    """What a run of the laboratory left on this machine, its processes apart."""
    name = directory.name
    bridge = "dblab" + name.rpartition("-")[2]
    rules = subprocess.run(["iptables", "-w", "-S", "FORWARD"], capture_output=True, text=True, check=True).stdout
    found = {
        "files": directory.exists(),
        "mounts": str(directory) in Path("/proc/self/mounts").read_text(),
        "links": any(re.fullmatch(rf"{bridge}(v\d+)?", each.name) for each in Path("/sys/class/net").iterdir()),
        "rule": f"-i {bridge} " in rules,
        "control groups": bool(control_groups(name)),
    }
    return [what for what, there in found.items() if there]


class TestCleanUp:
    def leave(self) -> tuple[subprocess.Popen[str], Path, dict[int, str]]:
        process = subprocess.Popen(
            [sys.executable, "-c", LEAVE], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout
        directory, *pids = process.stdout.readline().split()
        return process, Path(directory), {int(pid): started(int(pid)) for pid in pids}

    @pytest.mark.usefixtures("lab")
    def test_closing_leaves_nothing(self) -> None:
        with Lab() as lab:
            server = lab.sshd()
            lab.full_disk()
            pids = {pid: started(pid) for pid in server.box.pids()}
            assert set(traces(lab.directory)) == {"files", "mounts", "links", "rule"}
        assert pids
        assert not [pid for pid, since in pids.items() if started(pid) == since]
        assert not traces(lab.directory)

    @pytest.mark.usefixtures("lab")
    def test_after_kill_9_everything_dies_and_the_next_run_removes_the_rest(self) -> None:
        process, directory, pids = self.leave()
        assert len(pids) >= 5
        with process:
            process.send_signal(signal.SIGKILL)
        until(lambda: not any(started(pid) for pid in pids), within=60, what="end of everything")
        assert traces(directory)
        Lab().close()
        assert not traces(directory)

    @pytest.mark.usefixtures("lab")
    def test_a_run_that_lives_is_left_alone(self) -> None:
        process, directory, pids = self.leave()
        Lab().close()
        with process:
            assert all(started(pid) == since for pid, since in pids.items())
            assert directory.exists()
            process.kill()
        Lab().close()
        assert not traces(directory)

    def test_a_run_that_begins_is_left_alone(self) -> None:
        draft = Path(tempfile.mkdtemp(prefix="deploybot-lab-draft-"))
        try:
            # Its owner is about to be written.
            (draft / "owner").touch()
            reap()
            assert draft.exists()
        finally:
            shutil.rmtree(draft)


class TestFreePort:
    def test_the_kernel_gives_it_to_nobody_and_it_is_not_named_again_soon(self) -> None:
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        ports = [free_port() for _ in range(100)]
        assert max(ports) < lowest
        assert len(set(ports)) == len(ports)

    def test_each_worker_has_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = []
        for worker in ("gw0", "gw1", "gw3"):
            monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
            seen.append(set(islice(own_ports(), 2000)))
        assert len(set.union(*seen)) == 3 * 2000

    def test_what_listens_anywhere_is_passed_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        taken, free = free_port(), free_port()
        monkeypatch.setattr(run, "_ports", iter([taken, free]))
        with socket.create_server(("127.0.0.2", taken)):
            assert free_port() == free


class TestInstall:
    @pytest.mark.usefixtures("lab")
    def test_is_quick_where_everything_is_there(self) -> None:
        done = subprocess.run([ROOT / "tests/lab/install"], capture_output=True, timeout=60, check=True)
        assert done.stdout + done.stderr == b""

    @pytest.mark.usefixtures("lab")
    def test_says_in_one_line_that_it_needs_root(self) -> None:
        script = (ROOT / "tests/lab/install").read_text()
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", "sh", "-c", script],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (1, "tests/lab/install: needs root: sudo tests/lab/install\n")


def test_a_machine_without_the_parts_skips_and_under_ci_fails(tmp_path: Path) -> None:
    for ci, outcome in (("", "1 skipped"), ("true", "1 error")):
        env = {name: value for name, value in os.environ.items() if name != "CI"} | {"PATH": str(tmp_path)}
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", PROBE]
        done = subprocess.run(
            argv, cwd=ROOT, env=env | ({"CI": ci} if ci else {}), capture_output=True, text=True, check=False
        )
        assert outcome in done.stdout
        assert "run sudo tests/lab/install" in done.stdout


NEEDY = """
import pytest

@pytest.mark.needs("sh")
def test_here(): pass

@pytest.mark.needs("no-such-program|sh")
def test_one_is_enough(): pass

@pytest.mark.needs("sh", "no-such-program")
def test_missing(): pass
"""


@pytest.mark.parametrize(("ci", "outcome"), [("", "2 passed, 1 skipped"), ("true", "2 passed, 1 error")])
def test_a_marker_names_what_a_test_needs(tmp_path: Path, ci: str, outcome: str) -> None:
    (tmp_path / "test_needy.py").write_text(NEEDY)
    argv = [sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest"]
    argv += ["-p", "no:cacheprovider", str(tmp_path)]
    env = os.environ | {"CI": ci}
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert outcome in done.stdout
    assert "this test needs no-such-program: run sudo tests/lab/install" in done.stdout


PROBE = "tests/test_lab_servers.py::TestSshd::test_lets_the_key_in_as_a_user_with_a_home_of_its_own"
