"""The bot as it is, with failpoints: `python -m tests.chaos.bot BOT.TOML DESCRIPTOR-OF-A-SOCKET`."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import socket
import sys
from pathlib import Path

from deploybot.bot import run
from deploybot.config import load
from deploybot.settings import Settings
from deploybot.wiring.infrastructure import Adapters, adapters
from tests.chaos.points import DeadlyRefs, DeadlyServers, DeadlyStore, Points


def main(config: str, descriptor: str) -> None:
    """Run it until it is told to stop, or dies."""
    points = Points(socket.socket(fileno=int(descriptor)))
    points.take_orders()

    def adapt(settings: Settings) -> Adapters:
        world = adapters(settings)
        return dataclasses.replace(
            world,
            store=DeadlyStore(world.store, points),
            servers=DeadlyServers(world.servers, points),
            refs=DeadlyRefs(world.refs, points),
        )

    asyncio.run(run(load(Path(config), os.environ), adapt))


if __name__ == "__main__":
    main(*sys.argv[1:])
