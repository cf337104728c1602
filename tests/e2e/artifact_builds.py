"""What a build server offers: archives of a site, and their checksums."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer


def tar_of(files: dict[str, bytes], *, zipped: bool = True) -> bytes:
    """A tar of some files, the same bytes every time."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as made:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return gzip.compress(target.getvalue(), mtime=0) if zipped else target.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class BuildServer:
    """Files by their paths, and what was asked: method, path and authorization of each request.

    Of the path `held`, half is sent; the rest follows when `go` is set.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""
    held: str = ""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    def publish(self, name: str, content: bytes, *, checksum: str = "") -> str:
        """Offer a file and its checksum; its SHA-256."""
        digest = sha256(content)
        self.files[f"/{name}"] = content
        self.files[f"/{name}.sha256"] = f"{checksum or digest}  {name}\n".encode()
        return digest

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path
        self.asked.append((request.method, path, request.headers.get("Authorization", "")))
        if path in self.moved:
            return web.Response(status=302, headers={"Location": self.moved[path]})
        if path not in self.files:
            return web.Response(status=404)
        if path == self.held and request.method == "GET":
            return await self._by_halves(request, self.files[path])
        return web.Response(body=self.files[path])

    async def _by_halves(self, request: web.Request, content: bytes) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await answer.prepare(request)
        await answer.write(content[: len(content) // 2])
        self.begun.set()
        await self.go.wait()
        await answer.write(content[len(content) // 2 :])
        return answer

    def count(self, path: str, method: str = "GET") -> int:
        return sum(1 for asked, at, _ in self.asked if (asked, at) == (method, path))


@asynccontextmanager
async def build_server(made: BuildServer | None = None) -> AsyncIterator[BuildServer]:
    made = made or BuildServer()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", made.answer)
    async with TestServer(application) as server:
        made.url = str(server.make_url("")).rstrip("/")
        yield made
