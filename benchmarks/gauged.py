"""`python -m benchmarks.gauged -c bot.toml run`: the bot, and a gauge of how long its event loop is blocked.

Each time that a timer comes more than a few milliseconds late, `AT LATE` (monotonic seconds, the system's) is added
to the file `lag` beside bot.toml.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from deploybot import bot
from deploybot.cli.command_base import Options

_EVERY = 0.01
WORTH_TELLING = 0.005


async def main(config: Path) -> None:
    """Run the bot until it is told to stop."""
    with (config.parent / "lag").open("a", buffering=1) as file:
        loop = asyncio.get_running_loop()
        due = loop.time()

        def look() -> None:
            nonlocal due
            late = time.monotonic() - due
            if late > WORTH_TELLING:
                file.write(f"{due:.3f} {late:.4f}\n")
            due = loop.time() + _EVERY
            loop.call_at(due, look)

        loop.call_soon(look)
        await bot.run(Options(config).settings())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[2])))
