"""The laboratory's git repositories are real."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab import LabError

if TYPE_CHECKING:
    from tests.conftest import MakeRepo


class TestRepo:
    def test_the_same_calls_make_the_same_commits(self, make_repo: MakeRepo) -> None:
        one, two = (make_repo(name) for name in ("one", "two"))
        shas = [repo.commit({"a": "1", "run": "#!/bin/sh\n"}, "First", author="Bo <bo@x.org>") for repo in (one, two)]
        assert shas[0] == shas[1] == one.sha("main")
        assert one.git("log", "-1", "--format=%an|%s").strip() == "Bo|First"
        assert one.git("ls-tree", "main", "run").startswith("100755")

    def test_branches_tags_and_removed_files(self, make_repo: MakeRepo) -> None:
        repo = make_repo()
        first = repo.commit({"dir/a b": "ü", "b": "2"})
        second = repo.commit({"b": None})
        assert repo.branch("old", first) == first
        assert repo.tag("v1", first) == repo.tag("v1.0", first, message="One") == first
        assert repo.git("ls-tree", "-r", "-z", "--name-only", second) == "dir/a b\0"
        assert repo.git("show", "main:dir/a b") == "ü"
        fork = repo.commit({"c": "3"}, branch="old")
        assert repo.sha(f"{fork}^") == first
        assert repo.branch("main", first) == first
        repo.delete("refs/heads/old")
        with pytest.raises(LabError):
            repo.sha("old")

    def test_it_can_be_cloned(self, make_repo: MakeRepo, tmp_path: Path) -> None:
        repo = make_repo()
        repo.commit({"a": "1"})
        subprocess.run(["git", "clone", "--quiet", repo.url, tmp_path / "clone"], check=True)
        assert (tmp_path / "clone/a").read_text() == "1"
