"""Names that the bot uses, or used: what a repository ships under them is just a file, a folder, a link."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.domain import Release, ServerFacts
from deploybot.ssh.probe_facts import parse
from deploybot.ssh.remote_shell import program
from deploybot.strategies import STRATEGIES
from tests.lab import LinkTo, Repo
from tests.strategies.conftest import LocalServer, MakeServer, make_app

OTHER = "0123456789" * 4
IMAGE = "sha256:" + "f" * 64
PINS = f"""# Made by deploybot: the images of this release.
services:
  "web":
    image: "evil/image:latest"
    labels:
      deploybot.release: "{OTHER}"
      deploybot.image: "{IMAGE}"
    pull_policy: never
"""
NAMES: Mapping[str, str] = {
    # The version before kept these in the folder of a release.
    ".deploybot-complete": "",
    ".deploybot-release": "",
    ".deploybot-good": "",
    ".deploybot-compose": "evil.yaml\ndeploybot.images.yaml\n",
    ".deploybot-code": "0\n",
    ".deploybot-up": "exited (0)\n",
    "deploybot.images.yaml": PINS,
    "deploybot.images.yaml.tmp": PINS,
    "deploybot.images.before.yaml": PINS,
    # These lie in the app's own directory.
    "current": OTHER,
    "current.tmp": OTHER,
    "switching": OTHER + "\n",
    "switching.tmp": OTHER + "\n",
    "shared": "x",
    "releases": "x",
    "repo.git": "ref: refs/heads/main\n",
    "incoming": "x",
    ".deploybot": "x",
    # And these in `.deploybot`.
    ".deploybot/switching": OTHER + "\n",
    ".deploybot/layout": "1\n",
    ".deploybot/mounts": "x",
    f".deploybot/releases/{OTHER}": "x",
    f".deploybot/releases/{OTHER}/fetched": "",
    f".deploybot/releases/{OTHER}/complete": "",
    f".deploybot/releases/{OTHER}/good": "",
    f".deploybot/releases/{OTHER}/files": "evil.yaml\n",
    f".deploybot/releases/{OTHER}/names.json": "{}",
    f".deploybot/releases/{OTHER}/override.json": "{}",
    f".deploybot/releases/{OTHER}/override.yaml": PINS,
    f"releases/{OTHER}/.deploybot-complete": "",
    f"releases/{OTHER}/.deploybot-release": "",
}
BUILD = 'echo built >built; echo "files=${COMPOSE_FILE-unset}"'


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    return make_repo("shop")


@pytest.fixture
def targets(tmp_path: Path) -> Path:
    """What shipped links lead to: a file, a folder and nothing."""
    folder = tmp_path / "targets"
    (folder / "folder").mkdir(parents=True)
    for name in ("file", "folder/inner"):
        (folder / name).write_text("precious")
    return folder


def trees(targets: Path) -> Iterator[tuple[str, int, dict[str, str | None]]]:
    """Every name as each kind, and how many at once: names that contain one another are in different trees."""
    kinds: dict[str, Callable[[str, str], dict[str, str | None]]] = {
        "file": lambda name, text: {name: text},
        "folder": lambda name, text: {f"{name}/inner": text, f"{name}/complete": ""},
        "link to a file": lambda name, _: {name: LinkTo(str(targets / "file"))},
        "link to a folder": lambda name, _: {name: LinkTo(str(targets / "folder"))},
        "link to nothing": lambda name, _: {name: LinkTo(str(targets / "nothing"))},
    }
    for kind, make in kinds.items():
        left = dict(NAMES)
        while left:
            together: dict[str, str | None] = {}
            count = len(left)
            for name in list(left):
                if not any(f"{name}/".startswith(f"{one}/") or one.startswith(f"{name}/") for one in together):
                    together |= make(name, left.pop(name))
            yield kind, count - len(left), together


def probed(server: LocalServer) -> ServerFacts:
    """What the bot's own probe says of the app's directory."""
    probe = program("probe", {"PROBE_DIRECTORY": str(server.directory), "PROBE_DOCKER": "no", "PROBE_DOCKER_ROOT": ""})
    done = subprocess.run([*server.shell, "-s", "deploybot"], input=probe, capture_output=True, check=True, timeout=60)
    facts = parse(done.stdout, server="web1", directory=str(server.directory))
    assert facts is not None, done.stderr
    return facts


def content(root: Path) -> dict[str, str]:
    """Everything in a folder: the text of files, where links lead."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink():
                found[str(path.relative_to(root))] = f"-> {path.readlink()}"
            elif path.is_file():
                found[str(path.relative_to(root))] = path.read_text()
    return found


def shipped(tree: Mapping[str, str | None]) -> dict[str, str]:
    return {name: f"-> {text}" if isinstance(text, LinkTo) else str(text) for name, text in tree.items()}


def believed(server: LocalServer, repo: Repo, branch: str, tree: Mapping[str, str | None]) -> Iterator[str]:
    """Deploy a tree twice, and say where one of its names counted for more than a file."""
    commit = repo.sha(branch)
    expected = {**shipped(tree), "page": "two", "built": "built\n"}
    for time in ("first", "again"):
        plan = server.plan(branch)
        said = server.run(plan.steps)
        if ("files=unset" in said) != (time == "first"):
            yield f"{time}: the build did not run as it should: {said}"
        if content(server.current()) != expected:
            yield f"{time}: the release is not what the repository has"
        server.good.add(commit)
    facts = probed(server)
    if (facts.current, facts.switching, set(facts.releases)) != (commit, "", server.good):
        yield f"the probe believes {facts}"
    files = STRATEGIES["files"]
    task = files.task(server.site(), Release.of_commit(commit), "show")
    if server.run(task.steps) != "unset\n":
        yield "a task got a Compose file"
    server.run(server.plan(branch).restore)
    server.run(files.prune(replace(server.site(), facts=replace(facts, releases=(*facts.releases, OTHER))), (commit,)))
    server.good = {commit}
    if content(server.current()) != expected:
        yield "restore or clean-up changed the release"


def test_shipped_names_are_just_files(make_server: MakeServer, repo: Repo, targets: Path) -> None:
    task = 'echo "${COMPOSE_FILE-unset}"'
    server = make_server(make_app("files", repo=repo.url, build=BUILD, output="built", tasks={"show": task}))
    before = content(targets)
    wrong: list[str] = []
    count = 0
    for number, (kind, names, tree) in enumerate(trees(targets)):
        branch = f"tree-{number}"
        repo.commit({**tree, "page": "two"}, branch=branch)
        count += names
        wrong += [f"{kind}: {one}" for one in believed(server, repo, branch, tree)]
        if content(targets) != before:
            wrong.append(f"{kind}: what a link leads to was changed")
    print(f"names believed: {len(wrong)} of {count}")  # noqa: T201  the figure that is asked for
    assert count == 5 * len(NAMES)
    assert wrong == []
