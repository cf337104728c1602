"""What changed between two commits: commits, authors, files, and paths to warn about."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deploybot.masking import Redactor
from deploybot.settings import App
from deploybot.sources.git_source import GitSource
from tests.lab import Repo
from tests.sources.conftest import MakeApp


async def test_changes(source: GitSource, app: App, repo: Repo) -> None:
    old = repo.commit({"a": "1", "b": "1"}, "Old", author="Ada <a@example.com>")
    repo.commit({"a": "2", "migrations/001/up.py": "x"}, "Second", author="Bob <b@example.com>")
    new = repo.commit({"b": None, "deep/schema.sql": "y"}, "Third")
    await source.resolve(app, "main")
    changes = await source.changes(app, old, new)
    assert changes.known
    assert [(commit.sha, commit.subject) for commit in changes.commits] == [
        (new, "Third"),
        (repo.sha("main~1"), "Second"),
    ]
    assert changes.commits[1].author == "Bob"
    assert changes.commits[0].at == 1_700_000_120.0
    assert (changes.total, changes.removed, changes.files) == (2, 0, 4)
    assert changes.warnings == ("deep/schema.sql", "migrations/001/up.py")
    back = await source.changes(app, new, old)
    assert (back.total, back.removed, back.files) == (0, 2, 4)
    assert back.warnings == changes.warnings
    same = await source.changes(app, new, new)
    assert (same.known, same.total, same.files) == (True, 0, 0)


async def test_authors_and_co_authors_of_changes(source: GitSource, app: App, repo: Repo) -> None:
    old = repo.commit({"a": "0"}, "Old", author="Old <old@example.com>")
    ada = "Ada <Ada@Example.com>"
    repo.commit({"a": "1"}, "One\n\nCo-authored-by: Bob <bob@example.com>\nCo-authored-by: no address", author=ada)
    new = repo.commit({"a": "2"}, "Two\n\nSigned-off-by: Eve <eve@example.com>", author=ada)
    await source.resolve(app, "main")
    changes = await source.changes(app, old, new)
    assert [str(one) for one in changes.authors or ()] == [ada, "Bob <bob@example.com>", "no address <>"]
    assert (await source.changes(app, new, old)).authors == ()


async def test_of_very_many_commits_the_authors_are_not_known(app: App, repo: Repo, tmp_path: Path) -> None:
    source = GitSource(tmp_path / "data", Redactor(), most_authored=1)
    old = repo.commit({"a": "0"})
    one = repo.commit({"a": "1"})
    two = repo.commit({"a": "2"})
    await source.resolve(app, "main")
    assert (await source.changes(app, old, one)).authors is not None
    assert (await source.changes(app, old, two)).authors is None


async def test_changes_are_cut_and_counted(source: GitSource, app: App, repo: Repo) -> None:
    old = repo.commit({"a": "0"})
    *_, new = (repo.commit({"a": str(number + 1), f"{number}.sql": ""}, f"Change {number}") for number in range(60))
    await source.resolve(app, "main")
    changes = await source.changes(app, old, new)
    assert (changes.total, len(changes.commits), changes.commits[0].subject) == (60, 50, "Change 59")
    assert (changes.files, len(changes.warnings)) == (61, 50)


@pytest.mark.parametrize(
    ("pattern", "hit"),
    [
        *(("migrations/**", True), ("migrations/", True), ("migrations", True), ("*.py", True), ("**/up.py", True)),
        *(("001/*", False), ("migrations/*.py", False), ("*.sql", False), (":!x", False)),
    ],
)
async def test_warn_paths(source: GitSource, make_app: MakeApp, repo: Repo, pattern: str, *, hit: bool) -> None:
    old = repo.commit({"a": "1"})
    new = repo.commit({"migrations/001/up.py": "x"})
    app = make_app(repo.url, warn_paths=[pattern])
    await source.resolve(app, "main")
    assert bool((await source.changes(app, old, new)).warnings) is hit


async def test_changes_to_what_is_nowhere_are_unknown(source: GitSource, app: App, repo: Repo) -> None:
    new = repo.commit({"a": "1"})
    await source.resolve(app, "main")
    assert not (await source.changes(app, "0" * 40, new)).known
    assert not (await source.changes(app, "", new)).known
    shutil.rmtree(repo.path)
    assert not (await source.changes(app, "0" * 40, new)).known
