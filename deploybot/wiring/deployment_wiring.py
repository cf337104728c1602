"""Put the deployment engine together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from deploybot.applogs.log_samples import ErrorSamples
from deploybot.chat.card_channels import card_channels
from deploybot.deployments.approvals import Approvals
from deploybot.deployments.break_glass import BreakGlass
from deploybot.deployments.card_mentions import Mentions
from deploybot.deployments.card_publisher import CardPublisher
from deploybot.deployments.deployment_queue import Queue
from deploybot.deployments.deployment_service import DeploymentEngine
from deploybot.deployments.fingerprint_check import FingerprintCheck
from deploybot.deployments.health_gate import HealthGate
from deploybot.deployments.legacy_releases import Legacy
from deploybot.deployments.planner import Planner
from deploybot.deployments.promotion import Promotion
from deploybot.deployments.ref_resolution import Releases
from deploybot.deployments.release_verification import Verifier
from deploybot.deployments.release_watch import ReleaseWatch, VetoSignals
from deploybot.deployments.restore import Restorer
from deploybot.deployments.runner import DeploymentRunner
from deploybot.deployments.server_images import ServerImages
from deploybot.deployments.stage_runner import StageRunner
from deploybot.deployments.start_checks import Beginning
from deploybot.deployments.step_execution import Executor
from deploybot.deployments.step_logs import Journal
from deploybot.deployments.step_runner import StepRunner
from deploybot.deployments.target_inspection import Inspector
from deploybot.deployments.timeouts import TIMEOUTS, Timeouts
from deploybot.deployments.vetoes import Vetoes
from deploybot.deployments.watch_looks import WatchLooks
from deploybot.deployments.what_runs_now import Present
from deploybot.domain import Deployment
from deploybot.events.app_matching import forge_hosts
from deploybot.events.deployment_reports import Reporter
from deploybot.ports import CodeSecrets, Images, Tables
from deploybot.reporting.report_targets import receivers_of
from deploybot.settings import Settings
from deploybot.strategies import STRATEGIES
from deploybot.wiring.infrastructure import Infrastructure

if TYPE_CHECKING:
    from deploybot.notifications.notifier import Notifier


def planner(settings: Settings, world: Infrastructure, inspector: Inspector | None = None) -> Planner:
    """Make the planner."""
    found = inspector or _inspector(settings, world)
    images = server_images(settings, world, found)
    releases = Releases(world.store, world.refs, found, images, forges=forge_hosts(settings))
    legacy = Legacy(store=world.store, servers=world.servers, refs=world.refs, inspector=found, strategies=STRATEGIES)
    return Planner(store=world.store, inspector=found, legacy=legacy, releases=releases, strategies=STRATEGIES)


def server_images(settings: Settings, world: Infrastructure, inspector: Inspector | None = None) -> Images | None:
    """Return what finds the images of all apps; None if no app has any."""
    return ServerImages(world.images, inspector or _inspector(settings, world), world.store) if world.images else None


def _inspector(settings: Settings, world: Infrastructure) -> Inspector:
    return Inspector(
        store=world.store, servers=world.servers, refs=world.refs, strategies=STRATEGIES, apps=settings.apps
    )


def deployments(
    settings: Settings,
    world: Infrastructure,
    codes: CodeSecrets,
    notifier: Notifier | None = None,
    *,
    on_end: Callable[[str], object] = lambda _: None,
    timeouts: Timeouts = TIMEOUTS,
) -> DeploymentEngine:
    """Return the deployment engine with all its parts. `on_end(app)` is called when a deployment has ended."""
    journal = Journal(settings.bot.data / "logs", world.redactor, limit=settings.bot.keep_logs)
    publisher = _publisher(settings, world, journal, notifier)
    inspector = _inspector(settings, world)
    plans = planner(settings, world, inspector)
    fingerprints = FingerprintCheck(settings, plans, world.clock, timeouts)
    approvals = Approvals(
        settings=settings,
        store=world.store,
        clock=world.clock,
        fingerprints=fingerprints,
        codes=codes,
        queue_card=publisher,
        timeouts=timeouts,
    )
    beginning = Beginning(
        settings=settings,
        store=world.store,
        clock=world.clock,
        planner=plans,
        approvals=approvals,
        fingerprints=fingerprints,
        queue_card=publisher,
    )
    signals = VetoSignals()
    queue = Queue(
        store=world.store,
        clock=world.clock,
        zone=settings.bot.timezone,
        at_once=settings.bot.at_once,
        approvals=approvals,
        beginning=beginning,
        runner=_runner(settings, world, inspector, journal, publisher, signals, timeouts),
        queue_card=publisher,
        on_end=on_end,
        timeouts=timeouts,
    )
    return DeploymentEngine(
        settings=settings,
        store=world.store,
        clock=world.clock,
        planner=plans,
        journal=journal,
        publisher=publisher,
        approvals=approvals,
        queue=queue,
        releases=plans.releases,
        glass=BreakGlass(settings=settings, store=world.store, clock=world.clock, codes=codes),
        promotion=Promotion(world.store, inspector, HealthGate(world.servers, world.clock, timeouts)),
        vetoes=Vetoes(settings, world.store, world.clock, publisher, signals),
    )


def _publisher(settings: Settings, world: Infrastructure, journal: Journal, notifier: Notifier | None) -> CardPublisher:
    """Make what queues cards, reports and notifications."""
    channels = partial(card_channels, settings=settings)
    report = _reports_to(Reporter((one.target for one in receivers_of(settings)), world.clock), notifier)
    return CardPublisher(
        clock=world.clock,
        mask=world.redactor.text,
        journal=journal,
        mentions=Mentions(settings, world.clock),
        channels=channels,
        report=report,
        leaves=partial(_leaves, settings),
    )


def _leaves(settings: Settings, deployment: Deployment) -> bool:
    """Return whether a failed release stays as it is, as bot.toml is now."""
    app = settings.apps.get(deployment.plan.app)
    environment = app.environments.get(deployment.plan.environment) if app else None
    return environment is not None and environment.on_failure == "leave"


def _runner(  # noqa: PLR0917  one for each part that others have, too
    settings: Settings,
    world: Infrastructure,
    inspector: Inspector,
    journal: Journal,
    publisher: CardPublisher,
    signals: VetoSignals,
    timeouts: Timeouts,
) -> DeploymentRunner:
    """Make the runner of a deployment."""
    steps = StepRunner(
        store=world.store,
        servers=world.servers,
        refs=world.refs,
        journal=journal,
        clock=world.clock,
        queue_card=publisher,
        timeouts=timeouts,
    )
    executor = Executor(
        settings=settings,
        store=world.store,
        steps=steps,
        inspector=inspector,
        strategies=STRATEGIES,
        clock=world.clock,
    )
    gate = HealthGate(world.servers, world.clock, timeouts)
    verifier = Verifier(world.servers, gate, world.clock)
    stages = StageRunner(
        store=world.store,
        executor=executor,
        gate=gate,
        verifier=verifier,
        watch=_watch(world, executor, publisher, signals, timeouts),
        journal=journal,
        clock=world.clock,
        queue_card=publisher,
        timeouts=timeouts,
    )
    restorer = Restorer(store=world.store, executor=executor, stages=stages, verifier=verifier, clock=world.clock)
    return DeploymentRunner(
        store=world.store,
        servers=world.servers,
        executor=executor,
        stages=stages,
        restorer=restorer,
        present=Present(settings, inspector, STRATEGIES),
        journal=journal,
        clock=world.clock,
        queue_card=publisher,
        timeouts=timeouts,
    )


def _watch(
    world: Infrastructure, executor: Executor, publisher: CardPublisher, signals: VetoSignals, timeouts: Timeouts
) -> ReleaseWatch:
    """Make what watches a new release."""
    logs = ErrorSamples(world.servers, world.clock, world.redactor)
    return ReleaseWatch(
        store=world.store,
        executor=executor,
        looks=WatchLooks(world.servers, logs, world.clock, timeouts),
        clock=world.clock,
        queue_card=publisher,
        signals=signals,
        timeouts=timeouts,
    )


def _reports_to(reporter: Reporter, notifier: Notifier | None) -> Callable[[Tables, Deployment], None]:
    """Return the function that is called for each change of a deployment, in its transaction.

    It queues reports to other services, and updates notifications about events.
    """

    def report(tables: Tables, deployment: Deployment) -> None:
        reporter(tables, deployment)
        if notifier is not None:
            notifier.deployed(tables, deployment)

    return report
