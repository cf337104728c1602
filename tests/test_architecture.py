"""The tree is as docs/architecture.md and CONTRIBUTING.md say; only cards and strategies look into a release."""

from __future__ import annotations

import ast
import configparser
import itertools
import re
from pathlib import Path
from typing import get_args

import pytest

from deploybot.domain import ArtifactSource, CommitSource, CommitWithImages, ImagesSource, Release, ReleaseSource

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "deploybot"
ANYWHERE = {"memory_tuning", "testing"}  # layers nothing, or all
PLACEHOLDERS = ("NAME", "KIND", "APP")


def rooms() -> list[str]:
    """Modules in the order in which the list of rooms names them."""
    text = (ROOT / "docs/architecture.md").read_text()
    listed = re.search(r"^deploybot/\n(.*?)^tests/", text, re.DOTALL | re.MULTILINE)
    assert listed is not None
    heads = re.findall(r"^  (\S.*?)  ", listed[1], re.MULTILINE)
    names = [name.removesuffix("/").removesuffix(".py") for head in heads for name in head.split(", ")]
    return [name for name in names if name != "__init__"]


def layers() -> list[set[str]]:
    """The layers of the contract, the highest first."""
    contract = configparser.ConfigParser()
    contract.read(ROOT / ".importlinter")
    rows = contract["importlinter:contract:layers"]["layers"].split("\n")
    found = [{one.strip().removeprefix("deploybot.") for one in row.split("|")} for row in rows if row.strip()]
    return [row - {"__main__"} for row in found]


def test_every_room_is_listed_once() -> None:
    inside = {one.stem for one in PACKAGE.iterdir() if one.is_dir() or one.suffix == ".py"}
    listed = rooms()
    assert sorted(listed) == sorted(inside - {"__init__", "__main__", "__pycache__", "py"})


def test_the_list_goes_the_way_of_imports() -> None:
    depth = {name: at for at, row in enumerate(layers()) for name in row if name not in ANYWHERE}
    listed = [name for name in rooms() if name not in ANYWHERE]
    assert depth.keys() == {*listed}
    below = [(one, other) for one, other in itertools.pairwise(listed) if depth[one] > depth[other]]
    assert below == [], "listed above what may not import it"


@pytest.mark.parametrize("document", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_what_documents_name_is_there(document: str) -> None:
    text = (ROOT / document).read_text()
    checked = re.sub(r"^\| (.*?) \|", "", text, flags=re.MULTILINE)  # what the design had is not there any more
    named = set(re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?)`", checked)) | set(re.findall(r"`(\w+\.(?:py|sh))`", checked))
    files = {path.relative_to(ROOT).as_posix() for top in (PACKAGE, ROOT / "tests") for path in top.rglob("*")}
    places = {"/".join(file.split("/")[at:]) for file in files for at in range(file.count("/") + 1)}
    looked_for = [one for one in named if not any(word in one for word in PLACEHOLDERS)]
    gone = [one for one in looked_for if one.rstrip("/") not in places and not (ROOT / one).exists()]
    assert len(named) > len(gone) == 0, gone


SOURCE_TYPES = {"CommitSource", "CommitWithImages", "ImagesSource", "ArtifactSource", "ReleaseSource", "source_of_id"}
MAY_LOOK_INTO_A_SOURCE = ("domain/", "sources/", "strategies/", "ports/strategy_port.py")
OTHER_SOURCES = {
    "applogs/log_reader.py": {"tail"},  # a log
    "applogs/log_tail.py": {"self"},
    "autodeploy/commit_order.py": {"trigger"},
    "autodeploy/detector.py": {"current", "trigger"},  # a trigger: where it was found
    "autodeploy/first_look.py": {"moved"},
    "autodeploy/outdated_triggers.py": {"by", "current", "trigger"},
    "autodeploy/pending_deployments.py": {"trigger"},
    "autodeploy/trigger_records.py": {"trigger"},
    "autodeploy/watched_sources.py": {"one"},
    "autodeploy/weighed_changes.py": {"one"},
    "cli/hooks_command.py": {"address.secret"},  # a secret
    "cli/server_discovery.py": {"mount"},  # a folder of a server
    "command_loader.py": {"found[command.name]"},  # a file of a command
    "config/repository_rules.py": {"app.compose", "compose"},  # how images are made
    "deployments/originators.py": {"trigger"},
    "deployments/release_names.py": {"trigger"},
    "settings/app_settings.py": {"self.compose"},
    "settings/setting_types.py": {"self"},
    "store/trigger_rows.py": {"kept", "trigger"},
}
"""Everything else that is called `source`, by module: the expressions that have one and are no release."""


def is_card(path: str) -> bool:
    """Cards show what a release is made of."""
    return path.startswith(("deployments/", "notifications/")) and "card" in path.rpartition("/")[2]


def looks_into_sources(path: str, text: str) -> set[str]:
    """What a module does that only a part which knows the kinds of releases may do."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names} & SOURCE_TYPES
        if isinstance(node, ast.Attribute) and node.attr in SOURCE_TYPES:
            found.add(node.attr)
        if isinstance(node, ast.Attribute) and node.attr == "source":
            owner = ast.unparse(node.value)
            found |= {f"{owner}.source"} if owner not in OTHER_SOURCES.get(path, set()) else set()
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in {
            "getattr",
            "hasattr",
            "attrgetter",
        }:
            names = {str(one.value) for one in node.args if isinstance(one, ast.Constant)}
            found |= {f"getattr {name}" for name in names & {"source", "commit"}}
    return found


def test_nobody_else_asks_what_a_release_is_made_of() -> None:
    texts = {path.relative_to(PACKAGE).as_posix(): path.read_text() for path in PACKAGE.rglob("*.py")}
    texts |= {f"commands/{path.name}": path.read_text() for path in (ROOT / "commands").glob("*.py")}
    others = [path for path in texts if not path.startswith(MAY_LOOK_INTO_A_SOURCE) and not is_card(path)]
    assert len(others) > 300
    assert {path: found for path in others if (found := looks_into_sources(path, texts[path]))} == {}
    stale = {
        f"{path}: {owner}" for path, owners in OTHER_SOURCES.items() for owner in owners
        if f"{owner}.source" not in texts[path]
    }  # fmt: skip
    assert stale == set()


def test_a_release_has_no_commit_that_all_could_ask_for() -> None:
    assert not hasattr(Release, "commit")
    assert not hasattr(Release.of_commit("a" * 40), "commit")
    mark = "0" * 64
    every = [ArtifactSource(mark), ImagesSource((), mark), CommitSource("c"), CommitWithImages("c", (), mark)]
    assert {type(one) for one in every} == {*get_args(ReleaseSource)}
    # mypy refuses an attribute that not every kind has: so none of them may be the commit's, the images' or the file's.
    shared = set.intersection(*({name for name in dir(one) if not name.startswith("_")} for one in every))
    assert shared == {"id", "words"}


@pytest.mark.parametrize(
    "text",
    [
        "def f(release):\n    return release.source",
        "def f(plan):\n    return plan.release.source.commit",
        "from deploybot.domain import CommitSource",
        "from deploybot import domain\ndef f(one):\n    return isinstance(one, domain.ImagesSource)",
        "def f(one):\n    return getattr(one, 'source')",
    ],
)
def test_each_way_to_ask_is_seen(text: str) -> None:
    assert looks_into_sources("events/x.py", text)
    assert not looks_into_sources("events/x.py", "def f(release):\n    return release.code, release.images")
    assert not looks_into_sources("autodeploy/first_look.py", "def f(moved):\n    return moved.source")
