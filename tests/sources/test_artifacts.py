"""Find, download, keep and clean up artifacts."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from deploybot.domain import ArtifactSource, CommitSource, Release
from deploybot.errors import Unreachable, UploadRefused, UserError
from deploybot.ports import ArtifactUpload
from deploybot.settings import App, Secret
from deploybot.sources.artifacts import Artifacts, file_name, filled
from deploybot.testing import FakeClock
from tests.e2e.artifact_builds import BuildServer, build_server, sha256, tar_of
from tests.kit.settings import bot_settings

TOKEN = "a-token-of-the-build-server"


@pytest.fixture
async def builds() -> AsyncIterator[BuildServer]:
    async with build_server() as made:
        yield made


def site(**artifact: object) -> App:
    """An app with artifacts."""
    repo = "/srv/repo" if "{sha}" in str(artifact) else None
    given = {"repo": repo, "strategy": "files", "directory": "/srv/site", "keep": 2, "artifact": artifact}
    app = bot_settings(apps={"site": given}).apps["site"]
    assert app.artifact is not None
    return app


def by_url(builds: BuildServer, **more: object) -> App:
    url = f"{builds.url}/site-{{ref}}.tar.gz"
    return site(**{"url": url, "sha256": f"{url}.sha256", **more})


class Kept:
    """Artifacts, and the releases that are still needed."""

    def __init__(self, folder: Path) -> None:
        self.needed: set[str] = set()
        self.clock = FakeClock()
        self.folder = folder / "artifacts" / "site"
        self.source = Artifacts(folder, self.clock, self._needed)

    async def _needed(self, app: App) -> set[str]:
        assert app.name == "site"
        return self.needed

    def names(self) -> set[str]:
        return {path.name.removesuffix(".tar.gz") for path in self.folder.glob("*.tar.gz")}

    def age(self) -> None:
        """Make everything two hours old."""
        for path in self.folder.rglob("*"):
            if path.is_file():
                os.utime(path, (time.time() - 7200,) * 2)

    async def push(self, app: App, content: bytes, ref: str = "", name: str = "site.tar.gz") -> Release:
        upload = upload_of(content, ref, name)
        assert await self.source.receive(app, upload, 0, pieces(content)) == len(content)
        return await self.source.uploaded(app, upload)


def upload_of(content: bytes, ref: str = "", name: str = "site.tar.gz") -> ArtifactUpload:
    return ArtifactUpload(name=name, size=len(content), sha256=sha256(content), ref=ref)


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


async def test_a_ref_means_what_its_checksum_says(kept: Kept, builds: BuildServer) -> None:
    content = tar_of({"index.html": b"one"})
    builds.publish("site-1.4.2.tar.gz", content)
    release = await kept.source.resolve(by_url(builds), "1.4.2", None)
    assert (release.id, release.ref, release.code) == (f"artifact-{sha256(content)}", "1.4.2", None)
    assert release.file_text == f"site-1.4.2.tar.gz, {len(content)} B"
    assert builds.count("/site-1.4.2.tar.gz") == 0, "planning downloads nothing but the checksum"


async def test_one_file_may_be_named_by_its_sha_256(kept: Kept, builds: BuildServer) -> None:
    builds.files["/latest.zip"] = b"x"
    app = site(url=f"{builds.url}/latest.zip", sha256="A" * 64)
    assert (await kept.source.resolve(app, "", None)).id == f"artifact-{'a' * 64}"
    with pytest.raises(UserError, match="site has one artifact, without versions"):
        await kept.source.resolve(app, "1.4.2", None)


async def test_the_commit_of_a_ref_may_be_in_the_address(kept: Kept, builds: BuildServer) -> None:
    commit = Release(CommitSource("c" * 40), ref="main", subject="Change the logo", author="ana")
    builds.publish(f"site-{'c' * 40}.tar.gz", b"x")
    url = f"{builds.url}/site-{{sha}}.tar.gz"
    release = await kept.source.resolve(site(url=url, sha256=f"{url}.sha256"), "", commit)
    assert (release.ref, release.subject, release.id) == ("main", "Change the logo", f"artifact-{sha256(b'x')}")


async def test_a_name_says_how_an_address_without_one_is_read(kept: Kept, builds: BuildServer) -> None:
    content = tar_of({"index.html": b"one"})
    builds.files["/1/download?job=build"] = content
    builds.files["/sums"] = f"{'0' * 64}  download\n{sha256(content)}  site-1.tar.gz\n".encode()
    more = {"url": f"{builds.url}/{{ref}}/download?job=build", "sha256": f"{builds.url}/sums"}
    app = site(**more, name="site-{ref}.tar.gz")
    file = (await kept.source.resolve(app, "1", None)).file
    assert file is not None
    assert (file.name, file.sha256) == ("site-1.tar.gz", sha256(content))
    await kept.source.packed(app, file)
    assert kept.names() == {sha256(content)}
    # Without it, the archive would be released as a file called `download`.
    (kept.folder / f"{sha256(content)}.tar.gz").unlink()
    builds.files["/sums"] = sha256(content).encode()
    unnamed = (await kept.source.resolve(site(**more), "1", None)).file
    assert unnamed is not None
    with pytest.raises(UserError, match=r"or set `name` of the app's artifact"):
        await kept.source.packed(site(**more), unnamed)


@pytest.mark.parametrize(
    ("ref", "path"),
    [("1.4.2", "1.4.2"), ("feature/x", "feature%2Fx"), ("a#b", "a%23b"), ("a+b", "a%2Bb"), ("a=b@c", "a%3Db%40c")],
)
def test_a_ref_adds_nothing_to_the_address(ref: str, path: str) -> None:
    assert filled("https://b.example.com/{ref}/site.zip", ref, "") == f"https://b.example.com/{path}/site.zip"
    assert file_name(f"https://b.example.com/site-{path}.zip?x=/y") == f"site-{ref}.zip".rpartition("/")[2]


@pytest.mark.parametrize("ref", ["../x", "a/../b", "a?b", "a%2fb", "a b", "//host", "-x", "a\\b", "é"])
async def test_other_refs_are_refused_before_anything_is_asked(kept: Kept, builds: BuildServer, ref: str) -> None:
    with pytest.raises(UserError, match="cannot be a ref") as refused:
        await kept.source.resolve(by_url(builds), ref, None)
    assert "commit" not in refused.value.hint
    assert builds.asked == []


async def test_a_file_is_downloaded_once_and_compared(kept: Kept, builds: BuildServer) -> None:
    app = by_url(builds)
    builds.publish("site-1.tar.gz", tar_of({"index.html": b"one"}))
    file = (await kept.source.resolve(app, "1", None)).file
    assert file is not None
    paths = await asyncio.gather(*(kept.source.packed(app, file) for _ in range(5)))
    assert len({*paths}) == 1
    assert builds.count("/site-1.tar.gz") == 1
    # A release of which only the id is known: what is here is sent, also when the build server is gone.
    builds.files.clear()
    assert await kept.source.packed(app, ArtifactSource(file.sha256)) == paths[0]
    assert [*(kept.folder / "incoming").iterdir()] == []


async def test_other_bytes_are_refused_and_named(kept: Kept, builds: BuildServer) -> None:
    app = by_url(builds)
    builds.publish("site-1.tar.gz", b"forged", checksum="a" * 64)
    file = (await kept.source.resolve(app, "1", None)).file
    assert file is not None
    with pytest.raises(UserError) as caught:
        await kept.source.packed(app, file)
    assert f"has the SHA-256 {sha256(b'forged')}, but its checksum is {'a' * 64}." in caught.value.sentence
    assert (kept.names(), [*(kept.folder / "incoming").iterdir()]) == (set(), [])


async def test_a_file_that_is_too_large_is_not_taken(kept: Kept, builds: BuildServer) -> None:
    builds.publish("site-1.tar.gz", bytes(2000))
    with pytest.raises(UserError, match=r"has 2\.0 kB, and `max_size` is 1\.0 kB"):
        await kept.source.resolve(by_url(builds, max_size=1000), "1", None)
    file = (await kept.source.resolve(by_url(builds), "1", None)).file
    assert file is not None
    with pytest.raises(UserError, match=r"has more than 1\.0 kB"):
        await kept.source.packed(by_url(builds, max_size=1000), file)


def with_token(app: App) -> App:
    secret = Secret(env="TOKEN")
    secret.fill(TOKEN)
    assert app.artifact is not None
    return app.model_copy(update={"artifact": app.artifact.model_copy(update={"token": secret})})


async def test_the_token_goes_to_its_own_host_alone(kept: Kept, builds: BuildServer) -> None:
    content = tar_of({"a": b"a"})
    async with build_server() as store:
        store.publish("site-1.tar.gz", content)
        builds.publish("site-1.tar.gz", content)
        builds.moved["/site-1.tar.gz"] = f"{store.url}/site-1.tar.gz"
        builds.moved["/site-1.tar.gz.sha256"] = "/elsewhere"
        builds.files["/elsewhere"] = builds.files["/site-1.tar.gz.sha256"]
        app = with_token(by_url(builds))
        release = await kept.source.resolve(app, "1", None)
        assert release.file is not None
        await kept.source.packed(app, release.file)
        assert {given for _, _, given in store.asked} == {""}
        assert {given for _, _, given in builds.asked} == {f"Bearer {TOKEN}"}
        # A checksum file on another host gets none either.
        store.asked.clear()
        other = by_url(builds, sha256=f"{store.url}/site-{{ref}}.tar.gz.sha256")
        await kept.source.resolve(with_token(other), "1", None)
        assert {given for _, path, given in store.asked if path.endswith("sha256")} == {""}


@pytest.mark.parametrize(
    "to", ["http://169.254.169.254/x", "http://example.com/x", "file:///etc/passwd", "", "http://0.0.0.0/"]
)
async def test_redirects_lead_nowhere_else(kept: Kept, builds: BuildServer, to: str) -> None:
    builds.moved["/site-1.tar.gz.sha256"] = to
    with pytest.raises(Unreachable):
        await kept.source.resolve(by_url(builds), "1", None)


async def test_redirects_are_bounded(kept: Kept, builds: BuildServer) -> None:
    builds.moved["/site-1.tar.gz.sha256"] = "/site-1.tar.gz.sha256"
    with pytest.raises(Unreachable, match="redirects more than 5 times"):
        await kept.source.resolve(by_url(builds), "1", None)


async def test_the_size_is_unknown_if_head_is_not_answered(kept: Kept) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=404) if request.method == "HEAD" else web.Response(text="a" * 64)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(application) as server:
        app = by_url(BuildServer(url=str(server.make_url("")).rstrip("/")))
        assert (await kept.source.resolve(app, "1", None)).file_text == "site-1.tar.gz"


async def test_a_file_that_is_not_there_is_no_failure_of_the_server(kept: Kept, builds: BuildServer) -> None:
    with pytest.raises(UserError, match=r"There is no http://.*/site-1\.tar\.gz\.sha256 \(it answers 404\)"):
        await kept.source.resolve(by_url(builds), "1", None)


async def test_a_server_that_fails_is_unreachable(kept: Kept) -> None:
    async def fails(_: web.Request) -> web.Response:
        return web.Response(status=500)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", fails)
    async with TestServer(application) as server:
        app = by_url(BuildServer(url=str(server.make_url("")).rstrip("/")))
        with pytest.raises(Unreachable, match="it answers 500"):
            await kept.source.resolve(app, "1", None)
    with pytest.raises(Unreachable):
        await kept.source.resolve(app, "1", None)


async def test_an_upload_goes_on_where_it_broke_off(kept: Kept) -> None:
    app, content = site(upload=True), tar_of({"index.html": os.urandom(3_000_000)})
    upload = upload_of(content, "1")

    async def broken() -> AsyncIterator[bytes]:
        yield content[:1_500_000]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await kept.source.receive(app, upload, 0, broken())
    assert await kept.source.offset(app, upload) == 1_500_000
    with pytest.raises(UploadRefused) as caught:
        await kept.source.receive(app, upload, 1, pieces(content))
    assert (caught.value.status, caught.value.offset) == (409, 1_500_000)
    assert await kept.source.receive(app, upload, 1_500_000, pieces(content[1_500_000:2_000_000])) == 2_000_000
    assert await kept.source.receive(app, upload, 2_000_000, pieces(content[2_000_000:])) == len(content)
    assert (await kept.source.uploaded(app, upload)).id == f"artifact-{upload.sha256}"
    assert await kept.source.offset(app, upload) == len(content)


async def test_only_one_upload_of_an_app_runs(kept: Kept) -> None:
    app, content = site(upload=True), tar_of({"a": b"a"})
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        begun.set()
        await go.wait()
        yield content

    first = asyncio.create_task(kept.source.receive(app, upload_of(content), 0, slow()))
    await begun.wait()
    with pytest.raises(UploadRefused, match="Another upload of this app is running") as caught:
        await kept.source.receive(app, upload_of(b"other"), 0, pieces(b"other"))
    assert caught.value.status == 409
    go.set()
    assert await first == len(content)


async def test_an_upload_has_the_bytes_that_it_says(kept: Kept) -> None:
    app = site(upload=True, max_size=1000)
    with pytest.raises(UploadRefused, match="more than its 3 bytes") as caught:
        await kept.source.receive(app, upload_of(b"abc"), 0, pieces(b"abcd"))
    assert caught.value.status == 400
    with pytest.raises(UploadRefused, match="has the SHA-256") as caught:
        await kept.source.receive(app, upload_of(b"abc"), 0, pieces(b"abd"))
    assert (caught.value.status, await kept.source.offset(app, upload_of(b"abc"))) == (422, 0)
    with pytest.raises(UploadRefused, match=r"has more than 1\.0 kB") as caught:
        await kept.source.receive(app, upload_of(bytes(1001)), 0, pieces())
    assert caught.value.status == 413


async def test_a_ref_never_means_another_file(kept: Kept) -> None:
    app = site(upload=True)
    one = await kept.push(app, tar_of({"a": b"1"}), "1.4.2")
    assert await kept.push(app, tar_of({"a": b"1"}), "1.4.2") == one
    with pytest.raises(UserError, match=r"`1\.4\.2` is already the artifact with the SHA-256"):
        await kept.push(app, tar_of({"a": b"2"}), "1.4.2")
    unnamed = await kept.push(app, tar_of({"a": b"3"}))
    assert unnamed.ref == sha256(tar_of({"a": b"3"}))[:12]


async def test_uploads_are_named_by_ref_by_digits_or_as_the_newest(kept: Kept) -> None:
    app = site(upload=True)
    with pytest.raises(UserError, match="There is no artifact of site") as caught:
        await kept.source.resolve(app, "", None)
    assert caught.value.hint == "Nothing is uploaded yet. Upload it: deploybot push FILE --app site --ref 1.4.2"
    one, two = tar_of({"a": b"1"}), tar_of({"a": b"2"})
    await kept.push(app, one, "1")
    kept.clock.advance(5)
    await kept.push(app, two, "2")
    for ref, content in (("", two), ("1", one), (sha256(one)[:9].upper(), one)):
        release = await kept.source.resolve(app, ref, None)
        assert (release.id, release.file_text) == (f"artifact-{sha256(content)}", f"site.tar.gz, {len(content)} B")
    assert [one.name for one in await kept.source.newest(app)] == ["2", "1"]
    with pytest.raises(UserError, match=r"There is no artifact with the ref `3` of site") as caught:
        await kept.source.resolve(app, "3", None)
    assert caught.value.hint.startswith("Uploaded: 2, 1.")


async def test_what_is_needed_or_new_is_not_deleted(kept: Kept) -> None:
    app = site(upload=True)  # it keeps two
    made = []
    for at in range(4):
        content = tar_of({"a": str(at).encode()})
        await kept.push(app, content, f"v{at}")
        kept.clock.advance(60)
        made.append(sha256(content))
    assert kept.names() == {*made}, "all of them came within the hour"
    kept.age()
    kept.needed = {f"artifact-{made[0]}", "c" * 40}
    await kept.push(app, tar_of({"a": b"new"}), "new")
    assert kept.names() == {made[0], made[2], made[3], sha256(tar_of({"a": b"new"}))}
    assert {one.name for one in await kept.source.newest(app)} == {"new", "v3", "v2", "v0"}
    with pytest.raises(UserError, match="is not on the bot any more"):
        await kept.source.packed(app, ArtifactSource(made[1]))


async def test_what_was_just_asked_for_stays(kept: Kept) -> None:
    app = site(upload=True)
    contents = [tar_of({"a": str(at).encode()}) for at in range(4)]
    for at, content in enumerate(contents):
        await kept.push(app, content, f"v{at}")
        kept.clock.advance(60)
    kept.age()
    await kept.source.resolve(app, "v0", None)
    await kept.push(app, tar_of({"a": b"new"}), "new")
    assert sha256(contents[0]) in kept.names()
    assert sha256(contents[1]) not in kept.names()


async def test_a_full_disk_is_told_before_anything_is_written(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 256_000_000

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    with pytest.raises(UserError, match="The bot's disk has 256 MB free, which is too little"):
        await kept.source.receive(site(upload=True), upload_of(b"abc"), 0, pieces(b"abc"))
