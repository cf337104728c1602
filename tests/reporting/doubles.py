"""Doubles of the forges' APIs and of a receiver of signed calls: they refuse what those do, and fail on request.

The shapes are those of GitHub's OpenAPI description (2022-11-28), GitLab's "Deployments API" and "Commits API",
Gitea's swagger (`CreateStatusOption`), and the Standard Webhooks specification.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

TOKEN = "ghp_0123456789abcdefghijABCDEFGHIJ0123"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
REPOSITORY = "acme/shop"
LOST = "lost"
HANG = "hang"

Fault = int | str | web.Response | None


@dataclass
class Double(ABC):
    """A server; `fault` says of each call what goes wrong: a status, LOST (done, and not answered), or HANG."""

    fault: Callable[[str, str], Fault] = lambda _method, _path: None
    commits: set[str] = field(default_factory=set)
    calls: list[tuple[str, str]] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    url: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    tls: ssl.SSLContext | None = None
    _runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Listen on a port of its own; the URL."""
        app = web.Application(middlewares=[self._around])
        app.add_routes(self.routes())
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        listener = socket.create_server(("127.0.0.1", 0))
        await web.SockSite(self._runner, listener, ssl_context=self.tls).start()
        self.url = f"http{'s' if self.tls else ''}://127.0.0.1:{listener.getsockname()[1]}"
        return self.url

    async def stop(self) -> None:
        self.gate.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def routes(self) -> list[web.RouteDef]:
        return []

    @abstractmethod
    def opens(self, request: web.Request) -> bool:
        """Whether the call may be made."""

    @web.middleware
    async def _around(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.calls.append((request.method, request.rel_url.raw_path))
        self.changed.set()
        fault = self.fault(request.method, request.rel_url.raw_path)
        if isinstance(fault, int):
            return web.json_response({"message": f"fault {fault}"}, status=fault)
        if isinstance(fault, web.Response):
            return fault
        if fault == HANG:
            await self.gate.wait()
        if not self.opens(request):
            return web.json_response({"message": "Bad credentials"}, status=401)
        answer = await handler(request)
        self.changed.set()  # whom the call itself woke may have looked too early
        if fault == LOST:
            assert request.transport is not None
            request.transport.abort()
        return answer

    def refused(self, request: web.Request, body: object, why: str, status: int = 422) -> web.Response:
        """Answer a call that no document allows."""
        self.breaches.append(f"{request.method} {request.path}: {why}: {json.dumps(body)}")
        return web.json_response({"message": why}, status=status)


def fits(body: object, shape: Mapping[str, object], needed: set[str]) -> str:
    """Why an object is not of a shape: a type, or the values that may be, for each key; empty where it is."""
    if not isinstance(body, dict):
        return "should be an object"
    if lacks := needed - body.keys():
        return f"lacks {sorted(lacks)}"
    for key, value in body.items():
        allowed = shape.get(key)
        if allowed is None:
            return f"{key} is not documented"
        good = type(value) is allowed if isinstance(allowed, type) else value in allowed  # type: ignore[operator]
        if not good:
            return f"{key} may not be {value!r}"
        if key == "description" and len(value) > 140:
            return "description is too long (maximum is 140 characters)"
    return ""


class GitHub(Double):
    """api.github.com, for one repository."""

    def __init__(self) -> None:
        super().__init__()
        self.deployments: list[dict[str, object]] = []
        self.states: dict[int, list[str]] = {}
        self.statuses: list[tuple[str, dict[str, object]]] = []

    def routes(self) -> list[web.RouteDef]:
        place = "/repos/{owner}/{repo}"
        return [
            web.get(place + "/deployments", self.list),
            web.post(place + "/deployments", self.create),
            web.post(place + "/deployments/{id}/statuses", self.status),
            web.post(place + "/statuses/{sha}", self.commit_status),
        ]

    def opens(self, request: web.Request) -> bool:
        assert request.headers["X-GitHub-Api-Version"] == "2022-11-28"
        assert request.headers["User-Agent"].startswith("deploybot/")
        return request.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _there(self, request: web.Request) -> bool:
        return f"{request.match_info['owner']}/{request.match_info['repo']}" == REPOSITORY

    async def list(self, request: web.Request) -> web.Response:
        if not self._there(request):
            return web.json_response({"message": "Not Found"}, status=404)
        wanted = request.query
        found = [
            one
            for one in reversed(self.deployments)
            if one["sha"] == wanted.get("sha", one["sha"])
            and one["environment"] == wanted.get("environment", one["environment"])
        ]
        return web.json_response(found[: int(wanted.get("per_page", "30"))])

    async def create(self, request: web.Request) -> web.Response:
        body = await request.json()
        shape = {
            "ref": str,
            "task": str,
            "auto_merge": bool,
            "required_contexts": list,
            "payload": dict,
            "environment": str,
            "description": str,
            "transient_environment": bool,
            "production_environment": bool,
        }
        if why := fits(body, shape, {"ref"}):
            return self.refused(request, body, why)
        if body["ref"] not in self.commits:
            return web.json_response({"message": f"No ref found for: {body['ref']}"}, status=422)
        made = {"id": 1000 + len(self.deployments), "sha": body["ref"], **body}
        self.deployments.append(made)
        self.states[1000 + len(self.deployments) - 1] = []
        return web.json_response(made, status=201)

    async def status(self, request: web.Request) -> web.Response:
        body = await request.json()
        states = ("error", "failure", "inactive", "in_progress", "queued", "pending", "success")
        shape = {"state": states, "description": str, "auto_inactive": bool, "log_url": str, "environment_url": str}
        if why := fits(body, shape, {"state"}):
            return self.refused(request, body, why)
        number = int(request.match_info["id"])
        if number not in self.states:
            return web.json_response({"message": "Not Found"}, status=404)
        self.states[number].append(body["state"])
        return web.json_response({"id": 1, "state": body["state"]}, status=201)

    async def commit_status(self, request: web.Request) -> web.Response:
        body = await request.json()
        shape = {"state": ("error", "failure", "pending", "success"), "context": str, "description": str}
        if why := fits(body, shape, {"state"}):
            return self.refused(request, body, why)
        if request.match_info["sha"] not in self.commits:
            return web.json_response({"message": "No commit found for SHA"}, status=422)
        self.statuses.append((request.match_info["sha"], body))
        return web.json_response({"id": 1, **body}, status=201)


_GITLAB_ENDS = ("success", "failed", "canceled")


class GitLab(Double):
    """gitlab.com's API, for one project."""

    def __init__(self) -> None:
        super().__init__()
        self.deployments: list[dict[str, object]] = []
        self.moves: dict[int, list[str]] = {}
        self.statuses: dict[tuple[str, str], list[str]] = {}

    def routes(self) -> list[web.RouteDef]:
        place = "/projects/{id}"
        return [
            web.get(place + "/deployments", self.list),
            web.post(place + "/deployments", self.create),
            web.get(place + "/deployments/{deployment}", self.get),
            web.put(place + "/deployments/{deployment}", self.update),
            web.post(place + "/statuses/{sha}", self.commit_status),
        ]

    def opens(self, request: web.Request) -> bool:
        return request.headers.get("PRIVATE-TOKEN") == TOKEN

    async def list(self, request: web.Request) -> web.Response:
        if request.match_info["id"] != REPOSITORY:
            return web.json_response({"message": "404 Project Not Found"}, status=404)
        wanted = request.query.get("environment")
        found = [one for one in reversed(self.deployments) if wanted in {None, one["environment"]}]
        return web.json_response(found[: int(request.query.get("per_page", "20"))])

    async def create(self, request: web.Request) -> web.Response:
        body = await request.json()
        shape = {"environment": str, "sha": str, "ref": str, "tag": bool, "status": ("running", *_GITLAB_ENDS)}
        if why := fits(body, shape, set(shape)):
            return self.refused(request, body, why, 400)
        number = 500 + len(self.deployments)
        made = {"id": number, "created_at": "2100-01-01T00:00:00.000Z", "deployable": None, **body}
        self.deployments.append(made)
        self.moves[number] = [body["status"]]
        return web.json_response(made, status=201)

    def _one(self, request: web.Request) -> dict[str, object]:
        return next(one for one in self.deployments if str(one["id"]) == request.match_info["deployment"])

    async def get(self, request: web.Request) -> web.Response:
        return web.json_response(self._one(request))

    async def update(self, request: web.Request) -> web.Response:
        body = await request.json()
        if why := fits(body, {"status": ("running", *_GITLAB_ENDS)}, {"status"}):
            return self.refused(request, body, why, 400)
        one = self._one(request)
        if one["status"] == body["status"] or one["status"] in _GITLAB_ENDS:
            return web.json_response({"message": {"status": ['cannot transition via "succeed"']}}, status=400)
        one["status"] = body["status"]
        self.moves[int(str(one["id"]))].append(body["status"])
        return web.json_response(one)

    async def commit_status(self, request: web.Request) -> web.Response:
        body = await request.json()
        shape = {"state": ("pending", "running", *_GITLAB_ENDS), "name": str, "description": str}
        if why := fits(body, shape, {"state"}):
            return self.refused(request, body, why, 400)
        if request.match_info["sha"] not in self.commits:
            return web.json_response({"message": "404 Commit Not Found"}, status=404)
        told = self.statuses.setdefault((request.match_info["sha"], body["name"]), [])
        if told and (told[-1] == body["state"] or told[-1] in _GITLAB_ENDS):
            words = (
                f'Cannot transition status via :run from :{told[-1]} (Reason(s): Status cannot transition via "run")'
            )
            return web.json_response({"message": words}, status=400)
        told.append(body["state"])
        return web.json_response({"id": 1, "status": body["state"]}, status=201)


class Gitea(Double):
    """A Gitea or Forgejo, for one repository; `push` is whether the token's owner may write."""

    def __init__(self) -> None:
        super().__init__()
        self.push = True
        self.statuses: list[tuple[str, dict[str, object]]] = []

    def routes(self) -> list[web.RouteDef]:
        place = "/repos/{owner}/{repo}"
        return [web.get(place, self.get), web.post(place + "/statuses/{sha}", self.commit_status)]

    def opens(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"token {TOKEN}"

    async def get(self, _: web.Request) -> web.Response:
        return web.json_response({"id": 1, "permissions": {"admin": False, "push": self.push, "pull": True}})

    async def commit_status(self, request: web.Request) -> web.Response:
        body = await request.json()
        states = ("pending", "success", "error", "failure", "warning", "skipped")
        if why := fits(body, {"state": states, "context": str, "description": str, "target_url": str}, set()):
            return self.refused(request, body, why)
        if request.match_info["sha"] not in self.commits:
            return web.json_response({"message": "sha not found"}, status=404)
        self.statuses.append((request.match_info["sha"], body))
        return web.json_response({"id": 1, **body}, status=201)


class Receiver(Double):
    """Takes signed calls and verifies them, as the specification says: over the raw body, in its own few lines."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[tuple[str, dict[str, object]]] = []

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/hook", self.take), web.head("/hook", self.head)]

    def opens(self, request: web.Request) -> bool:
        return "Authorization" not in request.headers

    async def head(self, _: web.Request) -> web.Response:
        return web.Response(status=405)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        name, stamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        digest = hmac.new(key, f"{name}.{stamp}.{body.decode()}".encode(), hashlib.sha256).digest()
        if request.headers["webhook-signature"] != f"v1,{base64.b64encode(digest).decode()}":
            return self.refused(request, None, "wrong signature", 401)
        self.taken.append((name, json.loads(body)))
        return web.Response(status=204)


@dataclass
class Collector(Double):
    """Takes traces as OTLP/HTTP documents it."""

    traces: list[ExportTraceServiceRequest] = field(default_factory=list)

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/traces", self.take)]

    def opens(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == "Bearer otel-secret-0123"

    async def take(self, request: web.Request) -> web.Response:
        if request.content_type != "application/x-protobuf":
            return self.refused(request, request.content_type, "unsupported media type", 415)
        self.traces.append(ExportTraceServiceRequest.FromString(await request.read()))
        return web.Response(body=b"", content_type="application/x-protobuf")

    def spans(self, number: int = -1) -> dict[str, Span]:
        """The spans of one trace, by their names."""
        (resource,) = self.traces[number].resource_spans
        return {span.name: span for scope in resource.scope_spans for span in scope.spans}
