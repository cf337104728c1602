"""Rules about reporting: forges, outgoing addresses, the audit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from deploybot.config.config_errors import Problem, meant
from deploybot.settings import Settings
from deploybot.settings.forge_settings import api_of


def check_others(settings: Settings) -> Iterator[Problem]:
    """Yield every broken rule."""
    for name, app in settings.apps.items():
        if app.forge is not None and app.repo and api_of(app, app.forge) is None:
            text = "needs more than `repo`: give api_url and repository, such as acme/shop"
            yield Problem(("apps", name, "forge"), text)
    for name, outgoing in settings.outgoing.items():
        for app_name in outgoing.apps:
            if app_name not in settings.apps:
                text = f'unknown app "{app_name}"{meant(app_name, settings.apps)}'
                yield Problem(("outgoing", name, "apps"), text)
    yield from _audit(settings)


def _audit(settings: Settings) -> Iterator[Problem]:
    """Yield problems with the audit: it needs a sink, and its file must not be in the data folder."""
    audit = settings.audit
    if audit is None:
        return
    if not (audit.file or audit.syslog or audit.call):
        yield Problem(("audit",), "has no destination: give file, syslog or call")
    if audit.file and Path(os.path.normpath(audit.file)).is_relative_to(os.path.normpath(settings.bot.data)):
        text = "is in the data folder, where it could be rewritten with the database: use another folder"
        yield Problem(("audit", "file"), text)
