"""`python -m tests.bare`: a line of figures a run; exit code 1 unless all is well.

On each machine `make demo` and `make test` run as an ordinary user and as root, in a clone of the current commit.
"""

from __future__ import annotations

import argparse
import sys
from itertools import product
from pathlib import Path

from tests.bare.machine import USER
from tests.bare.trial import Trial
from tests.lab.parts import missing
from tests.lab.run import run

ROOT = Path(__file__).parents[2]
SUITES = ("bookworm", "trixie")
USERS = {"user": USER, "root": "root"}
LEAST = 3000
"""So many tests need nothing but Python and git."""
_NEEDS = ("root", "debootstrap", "tar", "ip", "unshare", "chroot", "git")


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bare", description="Runs demo and tests on bare machines.")
    parser.add_argument("--suite", choices=SUITES, help="only this Debian (both)")
    parser.add_argument("--as", dest="user", choices=USERS, help="only as this user (both)")
    parser.add_argument("--options", default="", help="for pytest; with any, it does not count how many tests pass")
    wanted = parser.parse_args()
    if lack := missing(*_NEEDS):
        sys.stderr.write(f"{lack}\n")
        return 2
    if run("git", "status", "--porcelain", cwd=ROOT):
        _say("bare: the last commit runs; changes since then are left out")
    least = 0 if wanted.options else LEAST
    suites = [wanted.suite] if wanted.suite else SUITES
    users = [wanted.user] if wanted.user else USERS
    good = [Trial(ROOT, suite, USERS[user], wanted.options, least).run(_say) for suite, user in product(suites, users)]
    return 0 if all(good) else 1


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - what it is for


if __name__ == "__main__":
    sys.exit(main())
