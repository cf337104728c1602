"""Things to keep, for the tests of the store."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable

from deploybot.domain import Channel, Identity, Kind, Person, Phase, Plan, Release, ServerPlan, Step, StepRow, StepState
from deploybot.ports import Tables
from tests.kit.seeds import new_seed

CONSOLE = Channel("console", "main")
NOW = 1_800_000_000.0


def commit(number: int) -> str:
    return f"{number:040x}"


def plan(number: int = 1, *, app: str = "shop", environment: str = "production", kind: Kind = Kind.DEPLOY) -> Plan:
    step = Step(name="switch", script="switch", env=(("DEPLOYBOT_APP", app),), secrets=("DATABASE_URL",), timeout=60)
    return Plan(
        kind=kind,
        app=app,
        environment=environment,
        release=Release.of_commit(commit(number), f"v{number}"),
        servers=(ServerPlan(server="web1", steps=(step,), replaces=Release.of_commit(commit(0))),),
        digest="d" * 64,
    )


def ann(tables: Tables) -> Person:
    return tables.people.named("ann") or tables.people.add("ann", Identity("console", "1"))


def step_row(number: int = 1, position: int = 0, **changes: object) -> StepRow:
    values: dict[str, object] = {
        "deployment": number,
        "phase": Phase.FORWARD,
        "server": "web1",
        "position": position,
        "name": "switch",
        "job": f"{number}-f-web1-{position}-abc",
        "state": StepState.STARTED,
        "started": NOW,
    }
    return StepRow(**{**values, **changes})  # type: ignore[arg-type]


def seeded() -> random.Random:
    """A generator whose seed is printed, and can be given as SEED."""
    seed = new_seed()
    print(f"SEED={seed}")  # noqa: T201 - so that a failure can be repeated
    return random.Random(seed)


def times(usual: int) -> int:
    """How often to repeat: N, or the usual number."""
    return int(os.environ.get("N") or usual)


async def eventually(true: Callable[[], bool]) -> None:
    """Wait for what happens by itself in another thread or program, at most 20 seconds."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - a row, without an event
            await asyncio.sleep(0.01)
