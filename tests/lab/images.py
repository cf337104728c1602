"""Tiny images made without a registry and without a build: see `Image`."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from tests.lab.busybox import applets, program_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WEB_PORT = 8000
"""The port `web` images listen on."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_MILLISECOND = 1_000_000
_SERVE = f'trap "exit 0" TERM; httpd -f -p {WEB_PORT} -h /www & wait'


@dataclass(frozen=True)
class Image:
    """Busybox, some files and a command. Equal images have equal image ids.

    `files` maps absolute paths to text. `healthcheck` is a shell command, run every
    half second; three failures in a row make a container unhealthy.
    """

    tag: str
    command: tuple[str, ...] = ("sh",)
    files: Mapping[str, str] = field(default_factory=dict)
    healthcheck: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def archive(self) -> bytes:
        """Return the image as a tar that `docker load` takes.

        The format is the Docker Image Specification v1.2, "Combined Image JSON + Filesystem
        Changeset Format".
        """
        layers = [_base_layer()]
        if self.files:
            layers.append(_layer(_file(path, text.encode()) for path, text in self.files.items()))
        config = json.dumps(self._config(layers), sort_keys=True).encode()
        names = [f"{_sha256(layer)}/layer.tar" for layer in layers]
        name = f"{_sha256(config)}.json"
        manifest = [{"Config": name, "RepoTags": [self.tag], "Layers": names}]
        members = [(name, config), ("manifest.json", json.dumps(manifest).encode())]
        members += zip(names, layers, strict=True)
        return _layer(_file(path, data) for path, data in members)

    def _config(self, layers: list[bytes]) -> dict[str, object]:
        machine = platform.machine()
        config: dict[str, object] = {
            "Cmd": list(self.command),
            "Env": ["PATH=/bin"],
            "ExposedPorts": {f"{WEB_PORT}/tcp": {}},
            "Labels": dict(self.labels),
        }
        if self.healthcheck:
            config["Healthcheck"] = {
                "Test": ["CMD-SHELL", self.healthcheck],
                "Interval": 500 * _MILLISECOND,
                "Timeout": 10_000 * _MILLISECOND,
                "Retries": 3,
            }
        return {
            "architecture": _ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "created": "2020-01-01T00:00:00Z",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_sha256(layer)}" for layer in layers]},
        }


BUSYBOX = Image("lab/busybox:latest")
"""What every engine holds, to build from."""


def web(tag: str = "lab/web:v1", text: str = "v1", *, healthy: bool = True) -> Image:
    """Return an image that serves `text` at `/` on port 8000, and says so in its health.

    `/healthz` answers 200, or 404 when it is not `healthy`. It ends at once on SIGTERM.
    """
    files = {"/www/index.html": text} | ({"/www/healthz": "ok\n"} if healthy else {})
    check = f"wget -q -O /dev/null http://127.0.0.1:{WEB_PORT}/healthz"
    return Image(tag, ("sh", "-c", _SERVE), files, check)


def crashing(tag: str = "lab/crash:latest", says: str = "no such table: users") -> Image:
    """Return an image that writes `says` to stderr and ends with 1 at once."""
    return Image(tag, ("sh", "-c", "cat /says >&2; exit 1"), {"/says": says + "\n"})


@cache
def _base_layer() -> bytes:
    links = [_link(f"/bin/{name}", "busybox") for name in applets() if name != "busybox"]
    passwd = _file("/etc/passwd", b"root:x:0:0::/:/bin/sh\n")
    program = _file("/bin/busybox", program_file().read_bytes(), mode=0o755)
    return _layer([program, *links, passwd, _directory("/tmp", mode=0o1777)])


def _layer(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _file(path: str, data: bytes, *, mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(path.lstrip("/"))
    info.size, info.mode = len(data), mode
    return info, data


def _link(path: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(path.lstrip("/"))
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info, b""


def _directory(path: str, *, mode: int) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(path.lstrip("/"))
    info.type, info.mode = tarfile.DIRTYPE, mode
    return info, b""


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
