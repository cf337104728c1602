"""What deployments by themselves ask of a repository: heads, messages, touched paths, what comes before what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploybot.domain import Heads
from deploybot.errors import Unreachable, UserError
from deploybot.settings import App
from deploybot.sources.git_source import GitSource
from tests.lab import Repo
from tests.sources.conftest import Watched

MakeApp = Callable[..., App]


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    return make_repo("shop")


@pytest.fixture
def app(make_app: MakeApp, repo: Repo) -> App:
    return make_app(repo.url)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(tmp_path / "watched", monkeypatch)


async def test_heads_are_one_question_and_nothing_is_fetched(
    source: GitSource, app: App, repo: Repo, watched: Watched
) -> None:
    first = repo.commit({"a": "1"}, "Begin")
    repo.tag("v1", message="The first one")
    repo.branch("release/1")
    second = repo.commit({"a": "2"}, "Go on")
    assert await source.heads(app) == Heads({"main": second, "release/1": first}, {"v1": first})
    assert (watched.count("ls-remote"), watched.count("fetch")) == (1, 0)


async def test_an_empty_repository_has_no_heads(source: GitSource, app: App) -> None:
    assert await source.heads(app) == Heads()


async def test_a_repository_that_is_gone_is_unreachable(source: GitSource, make_app: MakeApp) -> None:
    with pytest.raises(Unreachable, match="the repository was not found there"):
        await source.heads(make_app("/nowhere/shop.git"))


async def test_the_whole_message_is_read(source: GitSource, app: App, repo: Repo) -> None:
    commit = repo.commit({"a": "1"}, "Begin\n\nWith a body. [skip deploy]\n")
    assert await source.message(app, commit) == "Begin\n\nWith a body. [skip deploy]"
    with pytest.raises(UserError, match="There is no commit"):
        await source.message(app, "f" * 40)
    with pytest.raises(UserError, match="is not a full commit"):
        await source.message(app, "--all")


async def test_touched_paths_by_the_patterns_of_warn_paths(source: GitSource, app: App, repo: Repo) -> None:
    first = repo.commit({"shop/a.py": "1", "blog/a.py": "1", "README.md": "1"})
    second = repo.commit({"blog/a.py": "2", "shop/deep/b.py": "2"})
    third = repo.commit({"shop/deep/b.py": None})
    assert await source.touched(app, first, second, ["shop/**"]) == ("shop/deep/b.py",)
    assert await source.touched(app, first, second, ["*.md", "docs/**"]) == ()
    assert await source.touched(app, second, third, ["shop"]) == ("shop/deep/b.py",)
    assert await source.touched(app, first, third, ["shop/**"]) == ()
    assert await source.touched(app, "f" * 40, third, ["shop/**"]) is None


async def test_what_comes_before_what(source: GitSource, app: App, repo: Repo) -> None:
    first = repo.commit({"a": "1"})
    second = repo.commit({"a": "2"})
    repo.branch("side", first)
    side = repo.commit({"b": "1"}, branch="side")
    pairs = {(first, second): True, (second, first): False, (first, first): True, (second, side): False}
    for (old, new), expected in pairs.items():
        assert await source.is_ancestor(app, old, new) is expected
    assert await source.is_ancestor(app, "f" * 40, second) is None


async def test_a_commit_that_was_pushed_over_still_has_its_place(source: GitSource, app: App, repo: Repo) -> None:
    first = repo.commit({"a": "1"})
    second = repo.commit({"a": "2"})
    await source.resolve(app, "main")
    repo.branch("main", first)
    assert await source.is_ancestor(app, first, second) is True
