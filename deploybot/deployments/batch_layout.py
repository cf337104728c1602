"""In which batches the servers of an environment are switched, and which of them may be left out; pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from deploybot.domain import ServerPlan
from deploybot.settings import Environment, Rollout

_ONE_BY_ONE = Rollout()


class Layout(NamedTuple):
    """The servers of a plan in batches, in the order in which they are switched.

    `pause` is the time between two batches in seconds. `optional` are servers that are left out if they do not answer.
    The new release is compared with the old one for `watch` seconds, after the `canary` and at the end.
    """

    batches: tuple[tuple[str, ...], ...]
    pause: float
    optional: frozenset[str]
    watch: float = 0.0
    canary: tuple[str, ...] = ()

    @property
    def servers(self) -> tuple[str, ...]:
        """All servers, in the order of the batches."""
        return tuple(name for batch in self.batches for name in batch)

    def arranged(self, parts: Sequence[ServerPlan]) -> tuple[tuple[ServerPlan, ...], tuple[int, ...]]:
        """Return the plans of servers in this order, each with its pause, and how many are in each batch.

        Servers without a plan are left out. No pause follows the last batch.
        """
        found = {part.server: part for part in parts}
        batches = [batch for names in self.batches if (batch := [found[name] for name in names if name in found])]
        arranged = tuple(
            dataclasses.replace(
                part,
                pause=self.pause if batch is not batches[-1] else 0.0,
                recheck=part.recheck if self.pause and batch is not batches[-1] else (),
                optional=part.server in self.optional,
                watch=self.watch,
                first_watch=self.watch if part.server in self.canary and batch is not batches[-1] else 0.0,
            )
            for batch in batches
            for part in batch
        )
        return arranged, tuple(len(batch) for batch in batches)


def layout_of(environment: Environment, servers: Sequence[str], *, gently: bool) -> Layout:
    """Return the batches for some servers of an environment.

    With `gently`, the canary comes first, pauses lie between batches, and the release is watched: a new release needs
    all of that. What puts an old release back, or restarts what runs, needs to be quick.
    """
    rollout = environment.rollout or _ONE_BY_ONE
    canary = _canary(rollout, servers) if gently else ()
    rest = [name for name in servers if name not in canary]
    size = _size(rollout.batch, len(servers))
    batches = [tuple(rest[at : at + size]) for at in range(0, len(rest), size)]
    optional = frozenset(rest) if rollout.on_down == "skip" else frozenset()
    return Layout(
        batches=(*([canary] if canary else []), *batches),
        pause=rollout.pause if gently else 0.0,
        optional=optional,
        watch=(environment.watch or 0.0) if gently else 0.0,
        canary=canary,
    )


def _canary(rollout: Rollout, servers: Sequence[str]) -> tuple[str, ...]:
    if isinstance(rollout.canary, int):
        return tuple(servers[: rollout.canary])
    return tuple(name for name in servers if name in rollout.canary)


def _size(batch: int | str, count: int) -> int:
    """Return the size of a batch; a share of the servers is rounded up."""
    return batch if isinstance(batch, int) else ceil(count * int(batch.removesuffix("%")) / 100)
