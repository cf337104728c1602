"""Gathers the evidence of a run from the servers and the bot's database, and has it checked."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploybot.domain import Kind, Release, State
from tests.chaos import app
from tests.chaos.app import Site, There
from tests.chaos.chaos_lab import ChaosLab
from tests.chaos.check import Server, Told, check, clean_ups, ends_of, newest, started_in_freeze, told
from tests.chaos.findings import Findings
from tests.chaos.scenario import Fault, Scenario, undisturbed
from tests.lab import until

_LEFT_SECONDS = 60.0
_GOOD = {Kind.DEPLOY: 1, Kind.ROLLBACK: -1}


@dataclass(frozen=True, slots=True)
class Before:
    """How things were before a run: the newest deployment, and on each server what was there, marks and jobs."""

    newest: int
    there: Mapping[str, There]
    marks: Mapping[str, int]
    jobs: Mapping[str, frozenset[str]]


async def remember(chaos_lab: ChaosLab, site: Site) -> Before:
    """How things are now."""
    sshds = {name: chaos_lab.ways[name].sshd for name in site.servers}
    return Before(
        newest=newest(chaos_lab.data),
        there=await chaos_lab.look(site),
        marks={name: len(app.marks(site, sshd)) for name, sshd in sshds.items()},
        jobs={name: frozenset(app.jobs_of(sshd)) for name, sshd in sshds.items()},
    )


class Judge:
    """Holds a run to the truth."""

    def __init__(
        self, chaos_lab: ChaosLab, scenario: Scenario, before: Before, frozen: tuple[float, float] | None = None
    ) -> None:
        """Take a run, how things were before it, and from when to when the site was frozen, in seconds."""
        self._chaos_lab = chaos_lab
        self._scenario = scenario
        self._before = before
        self._frozen = frozen
        self._sshds = {name: chaos_lab.ways[name].sshd for name in scenario.site.servers}
        self.findings = Findings()
        self.ends: list[str] = []

    async def hear(self, numbers: Sequence[int]) -> None:
        """Fill `findings`, and `ends` with how each of the deployments ended; the last one decides what is there."""
        still = {name: app.still_running(sshd) for name, sshd in self._sshds.items()}
        # What nobody looks after any more must not reach into the next run.
        await asyncio.to_thread(until, self._all_ended, within=_LEFT_SECONDS, what="end of the jobs")
        after = await self._chaos_lab.look(self._scenario.site)
        self._find_strange(numbers, after)
        ends, before = ends_of(self._scenario), self._before.there
        for number in numbers:
            said = told(self._chaos_lab.data, number)
            if said is None:
                self.findings.lost.append(f"#{number} is not in the database")
                return
            self._note(said)
            if started_in_freeze(said.deployment, self._frozen):
                self.findings.untrue.append(f"#{number} was started in a freeze")
            last = number == numbers[-1]
            servers = {
                name: self._server(name, number, before[name], after[name] if last else None, still[name])
                for name in self._sshds
            }
            self.findings.add(check(ends, said, servers, self._chaos_lab.person.shows, self._chaos_lab.data / "logs"))
            ends = ends_of(dataclasses.replace(undisturbed(self._scenario.site), troubles=self._scenario.troubles))
            before = {**before, **{part.server: _standing(part.replaces) for part in said.deployment.plan.servers}}

    def _all_ended(self) -> bool:
        return not any(map(app.still_running, self._sshds.values()))

    def _find_strange(self, numbers: Sequence[int], after: Mapping[str, There]) -> None:
        """What nobody asked for."""
        for name, sshd in self._sshds.items():
            jobs = app.jobs_of(sshd) - self._before.jobs[name] - clean_ups(self._chaos_lab.data)
            strange = [job for job in jobs if int(job.partition("-")[0]) not in numbers]
            self.findings.untrue.extend(f"job {job} ran on {name}, and nobody asked for it" for job in strange)
        begun = newest(self._chaos_lab.data)
        if not numbers and begun != self._before.newest:
            self.findings.untrue.append(f"#{begun} is in the database, and nobody was told of it")
        if not numbers and after != self._before.there and not self._rebooted:
            self.findings.untrue.append(f"nothing was begun, but there is {after}, and was {self._before.there}")

    @property
    def _rebooted(self) -> set[str]:
        return {trouble.server for trouble in self._scenario.troubles if trouble.fault is Fault.REBOOT}

    def _note(self, said: Told) -> None:
        deployment = said.deployment
        self.ends.append(f"#{deployment.number} {deployment.state}")
        if deployment.state is State.SUCCEEDED:
            self._chaos_lab.good[self._scenario.site] += _GOOD.get(deployment.plan.kind, 0)

    def _server(self, name: str, number: int, before: There, after: There | None, still: Sequence[str]) -> Server:
        site, sshd = self._scenario.site, self._sshds[name]
        own = f"{number}-"
        jobs = frozenset(job for job in app.jobs_of(sshd) if job.startswith(own))
        return Server(
            before=before,
            after=after,
            marks=[mark for mark in app.marks(site, sshd)[self._before.marks[name] :] if mark.job.startswith(own)],
            jobs=jobs,
            logs={job: log for job in jobs if (log := app.log_of(site, sshd, job)) is not None},
            still=[job for job in still if job.startswith(own)],
            serves=name not in self._rebooted,
        )


def _standing(release: Release | None) -> There:
    """What is on a server where a release runs well."""
    commit = (release.code or "") if release else ""
    return There(current=commit, switching="", served=commit, healthy=bool(commit))
