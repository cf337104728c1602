"""The watch of a release for a test that puts the parts of the deployment engine together itself."""

from __future__ import annotations

from deploybot.applogs.log_samples import ErrorSamples
from deploybot.deployments.release_watch import ReleaseWatch, VetoSignals
from deploybot.deployments.step_execution import Executor
from deploybot.deployments.watch_looks import WatchLooks
from deploybot.masking import Redactor
from deploybot.ports import Clock, Servers, Store


def watch_of(store: Store, executor: Executor, servers: Servers, clock: Clock) -> ReleaseWatch:
    """Return a watch that shows nothing on cards."""
    return ReleaseWatch(
        store=store,
        executor=executor,
        looks=WatchLooks(servers, ErrorSamples(servers, clock, Redactor()), clock),
        clock=clock,
        queue_card=lambda *_: None,
        signals=VetoSignals(),
    )
