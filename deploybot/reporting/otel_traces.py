"""Send OpenTelemetry traces: one for each finished deployment, made from its rows, by OTLP over HTTP.

https://opentelemetry.io/docs/specs/otlp/#otlphttp. This uses the SDK's types and its encoder, but not its exporter. The
bot's own calls check where a name leads, and failed calls are retried from the database, even after a restart. The ids
come from the report's key, so a trace that is sent twice is still one trace.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

from deploybot import __version__
from deploybot.domain import Deployment, ReportItem, Request, State, StepRow, StepState
from deploybot.errors import ConfigError, UserError
from deploybot.ports import ChatFinding, Tables
from deploybot.reporting.report_http import accepted
from deploybot.reporting.reporter_port import ReportTools

try:
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags
except ImportError:
    raise ConfigError(
        ("otel: a required package is missing; where the bot is installed, run: pip install 'deploybot[otel]'",)
    ) from None

_TYPE = "application/x-protobuf"
_BAD = frozenset({State.FAILED, State.RESTORED, State.UNKNOWN})
_BAD_STEPS = frozenset({StepState.FAILED, StepState.UNKNOWN})
_SCOPE = InstrumentationScope("deploybot", __version__)
Attributes = Mapping[str, str | int | bool | Sequence[str]]


@dataclass(frozen=True, slots=True)
class _TracedRows:
    """Everything that is stored about a deployment."""

    deployment: Deployment
    steps: tuple[StepRow, ...]
    request: Request | None


class Traces:
    """Sends traces to one collector."""

    def __init__(self, tools: ReportTools, url: str, headers: Mapping[str, str], service: str) -> None:
        """Take the tools, the address and headers of the collector, and the service name in traces."""
        self._mask = tools.mask
        self._caller = tools.caller
        self._url = url
        self._headers = dict(headers)
        self._resource = Resource({"service.name": service, "service.version": __version__})
        self._store = tools.store

    async def send(self, item: ReportItem) -> str:
        """Send the trace. Return an empty string, because there is no id."""
        number = item.report.deployment
        rows = await self._store.read(lambda tables: _rows(tables, number))
        spans = _Trace(item.key, self._resource, rows, self._mask).spans()
        await self._post(await asyncio.to_thread(lambda: encode_spans(spans).SerializeToString()))
        return ""

    async def check(self) -> AsyncIterator[ChatFinding]:
        """Check that the collector accepts a call, by sending one without a trace."""
        await self._post(b"")
        yield ChatFinding("traces", f"{self._url} accepts them")

    async def _post(self, body: bytes) -> None:
        headers = {**self._headers, "Content-Type": _TYPE}
        accepted(await self._caller.call("POST", self._url, headers=headers, what="otel", body=body), "otel")


def _rows(tables: Tables, number: int) -> _TracedRows:
    deployment = tables.deployments.get(number)
    if deployment is None:
        raise UserError(f"#{number} is not in the database any more")
    return _TracedRows(deployment, tables.deployments.steps(number), tables.requests.get(number))


class _Trace:
    """The spans of one deployment: the root, and in it the request, the plan, the approval, the wait and the steps."""

    def __init__(self, key: str, resource: Resource, rows: _TracedRows, mask: Callable[[str], str]) -> None:
        self._mask = mask
        self._key = key
        self._resource = resource
        self._rows = rows
        self._root = self._context("deployment")

    def spans(self) -> list[ReadableSpan]:
        """Return all spans, the root first."""
        deployment = self._rows.deployment
        spans = [self._whole(deployment), self._request(deployment), self._plan(deployment)]
        begun = deployment.started or deployment.finished
        if self._rows.request is not None:
            spans.append(self._approval(self._rows.request, deployment))
        ready = max(deployment.approved, deployment.created)
        if begun > ready and (self._rows.request is None or deployment.approved):
            spans.append(self._span("wait", ready, begun, {"deploybot.not_before": int(deployment.not_before)}))
        spans += [self._step(row) for row in self._rows.steps if row.started]
        return spans

    def _whole(self, deployment: Deployment) -> ReadableSpan:
        plan = deployment.plan
        attributes: Attributes = {
            "deploybot.deployment": deployment.number,
            "deploybot.app": plan.app,
            "deployment.environment.name": plan.environment,
            "deploybot.kind": plan.kind.value,
            "deploybot.result": deployment.state.value,
            "deploybot.release": plan.release.id,
        }
        if plan.release.code is not None:
            attributes = {**attributes, "vcs.ref.head.revision": plan.release.code}
        name = f"{plan.kind.value} {plan.app} {plan.environment}"
        end = deployment.finished or deployment.created
        ok = deployment.state not in _BAD
        return self._span(name, deployment.created, end, attributes, context=self._root, ok=ok)

    def _request(self, deployment: Deployment) -> ReadableSpan:
        by = {"deploybot.person": deployment.requester_name}
        return self._span("request", deployment.created, deployment.created, by)

    def _plan(self, deployment: Deployment) -> ReadableSpan:
        """Return the span of the plan: a point in time, because no row stores when planning began."""
        plan, at = deployment.plan, deployment.started or deployment.created
        servers = [part.server for part in plan.servers]
        attributes: Attributes = {
            "deploybot.plan": plan.digest,
            "deploybot.servers": servers,
            "deploybot.steps": sum(len(part.steps) for part in plan.servers),
        }
        return self._span("plan", at, at, attributes)

    def _approval(self, request: Request, deployment: Deployment) -> ReadableSpan:
        events = [
            Event("approved", {"deploybot.person": self._mask(one.name), "deploybot.counts": one.counts}, _ns(one.at))
            for one in request.approvals
        ]
        result = request.verdict.value or ("approved" if deployment.approved else deployment.state.value)
        attributes: Attributes = {"deploybot.wanted": request.needs, "deploybot.result": result}
        end = deployment.approved or deployment.finished
        return self._span("approval", deployment.created, end, attributes, events=events)

    def _step(self, row: StepRow) -> ReadableSpan:
        attributes: Attributes = {
            "deploybot.server": row.server,
            "deploybot.phase": row.phase.value,
            "deploybot.step": row.name,
            "deploybot.result": row.state.value,
            "deploybot.code": row.code,
        }
        end = row.finished or max(self._rows.deployment.finished, row.started)
        ok = row.state not in _BAD_STEPS
        return self._span(f"{row.name} on {row.server}", row.started, end, attributes, ok=ok, mark=row.job)

    def _span(
        self,
        name: str,
        begun: float,
        ended: float,
        attributes: Attributes,
        *,
        events: Sequence[Event] = (),
        context: SpanContext | None = None,
        ok: bool = True,
        mark: str = "",
    ) -> ReadableSpan:
        return ReadableSpan(
            name=self._mask(name),
            context=context or self._context(mark or name),
            parent=None if context else self._root,
            resource=self._resource,
            attributes=self._masked(attributes),
            events=events,
            status=Status(StatusCode.OK if ok else StatusCode.ERROR),
            start_time=_ns(begun),
            end_time=_ns(max(ended, begun)),
            instrumentation_scope=_SCOPE,
        )

    def _masked(self, attributes: Attributes) -> Attributes:
        """Return the attributes with secrets in their texts masked."""
        return {name: self._mask(one) if isinstance(one, str) else one for name, one in attributes.items()}

    def _context(self, name: str) -> SpanContext:
        """Return the context of a span: ids of 16 and 8 bytes, the same each time."""
        span = hashlib.sha256(f"{self._key} {name}".encode()).digest()[:8]
        return SpanContext(
            trace_id=int(self._key, 16),
            span_id=int.from_bytes(span),
            is_remote=False,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
        )


def _ns(seconds: float) -> int:
    """Return nanoseconds since the epoch."""
    return round(seconds * 1e6) * 1000
