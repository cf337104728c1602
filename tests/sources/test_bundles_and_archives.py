"""What a server gets of a commit: bundles of what it lacks, and archives of the tree."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from deploybot.errors import UserError
from deploybot.settings import App
from deploybot.sources.git_source import GitSource
from tests.lab import LinkTo, Repo
from tests.sources.conftest import unpack


async def test_bundles_hold_only_what_the_server_lacks(source: GitSource, app: App, repo: Repo, tmp_path: Path) -> None:
    first = repo.commit({"big": os.urandom(200_000).hex()})
    second = repo.commit({"small": "x"})
    third = repo.commit({"small": "y"})
    await source.resolve(app, "main")
    server = tmp_path / "server.git"

    whole = await source.bundle(app, first, ())
    assert whole.stat().st_size > 200_000
    unpack(whole, first, server)

    rest = await source.bundle(app, third, (first, "0" * 40, "$(touch x)", "-x"))
    assert rest.stat().st_size < 3000
    unpack(rest, third, server)

    # All of it is there already, but under no ref of its own.
    again = await source.bundle(app, second, (third, first))
    assert again.stat().st_size < 3000
    unpack(again, second, server)
    unpack(await source.bundle(app, first, (third,)), first, server)
    assert await source.bundle(app, third, ("-x", "$(touch x)", "0" * 40, first)) == rest


async def test_bundle_of_an_unknown_commit(source: GitSource, app: App, repo: Repo) -> None:
    repo.commit({"a": "1"})
    with pytest.raises(UserError, match="no commit 0000000000 in shop"):
        await source.bundle(app, "0" * 40, ())
    with pytest.raises(UserError, match="not a full commit"):
        await source.bundle(app, "main", ())


async def test_archives_are_the_whole_tree_and_always_the_same(
    source: GitSource, app: App, repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repo.commit(
        {
            "run": "#!/bin/sh\n",
            "docs/x": "$Format:%H$",
            ".gitattributes": "docs/ export-ignore\ndocs/x export-subst\n* text eol=crlf\n",
        }
    )
    first = await source.archive(app, commit)
    digest = hashlib.sha256(first.read_bytes()).digest()
    assert gzip.decompress(first.read_bytes())
    with tarfile.open(first) as tar:
        modes = {member.name: oct(member.mode) for member in tar if member.isfile()}
        file = tar.extractfile("docs/x")
        assert file
        assert file.read() == b"$Format:%H$"
    assert modes == {"run": "0o755", "docs/x": "0o644", ".gitattributes": "0o644"}
    shutil.rmtree(source._data)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    second = await GitSource(tmp_path / "other", source._redactor).archive(app, commit)
    assert hashlib.sha256(second.read_bytes()).digest() == digest


async def test_what_a_commit_ships(source: GitSource, repo: Repo, app: App) -> None:
    repo.commit({"a file": "x", "folder/inner": "x", "link": LinkTo("nowhere"), "star*": "x"})
    commit = repo.sha("main")
    for path in ("a file", "folder", "folder/inner", "link", "star*"):
        assert await source.ships(app, commit, ["nothing", path])
    for path in ("nothing", "inner", "folder/other", "*", "a*", "st?r*"):
        assert not await source.ships(app, commit, [path])
    with pytest.raises(UserError, match="There is no commit"):
        await source.ships(app, "0" * 40, ["link"])
