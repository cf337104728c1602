"""Send the files of a release that a step needs on its server."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from deploybot.domain import Release, ServerUpload, UploadKind
from deploybot.errors import NOT_STARTED, StepFailed, UserError
from deploybot.ports import Host, RefSource
from deploybot.settings import App
from deploybot.untrusted_input import of_one

_WITHIN = 600.0
_SLOWEST = 100_000
"""Bytes in a second, by which a large artifact may take longer. A connection that stalls is given up much earlier."""


async def send_uploads(refs: RefSource, host: Host, app: App, uploads: Sequence[ServerUpload]) -> None:
    """Make each bundle, archive or artifact and upload it to where the step expects it.

    Raises Unreachable or StepFailed.
    """
    for upload in uploads:
        if upload.artifact is not None:
            source = await _artifact(refs, host, app, upload.artifact)
        elif upload.kind is UploadKind.BUNDLE:
            source = await refs.bundle(app, upload.commit, upload.have)
        else:
            source = await refs.archive(app, upload.commit)
        within = _WITHIN + (source.stat().st_size / _SLOWEST if upload.artifact else 0)
        await of_one(host.name, functools.partial(host.upload, source, upload.target, timeout=within))


async def _artifact(refs: RefSource, host: Host, app: App, release: Release) -> Path:
    """Return an artifact as servers get it. Raises StepFailed if it is refused: nothing has been started then."""
    try:
        return await refs.artifact(app, release)
    except UserError as problem:
        words = filter(None, (problem.sentence, problem.hint))
        raise StepFailed(host.name, "fetch", NOT_STARTED, tuple(words)) from problem
