"""Resolve the refs of apps whose releases are built files."""

from __future__ import annotations

from deploybot.deployments.past_releases import LOOK_BACK
from deploybot.domain import Release
from deploybot.errors import UserError
from deploybot.ports import RefSource, Store
from deploybot.settings import App, Environment


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
    found = next((one for one in past if ref in {one.ref, one.id, one.short, one.exact_ref}), None)
    if found is None:
        raise UserError(
            f"{app.name} has not run {ref} in {environment.name}.", hint=f"`history {app.name}` lists what ran."
        )
    return found
