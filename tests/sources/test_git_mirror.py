"""The mirror of a repository survives whatever happens to it, and a long fetch outlives the command that began it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from deploybot.command_loader import load
from deploybot.errors import StillFetching, Unreachable
from deploybot.masking import Redactor
from deploybot.settings import App
from deploybot.sources import git_mirror
from deploybot.sources.git_source import GitSource
from tests.lab import FullDisk, Repo, until
from tests.sources.conftest import MakeApp, Watched, git, unpack


def mirror_of(source: GitSource) -> Path:
    (mirror,) = (source._data / "mirrors").glob("*.git")
    return mirror


def has(source: GitSource, commit: str) -> bool:
    """Whether the mirror's main branch is at this commit."""
    return commit in git(mirror_of(source), "for-each-ref", "--format=%(objectname)", "refs/heads/main")


async def test_nothing_is_fetched_where_nothing_is_new(
    source: GitSource, app: App, repo: Repo, watched: Watched
) -> None:
    repo.commit({"a": "1"})
    for _ in range(3):
        await source.resolve(app, "main")
    assert (watched.count("ls-remote"), watched.count("fetch")) == (3, 1)


async def test_many_questions_at_once_share_the_asking(
    source: GitSource, app: App, repo: Repo, watched: Watched
) -> None:
    commit = repo.commit({"a": "1"})
    releases = await asyncio.gather(*(source.resolve(app, "main") for _ in range(20)))
    assert {release.id for release in releases} == {commit}
    assert watched.count("ls-remote") <= 2
    assert watched.count("fetch") == 1


async def test_pushed_over_commits_stay_deployable(source: GitSource, app: App, repo: Repo, tmp_path: Path) -> None:
    base = repo.commit({"a": "1"})
    lost = repo.commit({"a": "2"}, "Will be pushed over")
    await source.resolve(app, "main")
    repo.branch("main", base)
    kept = repo.commit({"a": "3"}, "Instead")
    assert (await source.resolve(app, "main")).id == kept
    git(mirror_of(source), "reflog", "expire", "--expire=now", "--all")
    git(mirror_of(source), "gc", "--quiet", "--prune=now")
    assert (await source.resolve(app, lost)).subject == "Will be pushed over"
    changes = await source.changes(app, lost, kept)
    assert (changes.total, changes.removed, [commit.subject for commit in changes.commits]) == (1, 1, ["Instead"])
    unpack(await source.bundle(app, lost, ()), lost, tmp_path / "server.git")


async def test_missing_or_damaged_mirror_is_made_anew(source: GitSource, app: App, repo: Repo) -> None:
    commit = repo.commit({"a": "1"})
    await source.resolve(app, "main")
    mirror = mirror_of(source)
    shutil.rmtree(mirror)
    assert (await source.resolve(app, commit)).id == commit
    for file in [*mirror.glob("objects/??/*"), *mirror.glob("objects/pack/*")]:
        file.chmod(0o600)
        file.write_bytes(b"")
    assert (await source.resolve(app, commit)).id == commit
    newer = repo.commit({"a": "2"})
    (mirror / "HEAD").write_text("")
    assert (await source.resolve(app, "main")).id == newer
    (mirror / "config").write_text("[broken")
    assert (await source.changes(app, commit, newer)).total == 1
    for file in [*mirror.glob("objects/??/*"), *mirror.glob("objects/pack/*")]:
        file.unlink()
    assert (await source.archive(app, newer)).stat().st_size
    assert (await source.resolve(app, "main")).id == newer


async def test_locks_that_a_killed_bot_left_do_not_matter(source: GitSource, app: App, repo: Repo) -> None:
    repo.commit({"a": "1"})
    await source.resolve(app, "main")
    mirror = mirror_of(source)
    for name in ("packed-refs.lock", "HEAD.lock", "refs/heads/main.lock", "config.lock"):
        (mirror / name).touch()
    newer = repo.commit({"a": "2"})
    assert (await source.resolve(app, "main")).id == newer


async def test_a_git_that_was_killed_while_it_packed_refs_does_not_matter(
    source: GitSource, app: App, repo: Repo
) -> None:
    repo.commit({"a": "1"})
    repo.git("branch", "old")
    await source.resolve(app, "main")
    git(mirror_of(source), "pack-refs", "--all")
    (mirror_of(source) / "packed-refs.new").touch()
    repo.git("branch", "--delete", "--force", "old")
    newer = repo.commit({"a": "2"})
    assert (await source.resolve(app, "main")).id == newer
    assert "refs/heads/old" not in git(mirror_of(source), "for-each-ref")


