"""Whether servers answer at all, asked right before something is sent to them or given up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.timeouts import Timeouts
from deploybot.errors import DeploybotError, ServerDown
from deploybot.ports import Clock, Host, Servers
from deploybot.untrusted_input import of_one

log = logging.getLogger(__name__)


async def wait_for_answer(
    host: Host, stop: CancellationWatch, *, within: float, clock: Clock, timeouts: Timeouts
) -> ServerDown | None:
    """Return once a server answers, or is cancelled. If it is down for `within` seconds, return why.

    A server that answers with an error is not down: what is sent next shows what is wrong.
    """
    last = clock.now() + within
    pauses = iter(timeouts.job_retry)
    while stop.why is None:
        try:
            await stop.before(of_one(host.name, lambda: host.facts(docker=False)))
        except ServerDown as problem:
            if clock.now() > last:
                return problem
            log.info("%s does not answer: %s", host.name, problem)
            await stop.pause(next(pauses))
        except DeploybotError:
            break
        else:
            break
    return None


async def any_answers(servers: Servers, names: Collection[str]) -> bool:
    """Return whether at least one of some servers answers now. If none does, the bot's own network may be down."""
    asked = [asyncio.ensure_future(_answers(servers.host(name))) for name in names]
    try:
        for one in asyncio.as_completed(asked):
            if await one:
                return True
        return False
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def _answers(host: Host) -> bool:
    try:
        await of_one(host.name, lambda: host.facts(docker=False))
    except ServerDown:
        return False
    except DeploybotError:
        return True
    return True
