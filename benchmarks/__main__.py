"""`python -m benchmarks [deploy] [rollouts] [logs] [status] [start] [chats] [webhooks] [storms]`: print the table.

It exits with 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import compileall
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmarks import chats, deploying, logs, rollouts, starting, status, storms, webhooks
from benchmarks.ground import Ground
from benchmarks.table import Row, markdown, seconds
from tests.lab import Lab
from tests.lab.parts import missing

Rows = Callable[[Ground], Iterator[Row]]

ROWS: Mapping[str, Rows] = {
    "deploy": deploying.rows,
    "rollouts": rollouts.rows,
    "logs": logs.rows,
    "status": status.rows,
    "start": starting.rows,
    "chats": chats.rows,
    "webhooks": webhooks.rows,
    "storms": storms.rows,
}


def main() -> int:
    """Measure what was asked for, or everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], help="what to measure; left out: everything")
    chosen = parser.parse_args().rows or [*ROWS]
    if lack := missing():
        print(lack, file=sys.stderr)
        return 2
    _compiled()
    began = time.monotonic()
    found = [row for name in chosen for row in _measured(name)]
    print(markdown(found))
    print(f"\n{_machine()}. Measured in {seconds(time.monotonic() - began)}.")
    return 0 if all(row.met is not False for row in found) else 1


def _compiled() -> None:
    """Have bytecode as an installed bot has: compiling takes a third of a start, and memory."""
    for package in ("deploybot", "commands"):
        compileall.compile_dir(Path(__file__).parents[1] / package, quiet=1)


def _measured(name: str) -> list[Row]:
    """The rows of one module, on a laboratory of their own."""
    print(f"measuring {name} …", file=sys.stderr, flush=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="deploybot-bench-")))
        ground = Ground(stack.enter_context(Lab()), folder, stack)
        return list(ROWS[name](ground))


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
