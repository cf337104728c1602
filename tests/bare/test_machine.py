"""A bare machine: what it has and lacks, and that nothing runs on once it is left."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bare.machine import USER, Machine
from tests.lab.run import processes, until

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.needs("root", "debootstrap", "unshare", "ip"),
    # The first run of all makes the Debian.
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    root = tmp_path_factory.mktemp("bare")
    for folder in (root, *root.parents[:2]):
        folder.chmod(0o755)
    made = Machine.make("trixie", root)
    for user in (USER, "root"):
        made.clone(ROOT, user)
    yield made
    subprocess.run(["rm", "-rf", "--one-file-system", root], check=True)


def said(machine: Machine, user: str, command: str, log: Path) -> str:
    log.parent.chmod(0o755)
    with log.open("w") as out:
        code = machine.call(user, command, wheels=log.parent, log=out, within=60)
    return f"{log.read_text()}{code}"


def inside(machine: Machine) -> list[int]:
    """Every process whose root is the machine's."""
    return [pid for pid in processes() if _root(pid) == machine.root]


def _root(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/root").readlink()
    except OSError:
        return None


def test_it_has_git_make_and_python_and_little_else(machine: Machine, tmp_path: Path) -> None:
    programs = "git make python3 bash ssh sshd ip ps busybox docker tmux ssh-keygen curl"
    asked = f"for each in {programs}; do command -v $each; done; true"
    assert said(machine, USER, asked, tmp_path / "log") == (
        "/usr/bin/git\n/usr/bin/make\n/usr/bin/python3\n/usr/bin/bash\n0"
    )
    assert (machine.debian, machine.python) == ("13", "3.13")


@pytest.mark.parametrize("user", [USER, "root"])
def test_a_user_has_a_clone_a_login_and_none_of_the_settings_outside(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    monkeypatch.setenv("CI", "true")
    asked = 'id -un; echo "$HOME [$CI]"; git rev-parse HEAD; git status --porcelain; ls /srv/wheels; exit 3'
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said(machine, user, asked, tmp_path / "log") == f"{user}\n{machine.home(user)} []\n{head}log\n3"


def test_what_takes_too_long_is_killed_with_all_that_it_started(machine: Machine, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as out, pytest.raises(subprocess.TimeoutExpired):
        machine.call(USER, "setsid sleep 1000 & echo up; sleep 1000", wheels=tmp_path, log=out, within=10)
    assert (tmp_path / "log").read_text() == "up\n"
    until(lambda: not inside(machine), within=60, what="end of everything")
