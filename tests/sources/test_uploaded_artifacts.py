"""Uploads of artifacts: what is kept of them, what they are called, and what breaks off or meets another one."""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from pathlib import Path

import pytest

from deploybot.domain import ArtifactSource
from deploybot.errors import UploadRefused, UserError
from deploybot.ports import ArtifactUpload
from deploybot.sources import artifact_archive, artifact_uploads, artifacts
from deploybot.sources.artifact_folder import ArtifactFolder
from tests.e2e.artifact_builds import sha256
from tests.sources.test_artifacts import Kept, pieces, site, upload_of


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def part_of(kept: Kept, upload: ArtifactUpload) -> Path:
    return kept.folder / "incoming" / f"{upload.sha256}.part"


def hex_twin(ref: str) -> bytes:
    """Return a content whose SHA-256 begins with the same two digits as a ref, as far as a test can look for one."""
    return next(one for one in (f"#!{n}".encode() for n in range(10_000)) if sha256(one).startswith(ref[:2]))


async def test_an_exact_ref_comes_before_digits(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploybot.sources.artifact_folder._DIGITS", re.compile("[0-9a-f]{2,64}"))
    app, good, evil = site(upload=True), b"#!good", hex_twin("be")
    await kept.push(app, good, "be", name="run")
    await kept.push(app, evil, "newer", name="run")
    assert (await kept.source.resolve(app, "be", None)).id == f"artifact-{sha256(good)}"
    assert (await kept.source.resolve(app, sha256(evil)[:6], None)).id == f"artifact-{sha256(evil)}"


async def test_digits_of_several_files_are_refused_and_no_ref_looks_like_those_of_another(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploybot.sources.artifact_folder._DIGITS", re.compile("[0-9a-f]{1,64}"))
    app = site(upload=True)
    one, two = [one for one in (f"#!{n}".encode() for n in range(100)) if sha256(one).startswith("a")][:2]
    await kept.push(app, one, "x1", name="run")
    await kept.push(app, one, "x1-again", name="run")
    assert (await kept.source.resolve(app, "a", None)).id == f"artifact-{sha256(one)}", "one file with two refs"
    await kept.push(app, two, "x2", name="run")
    with pytest.raises(UserError, match="`a` is the beginning of several artifacts"):
        await kept.source.resolve(app, "a", None)
    with pytest.raises(UserError, match=f"The SHA-256 of another artifact begins with `{sha256(one)[:9]}`"):
        await kept.push(app, b"#!other", sha256(one)[:9], name="run")


async def test_the_newest_upload_is_the_newest_although_the_clock_went_back(kept: Kept) -> None:
    app = site(upload=True)
    await kept.push(app, b"#!1", "1", name="run")
    kept.clock.advance(-500)
    await kept.push(app, b"#!2", "2", name="run")
    assert (await kept.source.resolve(app, "", None)).ref == "2"


async def test_several_refs_of_one_file_count_once(kept: Kept) -> None:
    app = site(upload=True)  # it keeps two
    for at, content in enumerate([b"#!1", b"#!2", b"#!2", b"#!2"]):
        await kept.push(app, content, f"v{at}", name="run")
    kept.age()
    await kept.source.receive(app, upload_of(b"abc", name="run"), 0, pieces(b"ab"))
    assert kept.names() == {sha256(b"#!1"), sha256(b"#!2")}


async def test_refs_are_bounded_and_go_with_their_files(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploybot.sources.artifact_folder.MOST_REFS", 3)
    app = site(upload=True)
    for at in range(3):
        await kept.push(app, f"#!{at}".encode(), f"v{at}", name="run")
    await kept.push(app, b"#!2", "v2", name="run")
    with pytest.raises(UserError, match="The uploads have 3 refs, and that is the limit"):
        await kept.push(app, b"#!3", "v3", name="run")
    kept.age()
    assert await kept.source.receive(app, upload_of(b"abc"), 0, pieces(b"a")) == 1
    assert len([*(kept.folder / "refs").iterdir()]) == 2
    await kept.push(app, b"#!3", "v3", name="run")


async def test_a_ref_is_looked_up_by_its_own_file(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    await kept.push(site(upload=True), b"#!1", "v1", name="run")
    monkeypatch.setattr(ArtifactFolder, "uploads", None)
    found = ArtifactFolder(kept.folder).named("v1")
    assert found is not None
    assert found.sha256 == sha256(b"#!1")
    assert ArtifactFolder(kept.folder).named("v2") is None


async def test_what_is_written_while_an_upload_is_cancelled_is_there_once(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, content = site(upload=True), bytes(1 << 20) + b"\1" * (1 << 20) + b"\2" * 1000
    upload, loop = upload_of(content, "1", "run"), asyncio.get_running_loop()
    writing, go = asyncio.Event(), threading.Event()
    real = artifact_uploads._write

    def slow(part: Path, data: bytes, at: int) -> None:
        if at:
            loop.call_soon_threadsafe(writing.set)
            go.wait(30)
        real(part, data, at)

    monkeypatch.setattr(artifact_uploads, "_write", slow)
    task = asyncio.create_task(
        kept.source.receive(app, upload, 0, pieces(content[: 1 << 20], content[1 << 20 : 2 << 20], content[2 << 20 :]))
    )
    await writing.wait()
    task.cancel()
    with pytest.raises(UploadRefused, match="Another upload of this app is running"):
        await kept.source.receive(app, upload, 0, pieces(content))
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert part_of(kept, upload).read_bytes() == content[: 2 << 20]


async def test_what_was_written_before_a_disk_is_full_is_there_once(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, content = site(upload=True), os.urandom(2 << 20)
    upload, real = upload_of(content, "1", "run"), artifact_uploads._write

    def full(part: Path, data: bytes, at: int) -> None:
        real(part, data[:1000], at)
        raise UserError("The disk is full.")

    monkeypatch.setattr(artifact_uploads, "_write", full)
    with pytest.raises(UserError, match="The disk is full"):
        await kept.source.receive(app, upload, 0, pieces(content[: 1 << 20]))
    monkeypatch.setattr(artifact_uploads, "_write", real)
    assert part_of(kept, upload).read_bytes() == content[:1000]
    assert await kept.source.receive(app, upload, 1000, pieces(content[1000:])) == len(content)


async def test_an_upload_that_begins_anew_takes_nothing_away_before_its_bytes_arrive(kept: Kept) -> None:
    app, content = site(upload=True), b"#!" + os.urandom(3000)
    upload = upload_of(content, "1", "run")
    assert await kept.source.receive(app, upload, 0, pieces(content[:2000])) == 2000
    assert await kept.source.receive(app, upload, 0, pieces()) == 2000
    assert await kept.source.receive(app, upload, 0, pieces(content[:5])) == 2000
    assert await kept.source.receive(app, upload, 2000, pieces(content[2000:])) == len(content)


async def test_more_bytes_than_an_upload_has_are_dropped(kept: Kept) -> None:
    app, content = site(upload=True), b"#!" + os.urandom(3000)
    upload = upload_of(content, "1", "run")
    await kept.source.receive(app, upload, 0, pieces(content[:10]))
    part_of(kept, upload).write_bytes(bytes(5000))
    assert await kept.source.offset(app, upload) == 0
    assert await kept.source.receive(app, upload, 0, pieces(content)) == len(content)


async def test_uploads_that_broke_off_are_bounded(kept: Kept) -> None:
    app = site(upload=True, max_size=1000)
    uploads = [upload_of(f"{at}".encode() * 600, name="run") for at in range(1, 5)]
    for at, upload in enumerate(uploads):
        await kept.source.receive(app, upload, 0, pieces(b"x" * 400))
        os.utime(part_of(kept, upload), (time.time() - 100 + at,) * 2)
    # Those besides the one that arrives have at most `max_size`.
    assert [part_of(kept, upload).exists() for upload in uploads] == [False, True, True, True]


async def test_a_second_request_for_an_upload_that_is_being_checked_says_so(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, content = site(upload=True), b"#!program"
    upload, begun, go = upload_of(content, "1", "run"), asyncio.Event(), asyncio.Event()
    real = artifact_archive.pack

    async def slow(*given: object, **more: object) -> None:
        begun.set()
        await go.wait()
        await real(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(artifacts, "pack", slow)
    first = asyncio.create_task(kept.source.receive(app, upload, 0, pieces(content)))
    await begun.wait()
    assert await kept.source.offset(app, upload) == len(content)
    with pytest.raises(UploadRefused, match="run is complete and is being checked") as caught:
        await kept.source.receive(app, upload, len(content), pieces())
    assert (caught.value.status, caught.value.offset) == (409, len(content))
    go.set()
    assert await first == len(content)
    assert await kept.source.receive(app, upload, len(content), pieces()) == len(content)


@pytest.mark.parametrize("name", ["", "a/b", "..", ".", "a\nb", "\udcff.tar.gz", "\u202eabc", "x" * 201])
def test_an_artifact_has_the_name_of_a_file_whoever_uploads_it(name: str) -> None:
    with pytest.raises(UploadRefused, match="An artifact needs the name of a file") as caught:
        upload_of(b"x", name=name)
    assert caught.value.status == 400


async def test_an_upload_that_is_gone_cannot_be_sent_and_an_address_can(kept: Kept) -> None:
    app = site(upload=True)
    release = await kept.push(app, b"#!1", "1", name="run")
    assert release.file is not None
    assert await kept.source.has(app, release.file)
    (kept.folder / f"{release.file.sha256}.tar.gz").unlink()
    assert not await kept.source.has(app, release.file)
    assert await kept.source.has(app, ArtifactSource("a" * 64, url="https://b.example.com/x"))
