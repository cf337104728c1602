"""The scripts as files: which there are, that both shells take them, and rules that keep values from being run."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from deploybot.domain import Release, ServerFacts
from deploybot.strategies import STRATEGIES
from tests.strategies.conftest import SCRIPTS, make_app, site_of

BUSYBOX_ASH = pytest.param(("busybox", "ash"), marks=pytest.mark.needs("busybox"))
FILES = sorted(SCRIPTS.glob("*.sh"))


@pytest.mark.parametrize("shell", [("dash",), BUSYBOX_ASH], ids=["dash", "busybox"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_both_shells_take_it(path: Path, shell: tuple[str, ...]) -> None:
    done = subprocess.run([*shell, "-n", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_rules(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("#!/bin/sh\n# ")
    assert "\nset -eu\n" in text
    code = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert not [line for line in code if re.search(r"\beval\b|(^|[^<])<<[^<]|^\s*(source|\.)\s", line)]
    # The only text that is run is a command of bot.toml.
    run = [line.strip() for line in code if re.search(r"\bsh -c\b", line)]
    assert all(re.search(r'sh -c "\$DEPLOYBOT_(COMMAND|HEALTH)"', line) for line in run)
    assert not [line for line in text.splitlines() if len(line) > 120]


def test_a_build_has_no_attestations(tmp_path: Path) -> None:
    # They would give an unchanged image a new id, and its containers would be recreated each time.
    docker, seen = tmp_path / "docker", tmp_path / "seen"
    docker.write_text(f"#!/bin/sh\nenv >'{seen}'\n")
    docker.chmod(0o755)
    (tmp_path / "releases" / "r1").mkdir(parents=True)
    values = dict.fromkeys(("NAMES", "PULL", "PINNED", "TAGS"), "") | {"DIRECTORY": str(tmp_path), "RELEASE": "r1"}
    values |= {"COMPOSE": "docker compose", "COMPOSE_FILES": "compose.yaml", "BUILD": "web"}
    subprocess.run(
        ["sh", SCRIPTS / "compose_build.sh"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"} | {f"DEPLOYBOT_{name}": one for name, one in values.items()},
        check=True,
    )
    assert "BUILDX_NO_DEFAULT_ATTESTATIONS=1" in seen.read_text().splitlines()


@pytest.mark.parametrize("name", ["files", "script"])
def test_every_step_has_its_script(name: str) -> None:
    commits = [Release.of_commit(digit * 40) for digit in "abc"]
    known = tuple(release.id for release in commits[:2])
    facts = ServerFacts(home="/", git=True, current=commits[0].id, releases=known)
    build = {"build": "make"} if name == "files" else {}
    app = make_app(name, restart="reload", tasks={"t": "true"}, **build)
    site, strategy = site_of(app, facts, *commits[:2]), STRATEGIES[name]
    plan = strategy.deploy(site, commits[2], commits[0])
    more = (
        strategy.fetch(site, commits[2], again=False),
        *strategy.restart(site, commits[0]).steps,
        *strategy.task(site, commits[0], "t").steps,
        *strategy.prune(site, (commits[2].id,)),
    )
    assert len(more) == 4
    steps = (*plan.steps, *plan.restore, *more)
    assert {step.script for step in steps} <= {path.stem for path in FILES}
    assert [step.switches for step in plan.steps] == sorted(step.switches for step in plan.steps)
    assert plan.steps[-1].switches
    assert strategy.ask(site, commits[2]) is None
