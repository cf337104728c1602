"""The headline of a failed step: what the tools that people use print last, and what of it is the cause."""

from __future__ import annotations

import pytest

from deploybot.errors import StepFailed, sentence
from deploybot.failure_cause import LONGEST, cause_of

_BUILDKIT = """\
------
 > [build 4/5] RUN npm run build:
0.512 sh: vite: not found
------
Dockerfile:5
--------------------
   3 |     COPY . .
   4 |     RUN npm ci
   5 | >>> RUN npm run build
   6 |
--------------------
ERROR: failed to solve: process "/bin/sh -c npm run build" did not complete successfully: exit code: 127
"""
_NPM = """\
src/app.ts(3,1): error TS2304: Cannot find name 'x'.
npm ERR! code ELIFECYCLE
npm ERR! A complete log of this run can be found in:
npm ERR!     /srv/.npm/_logs/2026-11-28T23_00_00_000Z-debug.log
"""


CONNECTIVITY = f"driver failed programming external connectivity on endpoint shop-web-1 ({'3' * 64})"


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        ("", ""),
        ("\n  \n", ""),
        ("migrating\nno such table: users\n", "no such table: users"),
        (
            "Error response from daemon: driver failed: port is already allocated",
            "driver failed: port is already allocated",
        ),
        (
            f"Error response from daemon: {CONNECTIVITY}: Bind for 0.0.0.0:8001 failed: port is already allocated",
            "Bind for 0.0.0.0:8001 failed: port is already allocated",
        ),
        ("fatal: no space left on device\n", "no space left on device"),
        ("\x1b[31;1mERROR:\x1b[0m \x1b]0;title\x07no such service: web\n", "no such service: web"),
        ("2026-11-28T23:00:00.123Z ERROR: broken pipe\n", "broken pipe"),
        ("[2026-11-28 23:00:00,123] broken\n", "broken"),
        ("web-1  | sqlite3.OperationalError: no such table: users\n", "sqlite3.OperationalError: no such table: users"),
        (" 10%\r 50%\r100% refused\r\n", "100% refused"),
        ("3.5 GB are missing\n", "3.5 GB are missing"),
        ("cc: no input files\nmake[1]: *** [Makefile:3: app] Error 1\nmake: *** [all] Error 2\n", "cc: no input files"),
        ("cannot bind\nexit status 1\n", "cannot bind"),
        ("Process exited with code 1\n", "Process exited with code 1"),
        (_BUILDKIT, "sh: vite: not found"),
        (_NPM, "src/app.ts(3,1): error TS2304: Cannot find name 'x'"),
    ],
)
def test_the_cause_is_the_last_line_that_says_something(log: str, cause: str | None) -> None:
    assert cause_of(log.splitlines()) == (log if cause is None else cause)


@pytest.mark.parametrize(
    "line",
    [
        "failed to solve: failed to read dockerfile: stat /var/lib/docker/overlay2/bhk8ll: no such file or directory",
        "failed to solve: failed to prepare sha256:1: open /data/overlay2/9/committed: no such file or directory",
        "failed to solve: failed to mount lhzivm: snapshot lhzivm does not exist: not found",
        "failed to solve: failed to prepare sha256:2 as u464: parent snapshot sha256:2 does not exist: not found",
        "failed to get layer sha256:3: layer does not exist",
    ],
)
def test_a_damaged_build_cache_is_to_be_emptied(line: str) -> None:
    """Lines of public reports. The end of the headline may be cut before it says so."""
    problem = StepFailed("web1", "build", 17, ("------", line))
    assert problem.advice == (
        "Docker's build cache on web1 is damaged: empty it there "
        "(docker builder prune --all --force) and try again. "
        "If that does not help, stop Docker, delete its folder buildkit (/var/lib/docker/buildkit), and start it."
    )


@pytest.mark.parametrize(
    "line",
    [
        "failed to read dockerfile: open /var/lib/docker/tmp/buildkit-mount3/Dockerfile: no such file or directory",
        'failed to compute cache key: "/app.py": not found',
        "failed to " * 500,
    ],
)
def test_a_missing_file_of_the_repository_is_not_advised_about(line: str) -> None:
    assert StepFailed("web1", "build", 17, (line,)).advice == ""


def test_a_long_line_is_cut() -> None:
    assert cause_of(["x" * 10_000]) == "x" * (LONGEST - 1) + "…"


def test_no_line_takes_long() -> None:
    for part in ("\x1b", "error: ", "1 ", "a.", "failed ", "- |", "[2026-"):
        assert len(cause_of([part * 20_000])) <= LONGEST


def test_the_headline_names_step_server_cause_and_code() -> None:
    problem = StepFailed("web1", "up", 1, ("migrating", "no such table: users"))
    assert sentence(problem) == "Step `up` failed on web1: no such table: users (exit code 1)."
    assert sentence(StepFailed("web1", "up", 1)) == "Step `up` failed on web1 with exit code 1."
