"""Programs that the tests start, and kill: `python -m tests.store.children hold|nothing|serve …`."""

from __future__ import annotations

import asyncio
import itertools
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from deploybot.card import Card
from deploybot.errors import StoreError, UserError
from deploybot.ports import Tables
from deploybot.store.database import Database
from deploybot.store.database_connection import Way
from deploybot.store.single_bot import single_bot
from tests.store.examples import CONSOLE, NOW, ann, eventually, plan, step_row


def hold(data: str, kind: str = "") -> int:
    """Hold the data folder until killed."""
    try:
        with single_bot(Path(data), temporary=kind == "temporary"):
            print("held", flush=True)  # noqa: T201 - the parent waits for it
            sys.stdin.read()
    except UserError as error:
        print(error)  # noqa: T201 - the parent reads it
        return 1
    return 0


def marked(tables: Tables, mark: str) -> None:
    """One write of everything that a step of a deployment writes; it is whole or not there."""
    made = tables.deployments.add(plan(), requester=ann(tables), reason=mark, channel=CONSOLE, now=NOW)
    tables.deployments.begin(step_row(made.number, job=mark))
    tables.outbox.put(CONSOLE, Card(title=mark, key=f"deployment:{made.number}"), NOW)
    tables.audit.append(actor="ann", action="deploy", subject=mark, now=NOW)


async def _write_for_ever(path: Path, name: str, journal: str) -> None:
    """Keep four writers busy; each tells what is kept, as soon as it is told so itself."""
    numbers = itertools.count()

    async def writer(store: Database) -> None:
        for number in numbers:
            mark = f"{name}-{number}"
            await store.write(lambda tables, mark=mark: marked(tables, mark))  # type: ignore[misc]
            os.write(1, mark.encode() + b"\n")

    async with Database(path, way=Way(journal=journal)) as store:
        await asyncio.gather(*(writer(store) for _ in range(4)))


def serve(path: str, journal: str) -> int:
    """For each name on stdin, fork a child that writes for ever and acknowledges on stdout; tell its id."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(_write_for_ever(Path(path), line.strip(), journal))
        os.write(2, b"%d\n" % child)
        os.waitpid(child, 0)
        os.write(2, b"ended\n")
    return 0


async def _write_to_the_limit(path: Path) -> int:
    async with Database(path) as store:
        kept, limit = 0, 400_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        while store.healthy:
            try:
                await store.write(lambda tables, mark=f"limit-{kept}": marked(tables, mark))  # type: ignore[misc]
                kept += 1
            except StoreError as error:
                print(f"{kept}\n{error}")  # noqa: T201 - the parent reads it
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await eventually(lambda: store.healthy)
        await store.write(lambda tables: marked(tables, "after"))
        print(len(await store.read(lambda tables: tables.deployments.open())))  # noqa: T201 - same
    return 0


def limited(path: str) -> int:
    """Write until a file may grow no further, then let it."""
    return asyncio.run(_write_to_the_limit(Path(path)))


if __name__ == "__main__":
    programs: dict[str, Callable[..., int]] = {
        "hold": hold,
        "limited": limited,
        "serve": serve,
    }
    sys.exit(programs[sys.argv[1]](*sys.argv[2:]))
