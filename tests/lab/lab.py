"""The laboratory: makes servers, and leaves nothing behind. See `Lab`."""

from __future__ import annotations

import fcntl
import ipaddress
import os
import random
import shutil
import tempfile
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.lab import busybox
from tests.lab.box import Account, Box, Link
from tests.lab.disk import FullDisk, unmount_below
from tests.lab.engine import Engine
from tests.lab.registry import Registry
from tests.lab.run import LabError, run, started, until
from tests.lab.sshd import Access, Sshd

if TYPE_CHECKING:
    from types import TracebackType

_RUNS = 256
_NETWORKS = ipaddress.ip_network("10.192.0.0/12")
_PREFIX = 20
_FIRST_UID = 61001


class Lab:
    """Real servers for one run of the tests.

    Every run has a directory, a bridge and a network of its own, so runs do not
    meet. What a killed run left behind is removed by the next one.
    """

    def __init__(self) -> None:
        """Clear up after runs whose process is gone, and claim a directory and a network."""
        reap()
        self.directory = _claim()
        self._network = _network(self.directory)
        self._bridged = False
        self._boxes = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Return the laboratory."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    @property
    def gateway(self) -> str:
        """The address by which boxes reach what listens on the machine of the tests."""
        return str(self._network[1])

    def sshd(self, name: str = "", *, shell: str = "/bin/sh", access: Access | None = None) -> Sshd:
        """Make a server with sshd and no Docker, and start it. Takes about 0.1 s."""
        access = access or Access()
        box = self._box(name or "web", shell=shell, password=access.password)
        sshd = Sshd(box, access)
        box.start()
        return sshd

    def busybox_sshd(self, name: str = "busybox") -> Sshd:
        """Make a server whose sessions see nothing but busybox: ash, no GNU tools, no Docker."""
        box = self._box(name, home=Path("/home/deploy"))
        root = box.directory / "root"
        busybox.grow_tree(root, box.account)
        box.on_boot.append(lambda: busybox.mount_tree(box, root))
        sshd = Sshd(box, Access(chroot=root))
        box.start()
        return sshd

    def engine(self, name: str = "docker", *, access: Access | None = None, disk: int | None = None) -> Engine:
        """Make a server with sshd and a Docker Engine, and start it. Takes 0.5 to 1.5 s.

        With `disk` its images and containers have a disk of so many bytes, which forgets all at a reboot.
        """
        access = access or Access()
        box = self._box(name, password=access.password)
        sshd = Sshd(box, access)
        engine = Engine(sshd, cgroup=self.directory.name, insecure=str(self._network), disk=disk)
        box.start()
        return engine

    def registry(self, *, notify: str | None = None, token: str = "") -> Registry:
        """Make an image registry, which posts its notifications to the URL `notify`, with a bearer token."""
        registry = Registry(self._box("registry"), self._box("registry-door", link=False), notify, token)
        registry.start()
        return registry

    def full_disk(self, *, size: int = 1 << 20, sshd: Sshd | None = None) -> FullDisk:
        """Mount a disk of `size` bytes, for the tests themselves or on a server, for its user."""
        self._boxes += 1
        disk = FullDisk(self.directory / f"disk-{self._boxes}", size, sshd.box if sshd else None)
        disk.mount()
        self._stack.callback(disk.unmount)
        return disk

    def discard(self, box: Box) -> None:
        """Kill one server and remove its files."""
        box.stop()
        until(partial(_remove_tree, box.directory), within=60, what=f"removal of {box.directory}")

    def close(self) -> None:
        """Kill and remove everything."""
        self._stack.close()
        _remove(self.directory)

    def _box(
        self,
        name: str,
        *,
        shell: str = "/bin/sh",
        password: str | None = None,
        home: Path | None = None,
        link: bool = True,
    ) -> Box:
        self._boxes += 1
        directory = self.directory / f"{name}-{self._boxes}"
        directory.mkdir()
        account = Account(
            home or directory / "home",
            _FIRST_UID + self._boxes,
            shell=shell,
            password=password,
        )
        box = Box(directory, account, self._link() if link else None)
        self._stack.callback(box.stop)
        return box

    def _link(self) -> Link:
        bridge = _bridge(self.directory)
        if not self._bridged:
            _make_bridge(bridge, f"{self.gateway}/{_PREFIX}")
            self._bridged = True
        address = str(self._network[1 + self._boxes])
        return Link(bridge, f"{bridge}v{self._boxes}", address, _PREFIX, self.gateway)


