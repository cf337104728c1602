"""Say what the servers of a deployment run now, by asking them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from deploybot.deploy.gate import ailment
from deploybot.deploy.inspection import Inspector
from deploybot.domain import Deployment, Observed, ServerPlan, short_id
from deploybot.errors import EngineError, Unreachable
from deploybot.ports import Site, Strategy
from deploybot.settings import Settings
from deploybot.untrusted import of_one


class Present:
    """Puts what is observed now into words for the end of a deployment."""

    def __init__(self, settings: Settings, inspector: Inspector, strategies: Mapping[str, Strategy]) -> None:
        """Take bot.toml, what looks at servers, and the strategies by name."""
        self._settings = settings
        self._inspector = inspector
        self._strategies = strategies

    async def sentence(self, deployment: Deployment) -> str:
        """Say what every server of a deployment runs, such as `Now running: web1 0123456789.`."""
        parts = deployment.plan.servers
        words = await asyncio.gather(*(self._on(deployment, part) for part in parts))
        return f"Now running: {'; '.join(words)}."

    async def headline(self, deployment: Deployment, parts: Sequence[ServerPlan]) -> str:
        """Say which servers serve nothing now: the first line of a deployment that could not be restored."""
        plan = deployment.plan
        app = self._settings.apps[plan.app]
        if not self._strategies[app.strategy].containers:
            return ""
        sites = await asyncio.gather(*(self._site(deployment, part.server) for part in parts))
        named = zip((part.server for part in parts), sites, strict=True)
        silent = [server for server, site in named if isinstance(site, Site) and not serves(site.observed)]
        return f"Nothing serves {plan.app}/{plan.environment} on {', '.join(silent)}." if silent else ""

    async def _on(self, deployment: Deployment, part: ServerPlan) -> str:
        site = await self._site(deployment, part.server)
        if isinstance(site, str):
            return f"{part.server} unknown ({site})"
        return f"{part.server} {present(site)}"

    async def _site(self, deployment: Deployment, server: str) -> Site | str:
        """Observe a target; why not, where that fails."""
        app = self._settings.apps[deployment.plan.app]
        environment = app.environments[deployment.plan.environment]
        try:
            return await of_one(server, self._inspector.site(app, environment, server))
        except Unreachable as problem:
            return problem.why
        except EngineError as problem:
            return str(problem)


def serves(observed: Observed | None) -> bool:
    """Say whether anything of a project runs and is not unhealthy."""
    found = observed.containers if observed else ()
    return any(one.state == "running" and one.health != "unhealthy" for one in found if not one.oneoff)


def present(site: Site) -> str:
    """Say in a few words what runs on a server by what was observed there."""
    facts, observed = site.facts, site.observed
    half = facts.switching if facts.switching != site.running else ""
    containers = [one for one in observed.containers if not one.oneoff] if observed else []
    if site.running:
        words = short_id(site.running)
    elif containers:
        words = f"{short_id(half)}, only partly" if half else "containers that the bot did not make"
    else:
        words = "nothing"
    failing = [f"{one.service or one.name} {why}" for one in containers if (why := ailment(one))]
    return words + (f" ({', '.join(failing)})" if failing else "")
