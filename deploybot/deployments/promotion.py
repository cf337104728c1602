"""Find the release to promote: what runs, healthy, on every server of the environment before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deploybot.deployments.health_gate import HealthGate
from deploybot.deployments.target_inspection import Inspector
from deploybot.deployments.what_runs_now import failing, present
from deploybot.domain import Manifest, Release, Running
from deploybot.errors import EngineError, Unreachable, UserError
from deploybot.observed_state import Judgement, judge
from deploybot.ports import Site, Store, Tables
from deploybot.settings import App, Environment
from deploybot.strategies.common_steps import gate
from deploybot.untrusted_input import of_one

_ASKED = frozenset({"http", "tcp"})
"""The health checks that the bot asks for itself. Containers were observed, and a command needs a job."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """One server of the environment before: what is recorded, and what was observed or why nothing was."""

    server: str
    row: Running | None
    site: Site | None
    judged: Judgement | None
    silent: str = ""


class Promotion:
    """Finds what can be promoted. The servers are asked; the records only say what it is called, and its images."""

    def __init__(self, store: Store, inspector: Inspector, health: HealthGate) -> None:
        """Take the records, what observes servers, and what asks their health checks."""
        self._store = store
        self._inspector = inspector
        self._health = health

    async def release(self, app: App, environment: Environment) -> Release:
        """Return the release that runs healthy on all servers of the environment that `after` names.

        Raises UserError, with what to do, unless there is exactly one, it is as the bot deployed it, and a server of
        the environment itself runs something else.
        """
        before = app.environments.get(environment.after or "")
        if before is None:
            raise _no_after(app, environment)
        seen = await asyncio.gather(*(self._look(app, before, server) for server in before.servers))
        where, again = f"{app.name}/{before.name}", _again(app, before)
        if silent := [f"{one.server}: {one.silent}" for one in seen if one.silent]:
            raise UserError(
                f"What runs in {where} is unknown: {'; '.join(silent)}.",
                hint=f"Try again when they answer, or name a release: deploy {app.name}@REF to {environment.name}",
            )
        if all(_is_empty(one) for one in seen):
            raise UserError(f"Nothing runs in {where} yet, so there is nothing to promote.", hint=again)
        if changed := _each(seen, _difference):
            raise UserError(f"{where} does not run what deploybot deployed there: {changed}.", hint=again)
        releases = {one.row.release.id: one.row.release for one in seen if one.row}
        if len(releases) > 1:
            which = ", ".join(f"{one.server} {one.row.release}" for one in seen if one.row)
            raise UserError(f"The servers of {where} run different releases ({which}).", hint=again)
        problems = await asyncio.gather(*(self._problem(app, before, one) for one in seen))
        if any(problems):
            words = "; ".join(f"{one.server}: {why}" for one, why in zip(seen, problems, strict=True) if why)
            raise UserError(
                f"{where} is not healthy now: {words}.",
                hint=f"Fix it, or deploy a good release there. `status {app.name} {before.name}` shows more.",
            )
        (release,) = releases.values()
        await self._insist_on_change(app, environment, release)
        if release.has_unknown_images:
            raise UserError(f"The images of {release}, which runs in {where}, are unknown.", hint=again)
        return release

    async def _insist_on_change(self, app: App, environment: Environment, release: Release) -> None:
        """Raise UserError if all servers run the release already, Unreachable if none of them answers."""
        running = await self._inspector.running(app, environment)
        if [one.id for one in running.values() if one is not None] == [release.id] * len(environment.servers):
            raise UserError(
                f"{app.name}/{environment.name} already runs {release}, the release of {environment.after}.",
                hint=f"To deploy it again: deploy {app.name}@:current to {environment.name}",
            )

    async def _look(self, app: App, before: Environment, server: str) -> _Seen:
        """Observe one server and compare it with the record of it."""
        row, manifest = await self._store.read(lambda tables: _recorded(tables, app, before, server))
        try:
            site = await of_one(server, lambda: self._inspector.site(app, before, server))
        except Unreachable as problem:
            return _Seen(server, row, None, None, problem.why)
        except EngineError as problem:
            return _Seen(server, row, None, None, str(problem))
        return _Seen(server, row, site, judge(site.observed, row, manifest) if site.observed else None)

    async def _problem(self, app: App, before: Environment, seen: _Seen) -> str:
        """Return why a server is not healthy; empty if it is."""
        if seen.row is None or seen.site is None:
            return "nothing runs"
        if not seen.row.healthy:
            return f"#{seen.row.deployment} did not become healthy there"
        if found := _unwell(seen.site, seen.judged):
            return ", ".join(found)
        check = gate(app, before)
        return await self._health.problem(seen.server, check) if check and check.kind in _ASKED else ""


def _recorded(
    tables: Tables, app: App, environment: Environment, server: str
) -> tuple[Running | None, Manifest | None]:
    """Return what the bot last put on a server, and what it saw run then."""
    rows = tables.running.get(app.name, environment.name)
    row = next((one for one in rows if one.server == server), None)
    if row is None:
        return None, None
    kept = tables.manifests.get(app.name, environment.name, server, row.release.id, attempt=not row.healthy)
    return row, kept.manifest if kept else None


def _is_empty(seen: _Seen) -> bool:
    """Return whether nothing runs on a server, and nothing was deployed there."""
    return seen.row is None and seen.site is not None and present(seen.site) == "nothing"


def _difference(seen: _Seen) -> str:
    """Return how a server differs from what the bot deployed there; empty if it does not."""
    row, site, judged = seen.row, seen.site, seen.judged
    if site is None or judged is None:
        return ""
    runs = f"{seen.server} runs {present(site)}"
    if row is None:
        return f"{runs}, which deploybot did not deploy" if present(site) != "nothing" else runs
    if site.running != row.release.id:
        return f"{runs}, but #{row.deployment} deployed {row.release}"
    found = [one.text for one in judged.differences if one not in judged.ailments]
    return f"{seen.server}: {', '.join(found)}" if found else ""


def _unwell(site: Site, judged: Judgement | None) -> list[str]:
    """Return which containers need attention; also those that ended well, if nothing serves and they are no jobs."""
    jobs = {one.service for one in (site.ran or Manifest()).services if one.ended}
    stopped = judged.ailments if judged else ()
    return failing(site) or [one.text for one in stopped if not one.mild and one.service not in jobs]


def _each(seen: Sequence[_Seen], of: Callable[[_Seen], str]) -> str:
    return "; ".join(filter(None, map(of, seen)))


def _again(app: App, before: Environment) -> str:
    return f"Deploy a release to all its servers first: deploy {app.name}@REF to {before.name}"


def _no_after(app: App, environment: Environment) -> UserError:
    return UserError(
        f"{app.name}/{environment.name} has no `after` in bot.toml, so there is no environment to promote from.",
        hint=f"Set it, or name a release: deploy {app.name}@REF to {environment.name}",
    )
