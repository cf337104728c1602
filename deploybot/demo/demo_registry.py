"""A registry with the images of the demo, on a loopback port: enough of its HTTP API for pulls and digests."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import platform
import struct
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = "poster"
TAG = "stable"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_BASE = 0x400000
_HEADERS = 64 + 56
_PROGRAMS = {
    # pause(), again and again.
    "x86_64": ("amd64", 62, bytes.fromhex("b8220000000f05ebf7")),
    # ppoll(NULL, 0, NULL, NULL, 0), again and again.
    "aarch64": (
        "arm64",
        183,
        struct.pack("<8I", *(0xD2800000 + at for at in range(5)), 0xD2800928, 0xD4000001, 0x17FFFFF9),
    ),
}


def runs_here() -> bool:
    """Return whether the images have a program for this machine."""
    return platform.machine() in _PROGRAMS


class DemoRegistry:
    """Serves `poster:stable`, which can be moved to another release. Each image has one program, which waits."""

    def __init__(self) -> None:
        """Listen on a free port of 127.0.0.1."""
        blobs: dict[str, tuple[str, bytes]] = {}

        class _Api(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                found = ("application/json", b"{}") if self.path == "/v2/" else blobs.get(self.path)
                kind, body = found or ("application/json", b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Docker-Content-Digest", _digest(body))
                self.send_header("Docker-Distribution-API-Version", "registry/2.0")
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def do_HEAD(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                """Write no log."""

        self._blobs = blobs
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
        self._server.daemon_threads = True

    @property
    def address(self) -> str:
        """Return `127.0.0.1:port`, the first part of image names."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def image(self) -> str:
        """Return the name of the image, with its tag."""
        return f"{self.address}/{NAME}:{TAG}"

    def push(self, release: str) -> None:
        """Move the tag to the image of a release."""
        architecture, machine, code = _PROGRAMS[platform.machine()]
        layer = _tar({"waits": _program(machine, code), "release": release.encode()})
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {
                "Cmd": ["/waits"],
                "StopSignal": "SIGKILL",
                # Gives each demo its own image id, so that one demo does not delete the image of another.
                "Labels": {"org.opencontainers.image.version": release, "deploybot.demo": self.address},
            },
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
        described = _json(config)
        packed = gzip.compress(layer, mtime=0)
        parts = {_digest(described): (_CONFIG, described), _digest(packed): (_LAYER, packed)}
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": _part(_CONFIG, described),
                "layers": [_part(_LAYER, packed)],
            }
        )
        self._blobs |= {f"/v2/{NAME}/blobs/{digest}": part for digest, part in parts.items()}
        self._blobs |= {f"/v2/{NAME}/manifests/{ref}": (_MANIFEST, manifest) for ref in (TAG, _digest(manifest))}

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Serve, in a thread."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def _program(machine: int, code: bytes) -> bytes:
    """Return a program for Linux: an ELF header, one segment, and the code."""
    size = _HEADERS + len(code)
    start = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x10000)
    return start + header + segment + code


def _tar(files: dict[str, bytes]) -> bytes:
    """Return a layer with some files, the same every time."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as layer:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            layer.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _part(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": kind, "size": len(content), "digest": _digest(content)}


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
