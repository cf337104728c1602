"""The deployment engine, put together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from deploybot.assembly.world import World
from deploybot.chat.places import places_of
from deploybot.deploy.approvals import Approvals
from deploybot.deploy.beginning import Beginning
from deploybot.deploy.bonds import Bonds
from deploybot.deploy.execution import Executor
from deploybot.deploy.gate import HealthGate
from deploybot.deploy.glass import BreakGlass
from deploybot.deploy.inspection import Inspector
from deploybot.deploy.journal import Journal
from deploybot.deploy.legacy import Legacy
from deploybot.deploy.mentions import Mentions
from deploybot.deploy.plan import Planner
from deploybot.deploy.present import Present
from deploybot.deploy.queue import Queue
from deploybot.deploy.releases import Releases
from deploybot.deploy.restore import Restorer
from deploybot.deploy.runner import Runner
from deploybot.deploy.service import Deployments
from deploybot.deploy.steps import StepRunner
from deploybot.deploy.teller import Teller
from deploybot.deploy.verify import Verifier
from deploybot.domain import Deployment
from deploybot.events.reports import Reporter, targets_of
from deploybot.ports import CodeSecrets, Tables
from deploybot.settings import Settings
from deploybot.strategies import STRATEGIES

if TYPE_CHECKING:
    from deploybot.events.telling.channels import Telling


def planner(world: World, inspector: Inspector | None = None) -> Planner:
    """Make what makes plans."""
    found = inspector or Inspector(store=world.store, servers=world.servers, refs=world.refs, strategies=STRATEGIES)
    releases = Releases(world.store, world.refs, found, world.images)
    legacy = Legacy(store=world.store, servers=world.servers, refs=world.refs, inspector=found, strategies=STRATEGIES)
    return Planner(store=world.store, inspector=found, legacy=legacy, releases=releases, strategies=STRATEGIES)


def deployments(settings: Settings, world: World, codes: CodeSecrets, telling: Telling | None = None) -> Deployments:
    """The deployment engine with all its parts."""
    journal = Journal(settings.bot.data / "logs", world.redactor, limit=settings.bot.keep_logs)
    places = partial(places_of, settings=settings)
    report = _reports_to(Reporter(targets_of(settings), world.clock), telling)
    tell = Teller(
        clock=world.clock,
        mask=world.redactor.text,
        journal=journal,
        mentions=Mentions(settings, world.clock),
        places=places,
        report=report,
    )
    inspector = Inspector(store=world.store, servers=world.servers, refs=world.refs, strategies=STRATEGIES)
    plans = planner(world, inspector)
    bonds = Bonds(settings, plans, world.clock)
    approvals = Approvals(settings=settings, store=world.store, clock=world.clock, bonds=bonds, codes=codes, tell=tell)
    beginning = Beginning(
        settings=settings,
        store=world.store,
        clock=world.clock,
        planner=plans,
        approvals=approvals,
        bonds=bonds,
        tell=tell,
    )
    queue = Queue(
        store=world.store,
        clock=world.clock,
        zone=settings.bot.timezone,
        approvals=approvals,
        beginning=beginning,
        runner=_runner(settings, world, inspector, journal, tell),
        tell=tell,
    )
    return Deployments(
        settings=settings,
        store=world.store,
        clock=world.clock,
        planner=plans,
        journal=journal,
        tell=tell,
        approvals=approvals,
        queue=queue,
        releases=plans.releases,
        glass=BreakGlass(settings=settings, store=world.store, clock=world.clock, codes=codes),
    )


def _runner(settings: Settings, world: World, inspector: Inspector, journal: Journal, tell: Teller) -> Runner:
    """Build what runs one deployment."""
    steps = StepRunner(
        store=world.store, servers=world.servers, refs=world.refs, journal=journal, clock=world.clock, tell=tell
    )
    executor = Executor(
        settings=settings,
        store=world.store,
        steps=steps,
        inspector=inspector,
        strategies=STRATEGIES,
        clock=world.clock,
    )
    gate = HealthGate(world.servers, world.clock)
    verifier = Verifier(world.servers, gate, world.clock)
    restorer = Restorer(store=world.store, executor=executor, gate=gate, verifier=verifier, clock=world.clock)
    return Runner(
        store=world.store,
        servers=world.servers,
        executor=executor,
        gate=gate,
        verifier=verifier,
        restorer=restorer,
        present=Present(settings, inspector, STRATEGIES),
        journal=journal,
        clock=world.clock,
        tell=tell,
    )


def _reports_to(reporter: Reporter, telling: Telling | None) -> Callable[[Tables, Deployment], None]:
    """What hears of each change of a deployment, in its transaction: who is told outside, and what events told."""

    def report(tables: Tables, deployment: Deployment) -> None:
        reporter(tables, deployment)
        if telling is not None:
            telling.deployed(tables, deployment)

    return report
