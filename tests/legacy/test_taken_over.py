"""Folders of the version before are taken over, and its releases are gone back to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace

import pytest

from deploybot.domain import Release, State
from deploybot.errors import Unreachable
from deploybot.strategies import STRATEGIES
from tests.lab import LinkTo, Repo
from tests.legacy.conftest import LegacyServer, made_before
from tests.strategies.conftest import only, site_of


async def test_releases_are_taken_over_and_gone_back_to(files: LegacyServer, repo: Repo) -> None:
    server = files.server
    old = made_before(server, repo, "v1")
    now = made_before(server, repo, "v2", current=True)
    for one in (old, now):
        await files.deployed(one)
    part = await files.plan("v3")
    assert files.host.scripts == ["adopt show", "adopt mark"]
    assert part.replaces == Release.of_commit(now)
    assert [step.name for step in part.restore] == ["restore"]
    await files.run(part)
    assert (server.current() / "page").read_text() == "v3"
    await asyncio.to_thread(server.run, part.restore)
    assert (server.current() / "page").read_text() == "v2"
    back = await files.plan("v1", rollback=True)
    assert [step.name for step in back.steps] == ["switch"]
    await files.run(back)
    assert server.current() == server.directory / "releases" / old
    assert not (server.current() / "built").exists()
    assert files.host.scripts == ["adopt show", "adopt mark"]
    # Clean-up knows them as the bot's own.
    (prune,) = STRATEGIES["files"].prune(await files.site(), (old,))
    await asyncio.to_thread(server.run, [prune])
    assert sorted(path.name for path in (server.directory / "releases").iterdir()) == [old]


async def test_what_was_uploaded_before_a_release_is_taken_over_counts_as_newer(
    files: LegacyServer, repo: Repo
) -> None:
    now = made_before(files.server, repo, "v1", current=True)
    old = files.server.directory / "releases" / now / ".deploybot-complete"
    os.utime(old, (1_000_000_000, 1_000_000_000))
    await files.deployed(now)
    await files.site()
    mark = files.server.directory / ".deploybot/releases" / now / "fetched"
    assert mark.stat().st_mtime == 1_000_000_000


async def test_what_is_not_known_for_sure_is_made_again(files: LegacyServer, repo: Repo) -> None:
    server = files.server
    unknown = made_before(server, repo, "v1")
    failed = made_before(server, repo, "v2")
    now = made_before(server, repo, "v3", current=True)
    await files.deployed(failed, State.FAILED)
    await files.deployed(now, State.FAILED)
    assert (await files.site()).facts.releases == (now,)
    for ref in ("v1", "v2", "v3"):
        assert [step.name for step in (await files.plan(ref)).steps] == ["fetch", "build", "switch"]
    # A folder of the bot's may be deleted when nobody needs it; one that it does not know may not.
    (prune,) = STRATEGIES["files"].prune(replace(await files.site(), good=frozenset()), (now,)) or (None,)
    assert prune is None
    marks = server.directory / ".deploybot/releases"
    assert sorted(path.name for path in marks.iterdir()) == sorted([failed, now])
    assert not (marks / unknown).exists()


@pytest.mark.parametrize("name", [".deploybot-complete", "deploybot.images.yaml", ".deploybot-compose"])
@pytest.mark.parametrize("kind", ["file", "folder", "link"])
async def test_marks_that_a_repository_ships_prove_nothing(
    files: LegacyServer, repo: Repo, name: str, kind: str
) -> None:
    trees: Mapping[str, dict[str, str | None]] = {
        "file": {name: ""},
        "folder": {f"{name}/x": ""},
        "link": {name: LinkTo("page")},
    }
    repo.commit(trees[kind])
    repo.tag("evil")
    server = files.server
    commit = repo.sha("evil")
    folder = server.directory / "releases" / commit
    folder.mkdir(parents=True)
    (folder / ".deploybot-complete").touch()
    await files.deployed(commit)
    assert (await files.site()).facts.legacy == (commit,)
    assert (await files.site()).facts.releases == ()
    assert files.host.scripts == []
    assert [step.name for step in (await files.plan("evil")).steps] == ["fetch", "build", "switch"]


async def test_links_are_no_marks(files: LegacyServer, repo: Repo) -> None:
    server = files.server
    commit = made_before(server, repo, "v1")
    mark = server.directory / "releases" / commit / ".deploybot-complete"
    mark.unlink()
    mark.symlink_to(server.directory / "releases" / commit / "page")
    await files.deployed(commit)
    site = site_of(server.app, replace((await files.site()).facts, legacy=(commit,)), Release.of_commit(commit))
    assert (await files.legacy.adopt(site)).facts.releases == ()


async def test_a_half_done_switch_of_the_version_before_is_kept(files: LegacyServer, repo: Repo) -> None:
    now = made_before(files.server, repo, "v1", current=True)
    (files.server.directory / "switching").write_text(f"{repo.sha('v2')}\n")
    await files.deployed(now)
    assert (await files.site()).facts.switching == repo.sha("v2")
    assert not (files.server.directory / "switching").exists()


async def test_without_the_repository_nothing_is_taken_over(files: LegacyServer, repo: Repo) -> None:
    now = made_before(files.server, repo, "v1", current=True)
    await files.deployed(now)
    repo.path.rename(repo.path.with_suffix(".away"))
    assert (await files.site()).facts.releases == ()
    assert files.host.scripts == []


async def test_a_server_that_goes_away_is_said(files: LegacyServer, repo: Repo) -> None:
    now = made_before(files.server, repo, "v1", current=True)
    await files.deployed(now)
    site = await files.inspector.site(files.server.app, only(files.server.app), "web1")
    files.host.down = "the connection was cut"
    with pytest.raises(Unreachable):
        await files.legacy.adopt(site)
    # A script that fails leaves all as it is.
    files.host.down = ""
    (files.server.directory / ".deploybot").write_text("in the way")
    assert (await files.legacy.adopt(site)).facts.releases == ()


@pytest.mark.parametrize("release", [f"image-{'f' * 64}", f"artifact-{'f' * 64}"])
async def test_what_the_version_before_could_not_make_is_not_taken_over(
    files: LegacyServer, repo: Repo, release: str
) -> None:
    now = made_before(files.server, repo, "v1", current=True)
    (files.server.directory / "releases" / now).rename(files.server.directory / "releases" / release)
    (files.server.directory / "current").unlink()
    (files.server.directory / "current").symlink_to(f"releases/{release}")
    await files.deployed(release)
    site = await files.site()
    assert (site.facts.current, site.facts.legacy, site.facts.releases) == (release, (release,), ())
    assert files.host.scripts == []
