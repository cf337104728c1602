"""Traces of deployments, taken by a collector that reads OTLP's protobuf."""

from __future__ import annotations

import subprocess
import sys

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from deploybot.domain import Approval, ArtifactSource, Binding, Kind, Release, Request, State, StepState
from deploybot.ports import Tables
from deploybot.reporting.report_http import Caller
from deploybot.reporting.report_targets import connected
from deploybot.reporting.reporter_port import ReportTools
from deploybot.store.database import Database
from tests.reporting.doubles import LOST, Collector, Fault
from tests.reporting.reporting_bot import ReportingBot, reporting_settings, sha
from tests.store.examples import ann, plan, step_row


def of(span: Span) -> dict[str, object]:
    """A span's attributes."""
    values = ((one.key, one.value.WhichOneof("value"), one.value) for one in span.attributes)
    return {key: getattr(value, kind) for key, kind, value in values if kind}


async def run_one(bot: ReportingBot, end: State = State.SUCCEEDED) -> int:
    """A deployment that was approved, ran two steps, and ended."""
    clock = bot.clock
    binding = Binding(ref="v1", release=Release.of_commit(sha()), config=(), replaces=(), steps=())

    def ask(tables: Tables) -> int:
        made = tables.deployments.add(
            plan(), requester=ann(tables), reason="", channel=None, now=clock.now(), needs_approval=True
        )
        tables.requests.add(
            Request(
                deployment=made.number,
                binding=binding,
                wanted=1,
                approvers=("approver",),
                expires=clock.now() + 100,
                remind_at=clock.now() + 50,
            )
        )
        bot.reporter(tables, made)
        return made.number

    number = await bot.store.write(ask)

    def go(tables: Tables) -> None:
        now = clock.now()
        ben = tables.people.named("ben") or tables.people.add("ben")
        tables.requests.approve(number, Approval(ben.id, ben.name, now))
        tables.deployments.approve(number, now)
        tables.deployments.move(number, State.RUNNING, now=now)
        for position, state in enumerate((StepState.DONE, StepState.FAILED if end is State.FAILED else StepState.DONE)):
            row = tables.deployments.begin(
                step_row(number, position, name=f"step{position}", job=f"job{position}", started=clock.now())
            )
            tables.deployments.end(row.job, state, code=int(state is StepState.FAILED), now=clock.now() + 0.5)

    await bot.store.write(go)
    await bot.move(number, end)
    return number


async def test_a_trace_has_the_request_the_plan_the_approval_and_the_steps(
    store: Database, collector: Collector
) -> None:
    bot = ReportingBot(store, reporting_settings(otel=f"{collector.url}/v1/traces"))
    number = await run_one(bot)
    await bot.told()
    (trace,) = collector.traces
    resource = {one.key: one.value.string_value for one in trace.resource_spans[0].resource.attributes}
    assert resource["service.name"] == "deploybot"
    spans = collector.spans()
    root = spans["deploy shop production"]
    assert [*spans] == [
        "deploy shop production",
        "request",
        "plan",
        "approval",
        "wait",
        "step0 on web1",
        "step1 on web1",
    ] or [*spans] == ["deploy shop production", "request", "plan", "approval", "step0 on web1", "step1 on web1"]
    assert {span.parent_span_id for span in spans.values() if span is not root} == {root.span_id}
    assert len({span.trace_id for span in spans.values()}) == 1
    assert len({span.span_id for span in spans.values()}) == len(spans)
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in spans.values())
    assert of(root) | {"deploybot.deployment": number, "deploybot.result": "succeeded"} == of(root)
    assert of(spans["request"]) == {"deploybot.person": "ann"}
    assert of(spans["approval"])["deploybot.result"] == "approved"
    assert [event.name for event in spans["approval"].events] == ["approved"]
    step = spans["step1 on web1"]
    assert of(step) | {"deploybot.server": "web1", "deploybot.result": "done", "deploybot.code": 0} == of(step)
    assert step.end_time_unix_nano - step.start_time_unix_nano >= 0.4e9
    assert root.status.code == Status.STATUS_CODE_OK


async def test_a_trace_names_a_commit_only_if_there_is_one(store: Database, collector: Collector) -> None:
    bot = ReportingBot(store, reporting_settings(otel=f"{collector.url}/v1/traces"))
    for release in (Release.of_commit(sha()), Release(ArtifactSource("a" * 64))):
        await bot.deploy(release=release)
    await bot.told()
    roots = [of(span) for trace in collector.traces for span in trace.resource_spans[0].scope_spans[0].spans[:1]]
    told = [(root["deploybot.release"], root.get("vcs.ref.head.revision", "no commit")) for root in roots]
    assert sorted(told, key=str) == [(sha(), sha()), (f"artifact-{'a' * 64}", "no commit")]


async def test_what_went_wrong_is_an_error(store: Database, collector: Collector) -> None:
    bot = ReportingBot(store, reporting_settings(otel=f"{collector.url}/v1/traces"))
    await run_one(bot, State.FAILED)
    await bot.told()
    spans = collector.spans()
    codes = {name: span.status.code for name, span in spans.items()}
    assert codes["deploy shop production"] == codes["step1 on web1"] == Status.STATUS_CODE_ERROR
    assert codes["step0 on web1"] == Status.STATUS_CODE_OK


async def test_a_trace_that_is_reported_twice_is_one(store: Database, collector: Collector) -> None:
    left: list[Fault] = [LOST, 503]
    collector.fault = lambda _method, _path: left.pop() if left else None
    bot = ReportingBot(store, reporting_settings(otel=f"{collector.url}/v1/traces"))
    await bot.deploy(kind=Kind.TASK)
    await bot.told()
    first, second = (collector.spans(number) for number in (0, 1))
    assert {name: span.span_id for name, span in first.items()} == {name: span.span_id for name, span in second.items()}


async def test_a_collector_is_tried_without_a_trace(store: Database, collector: Collector) -> None:
    caller = Caller()
    (target,) = connected(reporting_settings(otel=f"{collector.url}/v1/traces"), ReportTools(caller, store)).values()
    (found,) = [one async for one in target.check()]
    await caller.close()
    assert found.fix == ""
    assert not any(trace.resource_spans for trace in collector.traces)


_WITHOUT = """
import sys
sys.modules["opentelemetry"] = None
from deploybot.errors import ConfigError
try:
    import deploybot.reporting.otel_traces
except ConfigError as error:
    print(error)
"""


def test_without_the_extra_a_sentence_says_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT], capture_output=True, check=True, timeout=60, text=True)
    assert "pip install 'deploybot[otel]'" in done.stdout
