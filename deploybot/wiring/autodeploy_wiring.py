"""Automatic deployments, wired up if bot.toml has any `auto`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from deploybot.access import Access
from deploybot.chat.card_channels import event_channels
from deploybot.deployments.auto_targets import is_used
from deploybot.deployments.deployment_queue import Queue
from deploybot.dispatch import Dispatcher
from deploybot.domain import AUTO, Action, Release, Trigger
from deploybot.settings import Settings
from deploybot.wiring.adapters import notice_board
from deploybot.wiring.deployment_wiring import server_images
from deploybot.wiring.infrastructure import Infrastructure

if TYPE_CHECKING:
    from deploybot.autodeploy.detector import TriggerDetector
    from deploybot.autodeploy.pending_deployments import Refusal
    from deploybot.autodeploy.poller import Poller


@dataclass(slots=True)
class AutomaticDeployments:
    """Automatic deployments: `automatic` handles events, `watch` polls."""

    automatic: TriggerDetector
    watch: Poller
    _task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Start the task that looks at everything now, and then keeps watching."""
        self._task = asyncio.create_task(self.watch.run(self.automatic.look), name="watch")
        return self._task

    async def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def autodeploy(
    settings: Settings, world: Infrastructure, access: Access, dispatcher: Dispatcher, queue: Queue
) -> AutomaticDeployments | None:
    """Return the parts that bot.toml's `auto` needs, or None if there is none. It is imported only then."""
    if not is_used(settings):
        return None
    from deploybot.autodeploy.detector import TriggerDetector  # noqa: PLC0415  see above
    from deploybot.autodeploy.missing_branches import GoneBranches  # noqa: PLC0415  see above
    from deploybot.autodeploy.pending_deployments import Refusal, TriggerRequests  # noqa: PLC0415  see above
    from deploybot.autodeploy.poller import Poller  # noqa: PLC0415  see above
    from deploybot.autodeploy.trigger_records import TriggerRecords  # noqa: PLC0415  see above

    async def refusal(trigger: Trigger) -> Refusal:
        # The images of a release are known only once it is pinned. Then the command itself checks `after`.
        release = (
            None if settings.apps[trigger.app].at(trigger.environment).has_images else Release.of_commit(trigger.commit)
        )
        answer = await access.ask(
            AUTO,
            action=Action.DEPLOY,
            command="deploy",
            app=trigger.app,
            environment=trigger.environment,
            release=release,
        )
        if answer.decision.allowed:
            return Refusal()
        lock, why = answer.lock, " ".join(answer.decision.reasons)
        if answer.frozen is not None and answer.decision.frozen:
            if answer.frozen.until < inf and lock is None:
                return Refusal()  # it is requested, and the deployment waits for the end of the freeze
            return Refusal(why, lock.until if lock else 0.0)
        if lock is None or not answer.decision.held:
            return Refusal(why)
        # Leave out how long it has been held: the card would change at every poll.
        return Refusal(f"{why} “{lock.reason}” `unlock {trigger.app} {trigger.environment}` removes it.", lock.until)

    records = TriggerRecords(world.clock, lambda app: app.channel or event_channels(settings))
    apps = [app for app in settings.apps.values() if any(one.auto for one in app.environments.values())]
    watch = Poller(apps, store=world.store, clock=world.clock, records=records)
    requests = TriggerRequests(
        store=world.store,
        clock=world.clock,
        records=records,
        handle=dispatcher.handle,
        refusal=refusal,
        callers=settings.hooks,
    )
    automatic = TriggerDetector(
        store=world.store,
        clock=world.clock,
        refs=world.refs,
        images=server_images(settings, world),
        requests=requests,
        records=records,
        wake=watch.wake,
        gone=GoneBranches(world.store, notice_board(settings, world)),
        queue=queue,
    )
    return AutomaticDeployments(automatic, watch)
