"""Doubles of the APIs of GitHub and GitLab, as far as builds and their files go, and the storage that they lead to.

They answer as documented: lists are filtered and paged, a wrong token gets 401, a repository that it may not see 404,
an expired artifact 410. A download is a redirect to storage, which refuses whoever sends it an Authorization, as Azure
does.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import unquote

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from deploybot.domain import ArtifactSource, CommitSource, Release
from deploybot.errors import UserError
from deploybot.settings import App
from deploybot.sources.artifacts import Artifacts
from tests.e2e.artifact_builds import BuildServer, build_server, sha256
from tests.kit.settings import bot_settings

TOKEN = "a-token-of-the-forge"
COMMIT = "c" * 40
Row = dict[str, object]
F = TypeVar("F", bound="Forge")


def zip_of(files: Mapping[str, bytes]) -> bytes:
    """A zip of some files, the same bytes every time."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(zipfile.ZipInfo(name), content)
    return target.getvalue()


@dataclass
class Forge:
    """A forge with one repository, acme/site, and what was asked: path, query and authorization of each request.

    With a `status`, it answers that alone, with the headers. If it does not filter, it lists builds of all commits.
    """

    storage: BuildServer
    runs: list[Row] = field(default_factory=list)
    artifacts: dict[int, list[Row]] = field(default_factory=dict)
    files: dict[int, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    filters: bool = True

    async def answer(self, request: web.Request) -> web.StreamResponse:
        raise NotImplementedError

    def count(self, end: str) -> int:
        return sum(1 for path, _, _ in self.asked if path.endswith(end))

    def _refused(self, request: web.Request) -> web.Response | None:
        given = request.headers.get("Authorization", "")
        self.asked.append((request.raw_path.partition("?")[0], request.query_string, given))
        if given != f"Bearer {TOKEN}":
            return web.json_response({"message": "Bad credentials"}, status=401)
        if self.status:
            return web.json_response({"message": "no"}, status=self.status, headers=self.headers)
        return None

    def _moved(self, number: int) -> web.Response:
        """A redirect to the file in storage."""
        path = f"/blob-{number}"
        self.storage.files[path] = self.files[number]
        return web.Response(status=302, headers={"Location": f"{self.storage.url}{path}"})


class GitHub(Forge):
    """GitHub: `run` is a run of a workflow, with its artifacts by name."""

    def run(self, number: int, files: Mapping[str, bytes] | None = None, **more: object) -> Row:
        """A run that a push started, which succeeded."""
        home = {"id": 42, "full_name": "acme/site"}
        made: Row = {
            "id": number,
            "name": "Build",
            "path": ".github/workflows/build.yml",
            "run_number": number,
            "head_sha": COMMIT,
            "event": "push",
            "status": "completed",
            "conclusion": "success",
            "repository": home,
            "head_repository": home,
            **more,
        }
        self.runs.insert(0, made)
        for name, content in (files or {}).items():
            self.artifact(number, name, content)
        return made

    def artifact(self, run: int, name: str, content: bytes, **more: object) -> Row:
        number = 1000 + len(self.files)
        self.files[number] = content
        made: Row = {
            "id": number,
            "name": name,
            "size_in_bytes": len(content),
            "archive_download_url": "https://elsewhere.example.com/never",
            "expired": False,
            "expires_at": "2026-11-30T10:00:00Z",
            "digest": f"sha256:{sha256(content)}",
            **more,
        }
        self.artifacts.setdefault(run, []).insert(0, made)
        return made

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._refused(request)) is not None:
            return refused
        at = request.path.removeprefix("/repos/acme/site/actions").strip("/").split("/")
        match at:
            case ["runs"]:
                return self._listed(request, "workflow_runs", self.runs)
            case ["workflows", name, "runs"]:
                path = f".github/workflows/{name}"
                own = [run for run in self.runs if str(run["path"]).partition("@")[0] == path]
                return self._listed(request, "workflow_runs", own) if own else web.Response(status=404)
            case ["runs", run, "artifacts"]:
                named = request.query.get("name")
                rows = [one for one in self.artifacts.get(int(run), []) if named in {None, one["name"]}]
                return self._listed(request, "artifacts", rows)
            case ["artifacts", number, "zip"] if int(number) in self.files:
                rows = [one for each in self.artifacts.values() for one in each if one["id"] == int(number)]
                return web.Response(status=410) if rows[0]["expired"] else self._moved(int(number))
        return web.json_response({"message": "Not Found"}, status=404)

    def _listed(self, request: web.Request, key: str, rows: Iterable[Row]) -> web.Response:
        sha = request.query.get("head_sha") if self.filters else None
        found = [row for row in rows if sha is None or row.get("head_sha") == sha]
        return web.json_response({"total_count": len(found), key: _page(request, found)})


