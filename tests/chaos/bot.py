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

_WATCH_SECONDS = 3.0
"""How long releases are watched here. Bot.toml may not say less than a minute."""


def _hastened(settings: Settings) -> Settings:
    """Shorten all watches."""
    apps = {}
    for name, app in settings.apps.items():
        environments = {
            key: one.model_copy(update={"watch": _WATCH_SECONDS}) if one.watch else one
            for key, one in app.environments.items()
        }
        apps[name] = app.model_copy(update={"environments": environments})
    return settings.model_copy(update={"apps": apps})


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

    asyncio.run(run(_hastened(load(Path(config), os.environ)), adapt))


if __name__ == "__main__":
    main(*sys.argv[1:])
