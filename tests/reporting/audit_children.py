"""A program that tests start, and kill: `python -m tests.reporting.audit_children DATABASE FILE SOCKET`.

For each line on stdin it forks a child that adds rows to the audit and takes them out until it is killed. The child
acknowledges each row on stdout once it is committed; the parent tells the child's id, and its end, on stderr.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from deploybot.reporting.audit_sinks.audit_file import FileSink
from deploybot.reporting.audit_sinks.audit_sink import Sink
from deploybot.reporting.audit_sinks.audit_syslog import SyslogSink
from deploybot.store.database import Database
from tests.reporting.audit_scene import exporting, fill


async def export(path: Path, file: Path, receiver: Path) -> None:
    """Add rows for ever, one to three at a time, and take them out."""
    sinks: dict[str, Sink] = {"file": FileSink(file), "syslog": SyslogSink(f"unix://{receiver}")}
    async with Database(path) as store, exporting(store, sinks):
        while True:
            for row in await fill(store, 1 + os.getpid() % 3, detail="x" * 300):
                os.write(1, b"%d\n" % row.number)


def main(path: str, file: str, receiver: str) -> int:
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(export(Path(path), Path(file), Path(receiver)))
        os.write(2, b"%d\n" % child)
        os.waitpid(child, 0)
        os.write(2, b"ended\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
