"""OpenTelemetry: `[otel]` gets a trace of each ended deployment."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pydantic import Field

from deploybot.events.deployment_reports import ReportedTarget
from deploybot.reporting.reporter_port import Path, ReportReceiver, ReportTarget, ReportTools
from deploybot.settings import Secret, Settings, SettingsPart
from deploybot.settings.address_values import CallUrl


class Otel(SettingsPart):
    """`[otel]`: OpenTelemetry traces of deployments, by OTLP over HTTP. Needs `deploybot[otel]`."""

    endpoint: CallUrl
    headers: dict[str, Secret] = Field(default_factory=dict)
    service: str = "deploybot"


class OtelReporter:
    """ReporterPart for traces."""

    def receivers(self, settings: Settings) -> Iterator[ReportReceiver]:
        """Yield the collector, if there is one."""
        if otel := settings.table(Otel):
            yield ReportReceiver(
                target=ReportedTarget("otel", ends=True),
                title="traces",
                summary=f"traces to {otel.endpoint}",
                connect=partial(_connect, otel),
            )

    def problems(self, settings: Settings) -> Iterator[tuple[Path, str]]:
        """Yield nothing: each key is checked by its type."""
        del settings
        yield from ()


def _connect(otel: Otel, tools: ReportTools) -> ReportTarget:
    from deploybot.reporting.otel_traces import Traces  # noqa: PLC0415  seven megabytes, and an optional extra

    headers = {name: secret.reveal() for name, secret in otel.headers.items()}
    return Traces(tools, otel.endpoint, headers, otel.service)


REPORTER = OtelReporter()
SETTINGS = Otel
