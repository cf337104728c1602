"""Small disks, for filling up: see `FullDisk`."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.box import GROUP
from tests.lab.run import run

if TYPE_CHECKING:
    from tests.lab.box import Box


class FullDisk:
    """A file system of a few bytes, mounted at `path`.

    In a box it exists for that box alone: `path` is what its user sees, and
    `outside` is the same directory as the tests see it. Elsewhere both are one.
    """

    def __init__(self, path: Path, size: int, box: Box | None = None) -> None:
        """Describe a disk of `size` bytes, owned by the user of `box`, else by root."""
        self.path = path
        self.size = size
        self.box = box

    @property
    def outside(self) -> Path:
        """The disk's directory, for the tests to look into."""
        return self.box.see(self.path) if self.box else self.path

    @property
    def free(self) -> int:
        """Free bytes."""
        state = os.statvfs(self.outside)
        return state.f_bavail * state.f_frsize

    def mount(self) -> None:
        """Mount it, empty."""
        self.path.mkdir(exist_ok=True)
        owner = f",uid={self.box.account.uid},gid={GROUP}" if self.box else ""
        options = f"size={self.size},mode=700{owner}"
        argv = ("mount", "-t", "tmpfs", "-o", options, "deploybot-lab", str(self.path))
        self.box.run(*argv) if self.box else run(*argv)

    def unmount(self) -> None:
        """Unmount it, and lose what is on it. In a box it goes with the box."""
        if not self.box:
            unmount_below(self.path)

    def fill(self, *, leave: int = 0) -> None:
        """Fill it up with one file, `ballast`, but for `leave` bytes (whole pages)."""
        with (self.outside / "ballast").open("ab", buffering=0) as ballast:
            try:
                while self.free > leave:
                    ballast.write(bytes(min(self.free - leave, 1 << 16)))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def empty(self) -> None:
        """Take the ballast off again."""
        (self.outside / "ballast").unlink(missing_ok=True)


def unmount_below(directory: Path) -> None:
    """Unmount everything at and below a directory, also where it is in use."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in reversed(mounts):
        with suppress(ValueError):
            Path(mount).relative_to(directory)
            run("umount", "--lazy", mount)