async def test_what_a_killed_fetch_left_is_deleted(source: GitSource, app: App, repo: Repo) -> None:
    repo.commit({"a": "1"})
    await source.resolve(app, "main")
    objects = mirror_of(source) / "objects"
    (objects / "ab").mkdir(exist_ok=True)
    left = [objects / "pack/tmp_pack_1", objects / "pack/.tmp-1-pack-2.pack", objects / "ab/tmp_obj_3"]
    for file in left:
        file.touch()
    repo.commit({"a": "2"})
    await source.resolve(app, "main")
    assert not any(file.exists() for file in left)


class SlowGit:
    """A `git` on PATH whose fetch waits for `go`."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        self.begun, self.go = folder / "begun", folder / "go"
        (folder / "git").write_text(
            f"""#!/bin/sh
case " $* " in *" fetch "*) : >{self.begun}; while ! test -e {self.go}; do sleep 0.02; done; esac
exec {shutil.which("git")} "$@"
"""
        )
        (folder / "git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


async def leave_a_fetch(source: GitSource, app: App, slow: SlowGit) -> None:
    """Begin a fetch, and cancel the command that needed it."""
    command = asyncio.create_task(source.resolve(app, "main"))
    await asyncio.to_thread(until, slow.begun.exists, within=20, what="a fetch at work")
    command.cancel()
    await asyncio.gather(command, return_exceptions=True)


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlowGit:
    return SlowGit(tmp_path / "slow", monkeypatch)


async def test_a_fetch_outlives_the_command_that_needed_it(
    source: GitSource, app: App, repo: Repo, slow: SlowGit
) -> None:
    commit = repo.commit({"a": "1"})
    await leave_a_fetch(source, app, slow)
    slow.go.touch()
    await asyncio.to_thread(until, lambda: has(source, commit), within=20, what="the commit in the mirror")
    assert (await source.resolve(app, "main")).id == commit


@pytest.mark.parametrize("damaged", [False, True])
async def test_the_next_command_waits_for_the_fetch_of_an_earlier_one(
    source: GitSource, app: App, repo: Repo, slow: SlowGit, *, damaged: bool
) -> None:
    commit = repo.commit({"a": "1"}, "Begin")
    await leave_a_fetch(source, app, slow)
    partial = mirror_of(source) / "objects/pack/tmp_pack_1"
    partial.touch()
    if damaged:
        (mirror_of(source) / "HEAD").unlink()
    following = asyncio.create_task(source.message(app, commit))
    done, _ = await asyncio.wait({following}, timeout=0.5)
    assert not done
    assert partial.exists()
    slow.go.touch()
    assert await following == "Begin"


async def test_the_command_that_starts_a_long_fetch_says_how_far_it_is(
    source: GitSource, app: App, repo: Repo, slow: SlowGit, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = load()
    within = min(commands[name].within for name in ("deploy", "rollback", "diff"))
    assert within - git_mirror.WAIT_WITHIN >= git_mirror.LOCK_WITHIN + 30
    monkeypatch.setattr(git_mirror, "WAIT_WITHIN", 0.5)
    commit = repo.commit({"a": "1"})
    async with asyncio.timeout(30):
        with pytest.raises(StillFetching, match="is still being fetched"):
            await source.resolve(app, "main")
    slow.go.touch()
    await asyncio.to_thread(until, lambda: has(source, commit), within=20, what="the commit in the mirror")


async def test_a_fetch_that_takes_long_says_how_far_it_is(tmp_path: Path, app: App, repo: Repo, slow: SlowGit) -> None:
    commit = repo.commit({"a": "1"})
    source = GitSource(tmp_path / "data", Redactor(), fetch_within=4.0)
    asking = asyncio.create_task(source.resolve(app, "main"))
    await asyncio.to_thread(until, slow.begun.exists, within=20, what="a fetch at work")
    partial = mirror_of(source) / "objects/pack/tmp_pack_1"
    while not asking.done():
        with partial.open("ab") as file:
            file.write(bytes(1000))
        await asyncio.sleep(0.02)
    with pytest.raises(StillFetching, match=r"is still being fetched: [\d.]+ kB so far"):
        await asking
    slow.go.touch()
    await asyncio.to_thread(until, lambda: has(source, commit), within=20, what="the commit in the mirror")


@pytest.mark.parametrize("damaged", [False, True])
async def test_another_process_leaves_a_fetch_alone(
    source: GitSource, app: App, repo: Repo, slow: SlowGit, *, damaged: bool
) -> None:
    commit = repo.commit({"a": "1"}, "Begin")
    await leave_a_fetch(source, app, slow)
    partial = mirror_of(source) / "objects/pack/tmp_pack_1"
    partial.write_bytes(bytes(1000))
    beside = GitSource(source._data, Redactor(), lock_within=0.3)
    if damaged:
        (mirror_of(source) / "HEAD").rename(mirror_of(source) / "HEAD.away")
    with pytest.raises(StillFetching, match=re.escape("is still being fetched: 1.0 kB so far")):
        await (beside.message(app, commit) if damaged else beside.resolve(app, "main"))
    assert partial.exists()
    if damaged:
        (mirror_of(source) / "HEAD.away").rename(mirror_of(source) / "HEAD")
    slow.go.touch()
    await asyncio.to_thread(until, lambda: has(source, commit), within=20, what="the commit in the mirror")
    assert (await source.resolve(app, "main")).id == commit
    assert (await beside.resolve(app, "main")).id == commit


async def test_the_fetch_of_another_process_is_waited_for_and_its_death_releases_the_mirror(
    source: GitSource, app: App, repo: Repo
) -> None:
    repo.commit({"a": "1"})
    await source.resolve(app, "main")
    newer = repo.commit({"a": "2"})
    script = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    lock = mirror_of(source).with_suffix(".lock")
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(lock), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert other.stdout is not None
    await other.stdout.readline()
    asking = asyncio.create_task(source.resolve(app, "main"))
    done, _ = await asyncio.wait({asking}, timeout=0.5)
    assert not done
    other.kill()
    await other.wait()
    assert (await asking).id == newer


async def test_a_fetch_without_progress_ends(
    tmp_path: Path, app: App, repo: Repo, slow: SlowGit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_mirror, "_WAIT_FACTOR", 30.0)  # git's own end comes first, however slow the machine is
    repo.commit({"a": "1"})
    source = GitSource(tmp_path / "data", Redactor(), fetch_within=1.0)
    with pytest.raises(Unreachable, match=re.escape("no answer within 1 s")):
        await source.resolve(app, "main")
    assert slow.begun.exists()


async def test_old_files_are_removed_and_young_ones_stay(source: GitSource, app: App, repo: Repo) -> None:
    made = []
    for number in range(12):
        commit = repo.commit({"a": str(number)})
        made.append(await source.archive(app, commit))
    assert all(path.exists() for path in made)
    for path in made:
        os.utime(path, (0, 0))
    again = await source.archive(app, made[0].name.partition(".")[0])
    assert again == made[0]
    newest = await source.archive(app, repo.commit({"a": "x"}))
    assert newest.exists()
    assert made[0].exists()
    assert sum(path.exists() for path in made) == 7


async def test_a_full_disk_is_said(make_app: MakeApp, repo: Repo, source: GitSource, full_disk: FullDisk) -> None:
    repo.commit({"a": os.urandom(50_000).hex()})
    with pytest.raises(Unreachable, match="the disk of the bot itself is full"):
        await GitSource(full_disk.path, source._redactor).resolve(make_app(repo.url), "main")


async def test_no_git_says_so(source: GitSource, app: App, repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.commit({"a": "1"})
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Unreachable, match="git is not installed where the bot runs"):
        await source.resolve(app, "main")


async def test_configuration_of_the_person_does_not_count(
    source: GitSource, app: App, repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "gitconfig"
    config.write_text(f'[url "/nonexistent"]\n\tinsteadOf = {repo.url}\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    (tmp_path / ".gitconfig").write_text(config.read_text())
    commit = repo.commit({"a": "1"})
    assert (await source.resolve(app, "main")).id == commit


async def test_file_urls_and_repositories_of_other_users(source: GitSource, make_app: MakeApp, repo: Repo) -> None:
    commit = repo.commit({"a": "1"})
    assert (await source.resolve(make_app(f"file://{repo.path}"), "main")).id == commit
    if os.geteuid() == 0:
        for path in (repo.path, *repo.path.rglob("*")):
            os.chown(path, 12345, 12345)
        newer = (await source.resolve(make_app(repo.url), "main")).id
        assert newer == commit
