"""`make demo` and `make test` on one bare machine as one user: see `Trial`."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bare.machine import Machine
from tests.bare.results import Results
from tests.bare.wheels import wheels
from tests.lab import debian

_DEMO_WITHIN = 15 * 60.0
_TESTS_WITHIN = 60 * 60.0
_SHOWN = 60


@dataclass(frozen=True)
class Ended:
    """How a command ended: well or not, and what it printed."""

    good: bool
    text: str


@dataclass(frozen=True)
class Trial:
    """One machine and one user. `least` is how many tests have to pass; `options` are for pytest."""

    repository: Path
    suite: str
    user: str
    options: str = ""
    least: int = 0

    @property
    def log(self) -> Path:
        """The file that holds everything that was printed."""
        return self.repository / "build" / "bare" / f"{self.suite}-{self.user}.log"

    def run(self, say: Callable[[str], None]) -> bool:
        """Make the machine, run both there, and say how it went; return whether all is well."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        debian.cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="bare-", dir=debian.cache()) as folder:
            root = Path(folder)
            root.chmod(0o755)
            machine = Machine.make(self.suite, root)
            machine.clone(self.repository, self.user)
            demo = self._call(machine, "make demo", _DEMO_WITHIN)
            tests = self._call(machine, f"make test ARGS={shlex.quote(self.options)}", _TESTS_WITHIN)
        self.log.write_text(demo.text + tests.text)
        results = Results.read(tests.text)
        outcome = "ok" if demo.good else "failed"
        say(f"bare: debian={machine.debian} python={machine.python} user={self.user} demo={outcome} {results}")
        for reason, count in results.reasons.most_common():
            say(f"bare:   {count} skipped: {reason}")
        return self._judge(demo, tests, results, say)

    def _call(self, machine: Machine, command: str, within: float) -> Ended:
        folder = wheels(self.repository / "requirements-dev.lock", machine.python)
        with self.log.open("w") as log:
            try:
                code = machine.call(self.user, command, wheels=folder, log=log, within=within)
            except subprocess.TimeoutExpired:
                log.write(f"\n{command}: did not end within {within / 60:g} minutes\n")
                code = -1
        return Ended(code == 0, self.log.read_text(errors="replace"))

    def _judge(self, demo: Ended, tests: Ended, results: Results, say: Callable[[str], None]) -> bool:
        problems = results.problems(self.least)
        if not tests.good and not results.failed:
            problems.append("make test did not end well")
        if not demo.good:
            problems.append("make demo did not end well")
        if problems:
            say("\n".join((demo if demo.good < tests.good else tests).text.splitlines()[-_SHOWN:]))
            say(f"bare: {'; '.join(problems)}: see {self.log}")
        return not problems
