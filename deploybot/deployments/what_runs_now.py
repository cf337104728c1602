"""Report what the servers of a deployment run now, by asking them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from deploybot.deployments.target_inspection import Inspector
from deploybot.deployments.timeouts import Timeouts
from deploybot.domain import Deployment, Manifest, Observed, short_id
from deploybot.errors import EngineError, StoreError, Unreachable
from deploybot.observed_state import has_stopped, name_of, not_up
from deploybot.ports import Site, Strategy
from deploybot.settings import Settings
from deploybot.untrusted_input import of_one


class Present:
    """Describes what is observed now, for the end of a deployment."""

    def __init__(self, settings: Settings, inspector: Inspector, strategies: Mapping[str, Strategy]) -> None:
        """Take bot.toml, the inspector of servers, and the strategies by name."""
        self._settings = settings
        self._inspector = inspector
        self._strategies = strategies

    async def look(self, deployment: Deployment) -> Mapping[str, Site | str]:
        """Observe every server of a deployment; for one that does not answer, return why."""
        names = [part.server for part in deployment.plan.servers]
        found = await asyncio.gather(*(self._site(deployment, name) for name in names))
        return dict(zip(names, found, strict=True))

    async def on_silence(
        self, deployment: Deployment, server: str, react: Callable[[], None], timeouts: Timeouts
    ) -> None:
        """Call `react` once a server or its Engine has failed to answer for `restore_silence` seconds.

        It counts from the first of the looks that failed to the last. A bot that was held up in between did not ask.
        """
        now = asyncio.get_running_loop().time
        silent_since: float | None = None
        while True:
            asked = now()
            try:
                found = await self._site(deployment, server)
            except StoreError:
                found = None  # a fault of the bot's own database says nothing about the server
            if not isinstance(found, str):
                silent_since = None
            elif silent_since is None:
                silent_since = asked
            elif now() - silent_since >= timeouts.restore_silence:
                break
            await asyncio.sleep(timeouts.restore_look)
        react()

    def headline(self, deployment: Deployment, seen: Mapping[str, Site | str], servers: Sequence[str]) -> str:
        """Return which servers serve nothing now: the first line of a deployment that could not be restored."""
        plan = deployment.plan
        if not self._strategies[self._settings.apps[plan.app].strategy].containers:
            return ""
        found = ((server, seen[server]) for server in servers)
        silent = [server for server, site in found if isinstance(site, Site) and not serves(site.observed)]
        return f"Nothing serves {plan.app}/{plan.environment} on {', '.join(silent)}." if silent else ""

    async def _site(self, deployment: Deployment, server: str) -> Site | str:
        """Observe a target; return why not, if that fails."""
        if server not in self._settings.servers:
            return "bot.toml no longer has it"
        app = self._settings.apps[deployment.plan.app]
        environment = app.environments[deployment.plan.environment]
        try:
            return await of_one(server, lambda: self._inspector.site(app, environment, server))
        except Unreachable as problem:
            return problem.why
        except EngineError as problem:
            return str(problem)


def sentence_of(seen: Mapping[str, Site | str]) -> str:
    """Return what servers run now, such as `Now running: web1 0123456789.`."""
    words = (
        f"{server} unknown ({site})" if isinstance(site, str) else f"{server} {present(site)}"
        for server, site in seen.items()
    )
    return f"Now running: {'; '.join(words)}."


def all_well(seen: Mapping[str, Site | str]) -> bool:
    """Return whether every server answered and none of its containers needs attention."""
    return all(isinstance(site, Site) and not failing(site) for site in seen.values())


def runs_release(seen: Mapping[str, Site | str], release: str) -> tuple[str, ...]:
    """Return the servers that run a release now, by its id."""
    return tuple(server for server, site in seen.items() if isinstance(site, Site) and site.running == release)


def serves(observed: Observed | None) -> bool:
    """Return whether anything of a project runs, is not unhealthy and can be reached."""
    found = observed.containers if observed else ()
    running = (one for one in found if one.state == "running" and not one.oneoff)
    return any(one.health != "unhealthy" and not one.cut_off for one in running)


def present(site: Site) -> str:
    """Return in a few words what was observed to run on a server."""
    facts, observed = site.facts, site.observed
    containers = [one for one in observed.containers if not one.oneoff] if observed else []
    if site.running:
        words = short_id(site.running)
    elif containers:
        half = facts.switching
        words = f"{short_id(half)}, only partly" if half else "containers that deploybot did not create"
    else:
        words = "nothing"
    found = failing(site)
    return words + (f" ({', '.join(found)})" if found else "")


def failing(site: Site) -> list[str]:
    """Return which containers need attention, and why: `web is unhealthy`."""
    if site.observed is None:
        return []
    manifest = site.ran or Manifest()
    found = []
    for one in site.observed.containers:
        expected = manifest.of(one.service)
        words = not_up(one, now=site.observed.at)
        if not words and expected is not None and has_stopped(one, expected):
            words = "has stopped"
        if words and not one.oneoff:
            found.append(f"{name_of(one)} {words}")
    return found
