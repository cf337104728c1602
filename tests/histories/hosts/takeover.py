"""One host is taken over; then something changes, and is gone back on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from deploybot.domain import ServerPlan, State
from tests.e2e.conftest import RunningBot, open_running_bot
from tests.histories.asking import Ended, bot_toml, order
from tests.histories.hosts.checkout import CheckoutHost, HostDraw
from tests.histories.reality import Reality

_APP = """
[apps.{name}]
repo = "{repo}"
strategy = "compose"
directory = "{directory}"
need_disk = "1MB"
stable = "1s"
restore_within = "60s"
compose = {{ wait = "20s"{project} }}
health = {{ docker = true, within = "20s" }}
{shared}
[apps.{name}.environments.live]
servers = ["web1"]
"""


@dataclass(slots=True)
class HostReport:
    """What came of a host. `restarted` counts containers, `moved` bytes."""

    draw: HostDraw
    taken_over: bool = False
    restarted: int = 0
    moved: int = 0
    findings: list[str] = field(default_factory=list)


class Takeover:
    """Takes one host over; `play` once."""

    def __init__(self, host: CheckoutHost) -> None:
        """Take the host, on which the application runs."""
        self._host = host
        self._app = host.draw.project
        self._planned = ""
        self.report = HostReport(host.draw)

    async def play(self) -> HostReport:
        """Play it with a bot of its own."""
        await asyncio.to_thread(self._host.start)
        async with open_running_bot(bot_toml(self._host.folder, self._host.server, self._tables())) as running:
            await self._refuses_a_copy(running)
            if self._host.draw.fails_first:
                await self._fail(running)
            await self._take_over(running)
            await self._change_and_go_back(running)
        return self.report

    def _tables(self) -> list[str]:
        host = self._host
        shared = f'shared = {{ from = "{host.checkout}", paths = ["data", ".env"] }}'
        project = f', project = "{self._app}"'
        mine = _APP.format(name=self._app, repo=host.repo.url, directory=host.directory, shared=shared, project=project)
        copy = _APP.format(name="copy", repo=host.repo.url, directory=f"{host.directory}-copy", shared="", project="")
        return [mine, copy]

    async def _refuses_a_copy(self, running: RunningBot) -> None:
        """A bot.toml without `project` would start everything a second time."""
        before, beside = await self._look(), await self._beside()
        ended = await order(running, "deploy copy@v1")
        if ended.deployment is not None:
            self._find(f"a second copy was not refused: {_words(ended)}")
        if (await self._look()).ids != before.ids or await self._beside() != beside:
            self._find("a refused copy changed something")

    async def _fail(self, running: RunningBot) -> None:
        """The first deployment fails: what ran before runs again, from the same images."""
        before, data, beside = await self._look(), await self._data(), await self._beside()
        await asyncio.to_thread(self._host.commit_failure)
        ended = await order(running, f"deploy {self._app}@failing")
        after = await self._look()
        if ended.state is not State.RESTORED:
            self._find(f"a failing first deployment was not restored: {_words(ended)}")
        if (after.answer, after.images) != (before.answer, before.images):
            self._find(f"after a failing first deployment {after.answer!r} answers, images {after.images}")
        self._same_but("web", before, after, "the failing first deployment")
        await self._nothing_moved(data, beside, "the failing first deployment")

    async def _take_over(self, running: RunningBot) -> None:
        before, data, beside = await self._look(), await self._data(), await self._beside()
        plan = await running.read(f"deploy {self._app}@v1 --dry-run")
        if "nothing changes" not in plan:
            self._find(f"the first plan does not say that nothing changes:\n{plan}")
        ended = await order(running, f"deploy {self._app}@v1")
        after = await self._look()
        if ended.state is not State.SUCCEEDED:
            self._find(f"it was not taken over: {_words(ended)}")
            return
        self.report.taken_over = True
        self.report.restarted += len(before.ids - after.ids)
        if before.ids != after.ids:
            self._find(f"taking over restarted: {before.containers} {after.containers}")
        await self._nothing_moved(data, beside, "taking over")

    async def _change_and_go_back(self, running: RunningBot) -> None:
        changed = await asyncio.to_thread(self._host.commit_change)
        (service,) = changed
        before, data, beside = await self._look(), await self._data(), await self._beside()
        ended = await order(running, f"deploy {self._app}@v2")
        between = await self._look()
        if ended.state is not State.SUCCEEDED:
            self._find(f"v2 was not deployed: {_words(ended)}")
            return
        if {one.id for one in before.of(service)} & {one.id for one in between.of(service)}:
            self._find(f"v2 did not recreate {service}")
        planned = [f"{one.service} {one.kind} {one.why}" for part in _parts(ended) for one in part.effects]
        self._planned = ", ".join(planned)
        self._same_but(service, before, between, "deploying v2")
        ended = await order(running, f"rollback {self._app}")
        after = await self._look()
        if ended.state is not State.SUCCEEDED:
            self._find(f"it was not rolled back: {_words(ended)}")
        if (after.answer, after.images) != (before.answer, before.images):
            self._find(f"the rollback brought {after.answer!r} and {after.images}, before it was {before.images}")
        self._same_but(service, between, after, "rolling back")
        await self._nothing_moved(data, beside, "a deployment and a rollback")

    def _same_but(self, service: str, before: Reality, after: Reality, what: str) -> None:
        """Every other service has the very same containers."""
        others = {one.service: one for one in before.containers if one.service != service}
        for name in others:
            if {(one.id, one.started) for one in before.of(name)} != {(one.id, one.started) for one in after.of(name)}:
                same = before.images.get(name) == after.images.get(name)
                self._find(
                    f"{what} restarted {name}, the image is {'the same' if same else 'another one'} ({self._planned})"
                )

    async def _nothing_moved(
        self, data: dict[str, tuple[int, int, int, int, int]], beside: list[str], what: str
    ) -> None:
        now = await self._data()
        moved = {path for path, about in data.items() if now.get(path) != about} | (now.keys() - data.keys())
        self.report.moved += sum(data[path][3] or 1 for path in moved if path in data)
        if moved:
            self._find(f"{what} moved or changed {', '.join(sorted(moved))}")
        if await self._beside() != beside:
            self._find(f"{what} touched what is beside it: {beside} is {await self._beside()}")

    def _find(self, what: str) -> None:
        self.report.findings.append(what)

    async def _look(self) -> Reality:
        return await asyncio.to_thread(self._host.look)

    async def _data(self) -> dict[str, tuple[int, int, int, int, int]]:
        return await asyncio.to_thread(self._host.data)

    async def _beside(self) -> list[str]:
        return await asyncio.to_thread(self._host.neighbours)


def _parts(ended: Ended) -> tuple[ServerPlan, ...]:
    return ended.deployment.plan.servers if ended.deployment else ()


def _words(ended: Ended) -> str:
    tail = " | ".join(ended.deployment.tail[-3:]) if ended.deployment else ""
    return f"{ended.said}\n{tail}"
