"""Send the files of a commit that a step needs on its server."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from deploybot.domain import ServerUpload, UploadKind
from deploybot.ports import Host, RefSource
from deploybot.settings import App
from deploybot.untrusted_input import of_one


async def send_uploads(refs: RefSource, host: Host, app: App, uploads: Sequence[ServerUpload]) -> None:
    """Make each bundle or archive and upload it to where the step expects it. Raises Unreachable or StepFailed."""
    for upload in uploads:
        if upload.kind is UploadKind.BUNDLE:
            source = await refs.bundle(app, upload.commit, upload.have)
        else:
            source = await refs.archive(app, upload.commit)
        await of_one(host.name, functools.partial(host.upload, source, upload.target))
