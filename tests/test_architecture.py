"""docs/architecture.md and CONTRIBUTING.md against the tree: what they name is there, and what is there they name."""

from __future__ import annotations

import configparser
import itertools
import re
from pathlib import Path

import pytest

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
    told = re.sub(r"^\| (.*?) \|", "", text, flags=re.MULTILINE)  # what the design said is not there any more
    named = set(re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?)`", told)) | set(re.findall(r"`(\w+\.(?:py|sh))`", told))
    files = {path.relative_to(ROOT).as_posix() for top in (PACKAGE, ROOT / "tests") for path in top.rglob("*")}
    places = {"/".join(file.split("/")[at:]) for file in files for at in range(file.count("/") + 1)}
    looked_for = [one for one in named if not any(word in one for word in PLACEHOLDERS)]
    gone = [one for one in looked_for if one.rstrip("/") not in places and not (ROOT / one).exists()]
    assert len(named) > len(gone) == 0, gone
