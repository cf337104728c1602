"""The audit sinks that bot.toml configures, and how `deploybot check` checks them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from deploybot.ports import ChatFinding
from deploybot.reporting.audit_sinks.audit_file import FileSink
from deploybot.reporting.audit_sinks.audit_sink import Sink
from deploybot.reporting.audit_sinks.audit_syslog import SyslogSink
from deploybot.settings import AuditCall, AuditExport


def sinks_of(audit: AuditExport) -> dict[str, Sink]:
    """Return all configured sinks by kind. Raises ConfigError for a secret that cannot sign."""
    made: dict[str, Sink] = {}
    if audit.file:
        made["file"] = FileSink(audit.file)
    if audit.syslog:
        made["syslog"] = SyslogSink(audit.syslog)
    if audit.call:
        made["call"] = _call(audit.call)
    return made


def _call(call: AuditCall) -> Sink:
    """Return the sink for signed calls. The HTTP client is imported only if bot.toml has such a call."""
    from deploybot.reporting.audit_sinks.audit_call import CallSink  # noqa: PLC0415  see above
    from deploybot.reporting.report_http import Caller  # noqa: PLC0415  see above
    from deploybot.reporting.signed_calls import SignedCalls  # noqa: PLC0415  see above

    caller = Caller()
    return CallSink(SignedCalls(caller, "audit.call", call.url, call.secret.reveal()), call.url, caller.close)


def sink_checks(audit: AuditExport) -> dict[str, AsyncIterator[ChatFinding]]:
    """Return the check of each sink, by name."""
    return {f"audit {kind}": _check(sink) for kind, sink in sinks_of(audit).items()}


async def _check(sink: Sink) -> AsyncIterator[ChatFinding]:
    try:
        async for found in sink.check():
            yield found
    finally:
        await sink.close()