def reap() -> None:
    """Remove what runs of the laboratory left whose process is gone."""
    for directory in _place().glob("deploybot-lab-*"):
        with suppress(OSError), (directory / "owner").open() as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _abandoned(directory):
                _remove(directory)


def _abandoned(directory: Path) -> bool:
    # Read again under the lock: another run may have removed the directory, and a third claimed it.
    owner = (directory / "owner").read_text().split()
    # A draft whose owner is just being written says nothing yet.
    return len(owner) == 2 and started(int(owner[0])) != owner[1]


def _place() -> Path:
    return Path(tempfile.gettempdir())


def _claim() -> Path:
    """Make the directory of a run. Its name is the claim to its number and so to its network."""
    draft = Path(tempfile.mkdtemp(prefix="deploybot-lab-draft-"))
    (draft / "owner").write_text(f"{os.getpid()} {started(os.getpid())}")
    draft.chmod(0o711)
    for number in random.sample(range(_RUNS), _RUNS):
        directory = _place() / f"deploybot-lab-{number}"
        # Renaming onto another run's directory fails: it is not empty.
        with suppress(OSError):
            if not _routed(_network(directory)):
                return draft.rename(directory)
    raise LabError(f"{_RUNS} laboratories are open")


def _network(directory: Path) -> ipaddress.IPv4Network:
    number = int(directory.name.rpartition("-")[2])
    return ipaddress.IPv4Network((int(_NETWORKS[number << (32 - _PREFIX)]), _PREFIX))


def _bridge(directory: Path) -> str:
    return "dblab" + directory.name.rpartition("-")[2]


def _routed(network: ipaddress.IPv4Network) -> bool:
    """Whether this machine knows a way to `network` other than the default route."""
    routes = run("ip", "-4", "route", "show", "to", "match", str(network)).splitlines()
    return any(not route.startswith("default") for route in routes)


def _make_bridge(bridge: str, address: str) -> None:
    run(
        *("ip", "-batch", "-"),
        stdin=f"link add {bridge} type bridge\naddr add {address} dev {bridge}\nlink set {bridge} up\n",
    )
    # Where Docker runs on the machine of the tests, it drops what crosses bridges not its own.
    run("iptables", "-w", "-I", "FORWARD", *_crossing(bridge))


def _crossing(bridge: str) -> tuple[str, ...]:
    return ("-i", bridge, "-o", bridge, "-j", "ACCEPT")


def _remove(directory: Path) -> None:
    """Remove a run's mounts, bridge, control groups and files; its processes are dead."""
    unmount_below(directory)
    bridge = _bridge(directory)
    if Path(f"/sys/class/net/{bridge}").exists():
        for link in Path("/sys/class/net").glob(f"{bridge}v*"):
            # The kernel may be about to remove it, with the box it led to.
            with suppress(LabError):
                run("ip", "link", "del", link.name)
        run("ip", "link", "del", bridge)
        run("iptables", "-w", "-D", "FORWARD", *_crossing(bridge))
    for top in control_groups(directory.name):
        until(partial(_remove_group, top), within=60, what=f"end of {top}")
    until(partial(_remove_tree, directory), within=60, what=f"removal of {directory}")


def control_groups(name: str) -> list[Path]:
    """Find the control groups of a run."""
    # Those of other runs come and go meanwhile: os.walk passes over what is gone, Path.glob fails there.
    return [Path(top, name) for top, folders, _ in os.walk("/sys/fs/cgroup") if name in folders]


def _remove_group(top: Path) -> bool:
    with suppress(OSError):
        for group, _, _ in os.walk(top, topdown=False):
            Path(group).rmdir()
    return not top.exists()


def _remove_tree(directory: Path) -> bool:
    # Processes of a run that was killed this instant may still be writing.
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()
