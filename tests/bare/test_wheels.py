"""What a version of Python installs from a lock file."""

from __future__ import annotations

from pathlib import Path

from tests.bare.wheels import wanted_by

LOCK = """\
# made by a tool
both==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via other
new-only==2.0 ; python_full_version == '3.13.*' \\
    --hash=sha256:cc
old-only==3.0 ; python_version < '3.13' and sys_platform == 'linux' \\
    --hash=sha256:dd
windows==4.0 ; sys_platform == 'win32' \\
    --hash=sha256:ee
"""


def names(text: str) -> list[str]:
    return [line.partition("==")[0] for line in text.splitlines() if "==" in line]


def test_markers_are_those_of_the_version_that_is_asked_for() -> None:
    assert names(wanted_by(LOCK, "3.11")) == ["both", "old-only"]
    assert names(wanted_by(LOCK, "3.13")) == ["both", "new-only"]
    assert "new-only==2.0 \\\n    --hash=sha256:cc\n" in wanted_by(LOCK, "3.13")


def test_nothing_of_the_real_lock_file_is_lost() -> None:
    lock = (Path(__file__).parents[2] / "requirements-dev.lock").read_text()
    wanted = {*names(wanted_by(lock, "3.11")), *names(wanted_by(lock, "3.13"))}
    assert len(wanted) > 90
    assert {*names(lock)} - wanted <= {"colorama", "pywin32"}  # of Windows
