"""A root directory that holds busybox and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.run import run

if TYPE_CHECKING:
    from tests.lab.box import Account, Box

MOUNT_POINT = Path("/mnt")


def applets() -> list[str]:
    """Return the names of busybox's programs."""
    return run("busybox", "--list").split()


def program_file() -> Path:
    """Return the path of the static busybox binary."""
    return Path(shutil.which("busybox") or "/bin/busybox")


def grow_tree(root: Path, account: Account) -> None:
    """Fill `root` with busybox, an account and the directories a system has."""
    for directory in ("bin", "dev", "etc", "home", "proc", "run", "usr"):
        (root / directory).mkdir(parents=True)
    for directory in ("tmp", "var", "var/tmp"):
        (root / directory).mkdir()
        (root / directory).chmod(0o1777)
    shutil.copy2(program_file(), root / "bin/busybox")
    for name in applets():
        if name != "busybox":
            (root / "bin" / name).symlink_to("busybox")
    (root / "usr/bin").symlink_to("../bin")
    (root / "etc/passwd").write_text(
        f"root:x:0:0::/:/bin/sh\n{account.name}:x:{account.uid}:{account.uid}::{account.home}:/bin/sh\n"
    )


def mount_tree(box: Box, root: Path) -> None:
    """Mount `root` in a box, with `/dev` and `/proc`, where sshd can chroot to it."""
    box.run("mount", "--bind", root, MOUNT_POINT)
    box.run("mount", "--rbind", "/dev", MOUNT_POINT / "dev")
    box.run("mount", "--rbind", "/proc", MOUNT_POINT / "proc")
