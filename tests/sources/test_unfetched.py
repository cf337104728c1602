"""Submodules and files in Git LFS are found in a commit, and nothing of them is fetched or run."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploybot.domain.missing_content import MissingContent
from deploybot.masking import Redactor
from deploybot.settings import App
from deploybot.sources.git_source import GitSource
from tests.lab import Repo
from tests.lab.repos import LinkTo
from tests.sources.conftest import Watched

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12\n"
LFS = "filter=lfs diff=lfs merge=lfs -text"


def add_links(repo: Repo, commit: str, *paths: str) -> str:
    """Commit entries for submodules, as `git submodule add` does, and return the commit."""
    entries = "".join(f"160000 commit {commit}\t{path}\n" for path in paths if "/" not in path)
    tree = repo.git("ls-tree", "HEAD") + entries
    for path in (path for path in paths if "/" in path):
        folder, _, name = path.partition("/")
        inner = repo.git("mktree", "--missing", stdin=f"160000 commit {commit}\t{name}\n").strip()
        tree += f"040000 tree {inner}\t{folder}\n"
    made = repo.git("mktree", "--missing", stdin=tree).strip()
    new = repo.git("commit-tree", made, "-p", "HEAD", "-m", "Add submodules").strip()
    repo.git("update-ref", "refs/heads/main", new)
    return new


async def found(source: GitSource, app: App, commit: str) -> MissingContent:
    await source.resolve(app, "main")
    return await source.unfetched(app, commit)


async def test_a_plain_commit_lacks_nothing(source: GitSource, app: App, repo: Repo, watched: Watched) -> None:
    commit = repo.commit(
        {"a": POINTER, "b/.gitattributes": "*.txt text\n", ".gitmodules": '[submodule "x"]\npath = x\n'}
    )
    assert await found(source, app, commit) == MissingContent()
    assert (await source.unfetched(app, commit)).sentences == ()
    assert (watched.count("ls-tree"), watched.count("diff-tree")) == (1, 1)  # remembered


async def test_submodules_are_named_whatever_gitmodules_says(
    source: GitSource, app: App, repo: Repo, watched: Watched, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    evil = f"""
[submodule "../../../../etc"]
	path = -u./x
	url = ext::sh -c touch% {marker}
	update = !touch {marker}
[submodule "b"]
	path = ../b
	url = file:///etc
[include]
	path = /dev/zero
"""
    first = repo.commit({"a": "1", ".gitmodules": evil})
    commit = add_links(repo, first, "vendor/lib", "theme", "-x")
    missing = await found(source, app, commit)
    assert missing == MissingContent(submodules=("-x", "theme", "vendor/lib"))
    assert missing.sentences == (
        "submodules -x, theme, vendor/lib stay empty folders: the bot does not fetch submodules",
    )
    assert not marker.exists()
    assert watched.count("fetch") == 1  # the repository itself


async def test_gitmodules_may_be_a_link(source: GitSource, app: App, repo: Repo) -> None:
    first = repo.commit({"a": "1", ".gitmodules": LinkTo("/dev/zero"), ".gitattributes": LinkTo("/dev/zero")})
    missing = await found(source, app, add_links(repo, first, "lib"))
    assert missing.sentences == ("submodule lib stays an empty folder: the bot does not fetch submodules",)


async def test_files_in_git_lfs_are_found_by_their_pointers(source: GitSource, app: App, repo: Repo) -> None:
    commit = repo.commit(
        {
            ".gitattributes": f"# filter=lfs\n*.psd {LFS}\n/top/*.bin {LFS}\nno.psd -filter\n",
            "odd [1]/.gitattributes": f"*.iso {LFS}\ndeep/**/x.raw {LFS}\n",
            "a.psd": POINTER,
            "b/c/d.psd": POINTER,
            "real.psd": "not in LFS",
            "top/x.bin": POINTER,
            "other/x.bin": POINTER,
            "odd [1]/e.iso": POINTER,
            "odd [1]/deep/er/x.raw": POINTER,
            "odd 1/e.iso": POINTER,
            "e.iso": POINTER,
        }
    )
    paths = ("a.psd", "b/c/d.psd", "odd [1]/deep/er/x.raw", "odd [1]/e.iso", "top/x.bin")
    missing = await found(source, app, commit)
    assert missing == MissingContent(pointers=paths)
    assert missing.sentences == (
        "a.psd, b/c/d.psd, odd [1]/deep/er/x.raw and 2 more stay pointers: the bot does not fetch Git LFS",
    )


@pytest.mark.parametrize("rules", [f"[attr]big {LFS}\n*.psd big\n", f'"a b.psd" {LFS}\n', f"*.psd\0 {LFS}\n"])
async def test_rules_that_are_not_understood_make_it_look_everywhere(
    source: GitSource, app: App, repo: Repo, rules: str
) -> None:
    commit = repo.commit({".gitattributes": rules, "a b.psd": POINTER, "c": "1"})
    missing = await found(source, app, commit)
    assert missing.sentences == ("a b.psd stays a pointer: the bot does not fetch Git LFS",)


@pytest.mark.parametrize("pattern", ["*.p\0sd", "x" * 140_000, "y" * 70_000 + "/", "../*.psd", "*.psd x\0y"])
async def test_what_somebody_pushes_breaks_no_look(source: GitSource, app: App, repo: Repo, pattern: str) -> None:
    rules = f"{pattern} {LFS}\n"
    commit = repo.commit({".gitattributes": rules, "a.psd": POINTER})
    assert (await found(source, app, commit)).pointers == ("a.psd",)


async def test_many_patterns_together_are_too_long_for_arguments(source: GitSource, app: App, repo: Repo) -> None:
    rules = "".join(f"{number}{'x' * 1000} {LFS}\n" for number in range(100))
    commit = repo.commit({".gitattributes": rules, "a.psd": POINTER})
    assert (await found(source, app, commit)).pointers == ("a.psd",)


async def test_large_files_are_no_pointers_and_are_not_read(
    source: GitSource, app: App, repo: Repo, watched: Watched
) -> None:
    commit = repo.commit({".gitattributes": f"*.psd {LFS}\n", "a.psd": POINTER + "x" * 2**20, "b.psd": POINTER})
    assert (await found(source, app, commit)).pointers == ("b.psd",)
    assert watched.count("grep") == 0


async def test_a_commit_that_is_too_large_to_look_into_is_unknown(
    app: App, repo: Repo, watched: Watched, tmp_path: Path
) -> None:
    commit = repo.commit({"a": "1"})
    source = GitSource(tmp_path / "data", Redactor(), look_within=0.0)
    (sentence,) = (await found(source, app, commit)).sentences
    assert sentence == (
        "whether submodules or files in Git LFS are missing is unknown: "
        "the commit is too large to look into it (it did not finish within 0 s)"
    )
    count = watched.count("ls-tree")
    assert (await source.unfetched(app, commit)).sentences == (sentence,)
    assert watched.count("ls-tree") == count  # remembered for a while
