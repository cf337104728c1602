"""`shared = { from = …, paths = […] }`: paths of a folder that is there already, linked into every release."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from deploybot.errors import ConfigError
from tests.lab import LinkTo, Repo
from tests.strategies.conftest import LocalServer, MakeServer, StepEnded, make_app


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The checkout that the app ran from before, with data that no release has."""
    folder = tmp_path / "home" / "me" / "my shop"
    files = {".env": "KEY=1", "data/db": "rows", "var/lib/deep/file": "deep", "odd name/a b": "blank", "-rf": "dash"}
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    return make_repo("shop")


def serve(make_server: MakeServer, repo: Repo, home: Path, *paths: str) -> LocalServer:
    return make_server(make_app("files", repo=repo.url, shared={"from": str(home), "paths": paths}))


def test_listed_paths_are_linked_and_others_are_not(make_server: MakeServer, repo: Repo, home: Path) -> None:
    repo.commit({"index.html": "one", "odd name/b c": "from git", "data/seed": "from git"})
    server = serve(make_server, repo, home, "data", ".env", "var/lib/deep", "odd name/a b")
    server.deploy("main")
    root = server.current()
    assert (root / "data").readlink() == home / "data"
    assert (root / ".env").readlink() == home / ".env"
    assert (root / "var/lib/deep").readlink() == home / "var/lib/deep"
    assert (root / "var/lib").is_dir()
    assert not (root / "var").is_symlink()
    assert {path.name: path.read_text() for path in (root / "odd name").iterdir()} == {
        "a b": "blank",
        "b c": "from git",
    }
    # The next release has the same links, and nothing was moved.
    repo.commit({"index.html": "two"})
    server.deploy("main")
    assert (server.current() / "data/db").read_text() == "rows"
    assert (home / "data/db").read_text() == "rows"
    assert not (home / "data/seed").exists()


def test_an_environment_has_its_own(make_server: MakeServer, repo: Repo, home: Path) -> None:
    repo.commit({"index.html": "one"})
    server = serve(make_server, repo, home, "data")
    (environment,) = server.app.environments.values()
    other = {"shared": type(server.app.shared).model_validate({"from": str(home), "paths": [".env"]})}  # type: ignore[union-attr]
    server.app = server.app.model_copy(
        update={"environments": {environment.name: environment.model_copy(update=other)}}
    )
    server.deploy("main")
    assert sorted(path.name for path in server.current().iterdir()) == [".env", "index.html"]


@pytest.mark.parametrize("shipped", ["link", "link above", "file", "file above", "dangling"])
def test_nothing_is_written_outside_the_release(
    make_server: MakeServer, repo: Repo, home: Path, tmp_path: Path, shipped: str
) -> None:
    outside = tmp_path / "outside"
    (outside / "lib/deep").mkdir(parents=True)
    (outside / "lib/deep/precious").write_text("keep")
    trees: Mapping[str, dict[str, str | None]] = {
        "link": {"var": LinkTo(str(outside))},
        "link above": {"var/lib": LinkTo("../../../../../outside/lib")},
        "file": {"var": "a file"},
        "file above": {"var/lib": "a file", "var/other": "kept"},
        "dangling": {"var": LinkTo(str(tmp_path / "nowhere"))},
    }
    repo.commit({"index.html": "one", **trees[shipped]})
    server = serve(make_server, repo, home, "var/lib/deep")
    server.deploy("main")
    assert (server.current() / "var/lib/deep").readlink() == home / "var/lib/deep"
    assert not (server.current() / "var").is_symlink()
    assert not (server.current() / "var/lib").is_symlink()
    assert (server.current() / "var/other").exists() == (shipped == "file above")
    assert [path for path in outside.rglob("*") if path.is_file()] == [outside / "lib/deep/precious"]
    assert not (outside / "lib/deep").is_symlink()
    assert (outside / "lib/deep/precious").read_text() == "keep"
    assert not (tmp_path / "nowhere").exists()
    assert (home / "var/lib/deep/file").read_text() == "deep"


def test_the_same_path_in_both_is_the_listed_one(make_server: MakeServer, repo: Repo, home: Path) -> None:
    repo.commit({"index.html": "one"})
    server = serve(make_server, repo, home, "data/db")
    for name in ("data/db", "data/other"):
        (server.directory / "shared/data").mkdir(parents=True, exist_ok=True)
        (server.directory / "shared" / name).write_text("from shared/")
    server.deploy("main")
    assert (server.current() / "data/db").readlink() == home / "data/db"
    assert (server.directory / "shared/data/db").read_text() == "from shared/"


def test_a_path_that_is_not_there_is_found_before_the_switch(make_server: MakeServer, repo: Repo, home: Path) -> None:
    repo.commit({"index.html": "one"})
    server = serve(make_server, repo, home, "data", "uploads/pictures")
    with pytest.raises(StepEnded, match=f"There is no {home}/uploads/pictures to share") as caught:
        server.deploy("main")
    assert caught.value.step.name == "fetch"
    assert server.facts().current == ""
    assert not list((server.directory / "releases").iterdir())


def test_an_empty_link_of_the_folder_counts_as_there(make_server: MakeServer, repo: Repo, home: Path) -> None:
    repo.commit({"index.html": "one"})
    (home / "later").symlink_to("/nowhere")
    server = serve(make_server, repo, home, "later")
    server.deploy("main")
    assert (server.current() / "later").readlink() == home / "later"


@pytest.mark.parametrize(
    ("paths", "says"),
    [
        (["data", "data/db"], "lists data/db, which is already inside data"),
        (["./"], "not the folder itself"),
        (["../data"], "without `..`"),
        (["/data"], "without `..`"),
        (["-rf"], "without `..`"),
        (["a\nb"], "without `..`"),
        ([], "should not be empty"),
    ],
)
def test_paths_that_are_refused(paths: list[str], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_app("files", shared={"from": "/home/me/shop", "paths": paths})
    [problem] = caught.value.problems
    assert says in problem


def test_paths_have_one_form() -> None:
    app = make_app("files", shared={"from": "/home/me/shop/", "paths": ["./data/", "a//b", "data"]})
    assert app.shared
    assert (app.shared.source, app.shared.paths) == ("/home/me/shop", ("data", "a/b"))
