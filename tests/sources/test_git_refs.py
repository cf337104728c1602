"""Refs of a repository become full commits: branches, tags, short commits, and names that mean two things."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deploybot.errors import Unreachable, UserError
from deploybot.settings import App
from deploybot.sources.git_mirror import parse_refs
from deploybot.sources.git_source import GitSource
from tests.lab import Repo
from tests.lab.run import run
from tests.sources.conftest import MakeApp, Watched, unpack


async def test_branch_tags_and_commits_become_full_commits(source: GitSource, app: App, repo: Repo) -> None:
    first = repo.commit({"a": "1"}, "Begin", author="Grace Hopper <grace@example.com>")
    repo.tag("v1")
    repo.tag("v1.0", message="The first one")
    second = repo.commit({"a": "2"}, "Go on")
    repo.branch("feature/basket", first)

    release = await source.resolve(app, "v1")
    assert release.id == first
    assert (release.ref, release.subject, release.author, release.committed) == (
        "v1",
        "Begin",
        "Grace Hopper",
        1_700_000_000.0,
    )
    for ref, commit in {
        "v1.0": first,
        "tags/v1": first,
        "refs/tags/v1.0": first,
        "main": second,
        "heads/main": second,
        "feature/basket": first,
        "": second,
        first: first,
        second[:7]: second,
        second[:12].upper(): second,
    }.items():
        assert (await source.resolve(app, ref)).id == commit, ref
        assert (await source.resolve(app, ref)).tag == ref.rpartition("/")[2] * ref.startswith(
            ("v", "tags/", "refs/tags/")
        )
    assert (await source.resolve(app, "")).ref == "main"
    assert str(await source.resolve(app, second[:7])) == second[:10]


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\u0085"])
async def test_a_name_that_only_looks_like_another_one_is_not_that_one(
    source: GitSource, app: App, repo: Repo, sign: str
) -> None:
    """git allows these characters in names. Some programs take them for line ends."""
    good = repo.commit({"a": "1"})
    repo.tag("v1", message="good")
    evil = repo.commit({"a": "2"}, branch="mine")
    repo.branch(f"main{sign}x", evil)
    repo.tag(f"v1{sign}x", evil, message="evil")
    assert (await source.resolve(app, "main")).id == good
    assert (await source.resolve(app, "v1")).id == good
    assert "main" not in (await source.holding(app, evil)).branches
    newest = await source.newest(app)
    assert [one.commit for one in newest if one.name in {"main", "v1"}] == [good, good]
    assert {f"main{sign}x", f"v1{sign}x"} <= {one.name for one in newest}


async def test_the_full_name_of_a_branch_or_tag_goes_before_names_that_begin_alike(
    source: GitSource, app: App, repo: Repo
) -> None:
    good = repo.commit({"a": "1"})
    repo.tag("v1")
    evil = repo.commit({"a": "2"}, branch="mine")
    for name in ("heads/main", "tags/v1"):
        repo.branch(name, evil)
        repo.tag(name, evil)
    for ref in ("heads/main", "refs/heads/main", "tags/v1", "refs/tags/v1"):
        assert (await source.resolve(app, ref)).id == good, ref


async def test_empty_ref_is_the_branch_of_the_app(source: GitSource, make_app: MakeApp, repo: Repo) -> None:
    repo.commit({"a": "1"})
    stable = repo.branch("stable")
    repo.commit({"a": "2"})
    app = make_app(repo.url, branch="stable")
    release = await source.resolve(app, "")
    assert (release.id, release.ref) == (stable, "stable")


async def test_refs_come_newest_first_after_the_branch_of_the_app(
    source: GitSource, app: App, make_app: MakeApp, repo: Repo
) -> None:
    first = repo.commit({"a": "1"})
    repo.tag("v1")
    repo.branch("v1.1", first)
    second = repo.commit({"a": "2"})
    repo.tag("v1.1", message="made later")
    repo.branch("feature/basket")
    found = await source.newest(app)
    assert found[0].name == "main"
    assert {(one.name, one.commit, one.is_tag) for one in found} == {
        ("main", second, False),
        ("feature/basket", second, False),
        ("heads/v1.1", first, False),
        ("tags/v1.1", second, True),
        ("v1", first, True),
    }
    times = [one.at for one in found[1:]]
    assert times == sorted(times, reverse=True)
    for one in found:
        assert (await source.resolve(app, one.name)).code == one.commit
    repo.delete("refs/heads/feature/basket")
    stable = make_app(repo.url, branch="v1.1")
    assert [one.name for one in await source.newest(stable)] == ["heads/v1.1", "tags/v1.1", "main", "v1"]


async def test_refs_are_fresh_and_deleted_ones_are_gone(source: GitSource, app: App, repo: Repo) -> None:
    repo.commit({"a": "1"})
    repo.branch("old")
    await source.resolve(app, "old")
    repo.delete("refs/heads/old")
    newer = repo.commit({"a": "2"})
    assert (await source.resolve(app, "main")).id == newer
    with pytest.raises(UserError, match="no ref `old`"):
        await source.resolve(app, "old")


async def test_unknown_ref_names_the_nearest(source: GitSource, app: App, repo: Repo) -> None:
    repo.commit({"a": "1"})
    for tag in ("v2", "v2.1"):
        repo.tag(tag)
    with pytest.raises(UserError) as caught:
        await source.resolve(app, "v3")
    assert caught.value.sentence == "There is no ref `v3` in shop."
    assert caught.value.hint == "Nearest: v2, v2.1, main."


@pytest.mark.parametrize(
    "ref",
    [
        *("-x", "--upload-pack=touch x", "a..b", "main@{1}", "a b", "a;b", "$(x)", "`x`", "ма", "a\nb", "a\x00b"),
        *("a/", "/a", "a//b", "a.lock", "a:b", "^a", "a~1", "a^", "a*", "x" * 300, "a\\b", "a/.b"),
    ],
)
async def test_what_cannot_be_a_ref_reaches_no_git(source: GitSource, app: App, watched: Watched, ref: str) -> None:
    with pytest.raises(UserError, match="cannot be a ref"):
        await source.resolve(app, ref)
    assert not watched.log.exists()


async def test_branch_and_tag_of_one_name(source: GitSource, app: App, repo: Repo) -> None:
    tagged = repo.commit({"a": "1"})
    repo.tag("v1")
    repo.branch("v1")
    assert (await source.resolve(app, "v1")).id == tagged
    branched = repo.commit({"a": "2"})
    repo.branch("v1", branched)
    with pytest.raises(UserError, match=r"both a branch .* and a tag") as caught:
        await source.resolve(app, "v1")
    assert caught.value.hint == "Write heads/v1 or tags/v1."
    assert (await source.resolve(app, "heads/v1")).id == branched
    assert (await source.resolve(app, "tags/v1")).id == tagged


async def test_ambiguous_short_commit_lists_candidates(source: GitSource, app: App, repo: Repo) -> None:
    seen: dict[str, str] = {}
    for number in range(2000):
        commit = repo.commit({"a": str(number)}, f"Change {number}")
        if commit[:4] in seen:
            break
        seen[commit[:4]] = commit
    else:
        pytest.fail("no two commits begin alike")
    with pytest.raises(UserError, match=f"`{commit[:4]}` can mean 2 commits") as caught:
        await source.resolve(app, commit[:4])
    for one in (commit, seen[commit[:4]]):
        assert one[:14] in caught.value.hint
    assert f"Change {number}" in caught.value.hint


async def test_a_branch_that_looks_like_a_commit_must_be_named_in_full(source: GitSource, app: App, repo: Repo) -> None:
    commit = repo.commit({"a": "1"})
    other = repo.commit({"a": "2"})
    repo.branch(commit[:8], other)
    with pytest.raises(UserError, match="can mean 2 commits"):
        await source.resolve(app, commit[:8])
    assert (await source.resolve(app, f"heads/{commit[:8]}")).id == other
    # A whole commit is a commit, whatever a branch is called.
    repo.git("update-ref", f"refs/heads/{commit}", other)
    assert (await source.resolve(app, commit)).id == commit


async def test_a_tag_of_a_file_is_refused(source: GitSource, app: App, repo: Repo) -> None:
    repo.commit({"a": "1"})
    blob = repo.git("rev-parse", "main:a").strip()
    repo.git("update-ref", "refs/tags/file", blob)
    with pytest.raises(UserError, match="not a commit"):
        await source.resolve(app, "file")


async def test_odd_subjects_and_authors_become_one_plain_line(source: GitSource, app: App, repo: Repo) -> None:
    repo.commit({"a": "1"}, "Fix \x1b[31mred\u202e evil" + "x" * 300, author="Zoë\u200b <z@example.com>")
    release = await source.resolve(app, "main")
    assert release.subject.isprintable()
    assert release.subject.startswith("Fix  [31mred  evilxxx")
    assert len(release.subject) == 200
    assert release.author == "Zoë"


async def test_full_commit_in_the_mirror_needs_no_network(
    source: GitSource, app: App, repo: Repo, watched: Watched
) -> None:
    commit = repo.commit({"a": "1"})
    await source.resolve(app, "main")
    assert (watched.count("ls-remote"), watched.count("fetch")) == (1, 1)
    shutil.move(repo.path, f"{repo.path}.away")
    assert (await source.resolve(app, commit)).id == commit
    assert (watched.count("ls-remote"), watched.count("fetch")) == (1, 1)
    with pytest.raises(Unreachable, match="the repository was not found there"):
        await source.resolve(app, "main")


async def test_empty_repository(source: GitSource, app: App, repo: Repo) -> None:
    with pytest.raises(UserError, match="no branch yet"):
        await source.resolve(app, "")
    assert repo.path.exists()
    with pytest.raises(UserError, match="no ref `main`"):
        await source.resolve(app, "main")


def test_default_branch_where_the_server_reports_only_its_commit() -> None:
    one, two = "1" * 40, "2" * 40
    said = f"{one}\tHEAD\n{two}\trefs/heads/a\n{one}\trefs/heads/b\n{one}\trefs/heads/master\n{two}\trefs/tags/main\n"
    assert parse_refs(said).default == "master"
    assert parse_refs(said.replace("master", "x")).default == "b"
    assert parse_refs(said.replace(f"{one}\tHEAD", f"ref: refs/heads/a\tHEAD\n{two}\tHEAD")).default == "a"
    assert parse_refs(f"ref: refs/heads/gone\tHEAD\n{one}\trefs/heads/b\n").default == ""


async def test_sha256_repositories(source: GitSource, make_app: MakeApp, tmp_path: Path) -> None:
    path = tmp_path / "new.git"
    run("git", "init", "-q", "--bare", "-b", "main", "--object-format=sha256", path)
    stream = (
        "commit refs/heads/main\ncommitter A <a@example.com> 1700000000 +0000\ndata 2\nHi\nM 644 inline a\ndata 1\nx\n"
    )
    run("git", f"--git-dir={path}", "fast-import", "--quiet", stdin=stream)
    app = make_app(str(path))
    release = await source.resolve(app, "main")
    assert len(release.id) == 64
    assert (await source.resolve(app, release.id[:9])).id == release.id
    run("git", "init", "-q", "--bare", "--object-format=sha256", tmp_path / "server.git")
    unpack(await source.bundle(app, release.id, ()), release.id, tmp_path / "server.git")
