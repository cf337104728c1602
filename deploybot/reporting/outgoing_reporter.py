"""Outgoing webhooks: `[outgoing.NAME]` gets a signed call for each state of a deployment."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated

from pydantic import BeforeValidator

from deploybot.events.deployment_reports import ReportedTarget
from deploybot.reporting.reporter_port import Path, ReportReceiver, ReportTarget, ReportTools
from deploybot.settings import Secret, Settings, SettingsPart
from deploybot.settings.address_values import CallUrl
from deploybot.settings.value_shapes import Name, one_or_many
from deploybot.wording import meant


class OutgoingSettings(SettingsPart):
    """`[outgoing.NAME]`: a URL to which deployments are reported, signed with the Standard Webhooks scheme."""

    url: CallUrl
    secret: Secret
    apps: Annotated[tuple[Name, ...], BeforeValidator(one_or_many)] = ()


class OutgoingReporter:
    """ReporterPart for outgoing webhooks."""

    def receivers(self, settings: Settings) -> Iterator[ReportReceiver]:
        """Yield every address."""
        for name, one in settings.tables(OutgoingSettings).items():
            yield ReportReceiver(
                target=ReportedTarget(f"outgoing:{name}", frozenset(one.apps)),
                title=f"outgoing {name}",
                summary=f"{one.url} gets the deployments of {' '.join(one.apps) or 'every app'} ({name})",
                connect=partial(_connect, name, one),
            )

    def problems(self, settings: Settings) -> Iterator[tuple[Path, str]]:
        """Yield apps that do not exist."""
        for name, one in settings.tables(OutgoingSettings).items():
            for app in one.apps:
                if app not in settings.apps:
                    yield ("outgoing", name, "apps"), f'unknown app "{app}"{meant(app, settings.apps)}'


def _connect(name: str, one: OutgoingSettings, tools: ReportTools) -> ReportTarget:
    from deploybot.reporting.signed_calls import SignedCallTarget  # noqa: PLC0415  aiohttp, ten megabytes

    return SignedCallTarget(tools.caller, f"outgoing.{name}", one.url, one.secret.reveal())


REPORTER = OutgoingReporter()
SETTINGS = OutgoingSettings
