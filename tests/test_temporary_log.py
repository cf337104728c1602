"""The log of a temporary bot: private, and bounded."""

from __future__ import annotations

import logging
import stat
import subprocess
import sys
from pathlib import Path

from deploybot.wiring.temporary_bot import PrivateLog


def test_it_is_private_and_bounded(tmp_path: Path) -> None:
    handler = PrivateLog(tmp_path / "temporary.log")
    line = "x" * 50_000
    for _ in range(100):
        handler.emit(logging.makeLogRecord({"msg": line, "levelno": logging.INFO}))
    handler.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["temporary.log", "temporary.log.1"]
    assert all(file.stat().st_size <= 1 << 20 for file in files)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


_PRINTS = """
import sys
from pathlib import Path
from deploybot.wiring.temporary_bot import PrivateLog

PrivateLog(Path(sys.argv[1])).take(sys.stdout, sys.stderr)
print("said")
raise SystemExit("a last word")
"""


def test_what_is_printed_later_goes_into_it(tmp_path: Path) -> None:
    file = tmp_path / "temporary.log"
    done = subprocess.run([sys.executable, "-c", _PRINTS, file], capture_output=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == (b"", b"")
    assert sorted(file.read_text().splitlines()) == ["a last word", "said"]
