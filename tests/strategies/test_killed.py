"""Steps that are killed at any moment leave nothing half-made that counts, and can be run again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.domain import ServerFacts, Step
from deploybot.masking import Redactor
from deploybot.sources.git_source import GitSource
from deploybot.strategies import STRATEGIES
from tests.kit.seeds import new_seed
from tests.lab import FullDisk, Repo
from tests.strategies.conftest import SCRIPTS, LocalServer, MakeServer, StepEnded, make_app

FILES = STRATEGIES["files"]
KILLS = int(os.environ.get("N", "10"))


@pytest.fixture
def seed() -> int:
    seed = new_seed()
    print(f"seed={seed}")  # noqa: T201  a failed test shows it
    return seed


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    repo = make_repo("shop")
    for version in ("v1", "v2"):
        repo.commit({f"folder {number}/file": f"{version} {number}" * 50 for number in range(40)})
        repo.tag(version)
    return repo


def run_and_kill(server: LocalServer, step: Step, after: float) -> None:
    """Run a step, and kill everything it started after so many seconds."""
    server.send(step)
    process = subprocess.Popen(
        [*server.shell, SCRIPTS / f"{step.script}.sh"],
        env={"PATH": server.path, "HOME": str(server.directory.parent), **dict(step.env)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(after)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def is_whole(path: Path, version: str) -> bool:
    files = [path / f"folder {number}/file" for number in range(40)]
    return all(file.read_text() == f"{version} {number}" * 50 for number, file in enumerate(files))


def test_kill_at_any_moment(make_server: MakeServer, repo: Repo, seed: int) -> None:
    dice = random.Random(seed)
    server = make_server(make_app("files", repo=repo.url))
    server.run(server.plan("v1").steps)
    old, new = repo.sha("v1"), repo.sha("v2")
    started = time.monotonic()
    server.run(server.plan("v2").steps)
    whole = time.monotonic() - started
    for _ in range(KILLS):
        server.run(server.plan("v1").steps)
        (server.directory / ".deploybot/releases" / new / "complete").unlink(missing_ok=True)
        for step in server.plan("v2").steps:
            run_and_kill(server, step, dice.uniform(0, whole))
            facts = server.facts()
            assert facts.current in {old, new}
            assert is_whole(server.current(), "v1" if facts.current == old else "v2")
            assert new not in facts.releases or is_whole(server.directory / "releases" / new, "v2")
            if new not in facts.releases:
                break
    server.run(server.plan("v2").steps)
    assert is_whole(server.current(), "v2")
    # What a kill leaves besides is deleted with the next releases that nobody needs.
    left = {path.name for path in (server.directory / "releases").iterdir()}
    assert {name.partition(".tmp-")[0] for name in left} == {old, new}
    server.run(FILES.prune(server.site(), (new,)))
    server.run(FILES.prune(replace(server.site(), facts=replace(server.facts(), releases=(old, new))), ()))
    assert {path.name for path in (server.directory / "releases").iterdir()} == {new}


def test_full_disk_leaves_room_and_what_runs(
    make_repo: Callable[..., Repo], full_disk: FullDisk, tmp_path: Path
) -> None:
    repo = make_repo("shop")
    repo.commit({"page": "small"})
    repo.tag("v1")
    repo.commit({"page": os.urandom(full_disk.size * 2 // 5).hex()})
    repo.tag("v2")
    full_disk.empty()
    app = make_app("files", repo=repo.url, directory=str(full_disk.path))
    source = GitSource(tmp_path / "data", Redactor())
    server = LocalServer(full_disk.path, source, app, ("dash",), os.environ["PATH"], facts_more=ServerFacts(home="/"))
    server.run(server.plan("v1").steps)
    with pytest.raises((StepEnded, OSError), match="No space left"):
        server.run(server.plan("v2").steps)
    assert server.facts().releases == (repo.sha("v1"),)
    assert [path.name for path in (full_disk.path / "releases").iterdir()] == [repo.sha("v1")]
    assert (full_disk.path / "current/page").read_text() == "small"
