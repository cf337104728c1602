"""Rules about reporting: those of each reporter, and the audit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from deploybot.config.config_errors import Problem
from deploybot.reporting.report_targets import reporters
from deploybot.settings import Settings


def check_others(settings: Settings) -> Iterator[Problem]:
    """Yield every broken rule."""
    for reporter in reporters():
        yield from (Problem(path, text) for path, text in reporter.problems(settings))
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