class GitLab(Forge):
    """GitLab: `run` is a pipeline, with the jobs in it and their files."""

    def run(self, number: int, jobs: Mapping[str, bytes] | None = None, **more: object) -> Row:
        """A pipeline that a push started, which succeeded."""
        made: Row = {"id": number, "sha": COMMIT, "source": "push", "status": "success", "ref": "main", **more}
        self.runs.append(made)
        for name, content in (jobs or {}).items():
            self.job(number, name, content)
        return made

    def job(self, pipeline: int, name: str, content: bytes, **more: object) -> Row:
        number = 1000 + len(self.files)
        self.files[number] = content
        file = {"filename": "artifacts.zip", "size": len(content)}
        made: Row = {"id": number, "name": name, "status": "success", "artifacts_file": file, **more}
        self.artifacts.setdefault(pipeline, []).append(made)
        return made

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._refused(request)) is not None:
            return refused
        at = [unquote(part) for part in request.raw_path.partition("?")[0].strip("/").split("/")]
        match at:
            case ["projects", "acme/site", "pipelines"]:
                rows = [one for one in self.runs if not self.filters or one.get("sha") == request.query.get("sha")]
                return web.json_response(_page(request, rows[::-1]))
            case ["projects", "acme/site", "pipelines", pipeline, "jobs"]:
                scope = request.query.get("scope[]")
                rows = [one for one in self.artifacts.get(int(pipeline), []) if scope in {None, one["status"]}]
                return web.json_response(_page(request, rows))
            case ["projects", "acme/site", "jobs", number, "artifacts"] if int(number) in self.files:
                return self._moved(int(number))
        return web.json_response({"message": "404 Project Not Found"}, status=404)


def _page(request: web.Request, rows: list[Row]) -> list[Row]:
    most, page = int(request.query.get("per_page", "20")), int(request.query.get("page", "1"))
    return rows[(page - 1) * most : page * most]


class _Storage(BuildServer):
    """Azure answers 400 to a signed address with an Authorization beside it."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        answer = await super().answer(request)
        return web.Response(status=400) if "Authorization" in request.headers else answer


@asynccontextmanager
async def forge_of(kind: type[F]) -> AsyncIterator[F]:
    """A forge that runs until the end of the block."""
    async with build_server(_Storage()) as storage:
        made = kind(storage)
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", made.answer)
        async with TestServer(application) as server:
            made.url = str(server.make_url("")).rstrip("/")
            yield made


def app_of(forge: Forge, *, token: str = TOKEN, **artifact: object) -> App:
    """An app whose artifacts are on this forge; by default `site`, or those of the job `build`."""
    kind = "github" if isinstance(forge, GitHub) else "gitlab"
    default = {"actions": "site"} if kind == "github" else {"job": "build"}
    given = {
        "repo": f"{forge.url}/acme/site.git",
        "artifact": default | artifact,
        "forge": {"kind": kind, "token": {"env": "FORGE"}, "api_url": forge.url},
    }
    return bot_settings(apps={"site": given}, values={"FORGE": token}).apps["site"]


async def found(artifacts: Artifacts, app: App) -> ArtifactSource:
    commit = Release(CommitSource(COMMIT), ref="main", subject="Change the logo", author="ana")
    release = await artifacts.resolve(app, "", commit)
    assert (release.ref, release.subject, release.author) == ("main", "Change the logo", "ana")
    assert release.file is not None
    return release.file


async def refused(artifacts: Artifacts, app: App) -> tuple[str, str]:
    with pytest.raises(UserError) as caught:
        await found(artifacts, app)
    return caught.value.sentence, caught.value.hint


SITE = zip_of({"index.html": b"one"})
