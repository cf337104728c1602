"""Resolve the refs of apps whose releases are built files."""

from __future__ import annotations

import re

from deploybot.deployments.past_releases import LOOK_BACK
from deploybot.domain import Release, ServerPlan, UploadKind
from deploybot.errors import UserError
from deploybot.ports import RefSource, Store
from deploybot.settings import App, Environment

_DIGITS = re.compile(r"[0-9a-fA-F]{7,64}", re.ASCII)


async def artifact_release(
    store: Store, refs: RefSource, app: App, environment: Environment | None, ref: str, *, back: bool
) -> Release:
    """Return the artifact that a ref means now; with `back`, the newest one that ran well by that name.

    What is served under a name may be another file by now. So a way back asks only what ran. Raises UserError if there
    is none, and Unreachable if that cannot be found out.
    """
    if not back or environment is None:
        return await refs.resolve(app, ref)
    rows = await store.read(lambda tables: tables.deployments.good(app.name, environment.name, LOOK_BACK))
    past = [row.plan.release for row in rows]
    exact = next((one for one in past if ref in {one.ref, one.id, one.short, one.exact_ref}), None)
    begun = {one.id: one for one in past if _begins(one, ref)}
    if exact is None and len(begun) > 1:
        raise UserError(f"`{ref}` is the beginning of several releases.", hint="Write more digits.")
    found = exact or next(iter(begun.values()), None)
    if found is None:
        raise UserError(
            f"{app.name} has not run {ref} in {environment.name}.", hint=f"`history {app.name}` lists what ran."
        )
    return found


async def insist_on_file(refs: RefSource, app: App, release: Release, part: ServerPlan) -> None:
    """Raise UserError if a server's plan sends an artifact that the bot has no more, before anybody approves it."""
    sends = any(one.kind is UploadKind.ARTIFACT for step in part.steps for one in step.uploads)
    if not sends or await refs.has_artifact(app, release):
        return
    raise UserError(
        f"{release} of {app.name} is not on the bot any more, and not on {part.server}.",
        hint=f"Upload it again: deploybot push FILE --app {app.name}",
    )


def _begins(release: Release, digits: str) -> bool:
    """Return whether a commit or the SHA-256 of an artifact begins with these digits."""
    content = release.code or (release.file.sha256 if release.file else "")
    return _DIGITS.fullmatch(digits) is not None and content.startswith(digits.lower())
