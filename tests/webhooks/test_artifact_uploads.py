"""Uploads of artifacts by HTTP: who may, what is said, and how little of a body is read."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType

import aiohttp
import pytest

from deploybot.domain import ArtifactSource, Release
from deploybot.errors import Unreachable, UploadRefused, UserError
from deploybot.http_server import WebServer
from deploybot.ports import ArtifactUpload
from deploybot.settings import App, Secret
from deploybot.testing import FakeClock
from deploybot.webhooks.artifact_receiver import ArtifactReceiver, upload_in
from deploybot.webhooks.delivery_signatures import Standard
from tests.kit.settings import bot_settings

SECRET = "0123456789abcdefABCDEFghijkl"
NOTHING: Mapping[str, object] = MappingProxyType({})
CONTENT = b"0123456789" * 1000


@dataclass
class Uploads:
    """Takes uploads into memory."""

    there: bytes = b""
    fails: Exception | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def offset(self, app: App, upload: ArtifactUpload) -> int:
        assert (app.name, upload.name) == ("site", "site.tar.gz")
        return len(self.there)

    async def receive(self, app: App, upload: ArtifactUpload, offset: int, pieces: AsyncIterator[bytes]) -> int:
        assert (app.name, upload.size) == ("site", len(CONTENT))
        if self.fails:
            raise self.fails
        self.there = self.there[:offset]
        async for piece in pieces:
            self.there += piece
            self.begun.set()
        return len(self.there)

    async def uploaded(self, app: App, upload: ArtifactUpload) -> Release:
        assert app.name == "site"
        return Release(ArtifactSource(upload.sha256), ref=upload.ref)


@dataclass
class Calls:
    """Calls the server as build scripts do."""

    uploads: Uploads
    clock: FakeClock
    address: str

    def headers(
        self, method: str = "POST", *, secret: str = SECRET, at: float = 0.0, changed: Mapping[str, object] = NOTHING
    ) -> dict[str, str]:
        described = {"app": "site", "ref": "1.4.2", "name": "site.tar.gz", "size": len(CONTENT), "method": method}
        described |= {"sha256": sha256(CONTENT).hexdigest(), **changed}
        text = json.dumps(described)
        signed = Standard().sign(text.encode(), secret, delivery=os.urandom(8).hex(), at=at or self.clock.now())
        return {"Artifact": text, **signed.headers}

    async def call(
        self, headers: dict[str, str], body: bytes | AsyncIterator[bytes] = CONTENT, method: str = "POST"
    ) -> tuple[int, dict[str, str], dict[str, str]]:
        url = f"http://{self.address}/artifacts/site"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, headers=headers, data=body) as answer,
        ):
            text = await answer.text()
            return answer.status, dict(answer.headers), json.loads(text) if text.startswith("{") else {}


@asynccontextmanager
async def calls_to(uploads: Uploads, **more: float) -> AsyncIterator[Calls]:
    clock = FakeClock()
    secret = Secret(env="S")
    secret.fill(SECRET)
    server = WebServer("127.0.0.1:0", dict, max_body=1000)
    ArtifactReceiver(uploads, clock, **more).open(server, bot_settings(apps={"site": {}}).apps["site"], secret)
    await server.start()
    try:
        yield Calls(uploads, clock, server.address)
    finally:
        await server.close()


@pytest.fixture
async def calls() -> AsyncIterator[Calls]:
    async with calls_to(Uploads()) as made:
        yield made


async def test_a_file_that_is_larger_than_a_webhook_may_be_is_taken(calls: Calls) -> None:
    status, headers, answer = await calls.call(calls.headers())
    digest = sha256(CONTENT).hexdigest()
    assert (status, headers["Upload-Offset"], calls.uploads.there) == (200, "10000", CONTENT)
    assert answer == {"result": "kept", "ref": "1.4.2", "release": f"artifact-{digest}", "deploy": "deploy site@1.4.2"}


async def test_an_upload_goes_on(calls: Calls) -> None:
    status, headers, _ = await calls.call({**calls.headers("PATCH"), "Upload-Offset": "0"}, CONTENT[:4000], "PATCH")
    assert (status, headers["Upload-Offset"]) == (204, "4000")
    status, headers, _ = await calls.call(calls.headers("HEAD"), b"", "HEAD")
    assert (status, headers["Upload-Offset"]) == (200, "4000")
    rest = calls.headers("PATCH", changed={"offset": 4000})
    status, _, answer = await calls.call({**rest, "Upload-Offset": "4000"}, CONTENT[4000:], "PATCH")
    assert (status, answer["result"], calls.uploads.there) == (200, "kept", CONTENT)


async def test_curl_waits_for_an_invitation(calls: Calls) -> None:
    status, _, _ = await calls.call({**calls.headers(), "Expect": "100-continue"})
    assert status == 200
    forged = calls.headers(secret="another secret of sixteen")
    assert (await calls.call({**forged, "Expect": "100-continue"}))[0] == 403


@pytest.mark.parametrize("method", ["POST", "PATCH", "HEAD"])
async def test_nothing_is_read_without_a_good_signature(calls: Calls, method: str) -> None:
    good = calls.headers(method)
    bad = [
        {},
        {"Authorization": f"Bearer {SECRET}", "Artifact": good["Artifact"]},
        calls.headers(method, secret="another secret of sixteen"),
        calls.headers(method, at=calls.clock.now() - 400),
        {**good, "Artifact": good["Artifact"].replace("1.4.2", "1.4.3")},
        {**good, "Artifact": calls.headers(method, changed={"size": 5})["Artifact"]},
        {name: value for name, value in good.items() if name != "Artifact"},
    ]
    for headers in bad:
        status, _, answer = await calls.call(
            {**headers, "Upload-Offset": "0"}, b"" if method == "HEAD" else b"x", method
        )
        assert status == 403
        assert method == "HEAD" or answer["error"] == "The signature is missing or wrong."
    assert calls.uploads.there == b""


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"app": "shop"}, 'is not about site. It should have "app": "site".'),
        ({"name": "a/b"}, "An artifact needs the name of a file."),
        ({"name": 7}, '"name" in the header Artifact should be the name of a file.'),
        ({"method": 7}, '"method" in the header Artifact should be the method of the request, such as "POST".'),
        ({"offset": -1}, '"offset" in the header Artifact should be a number of bytes.'),
        ({"offset": True}, '"offset" in the header'),
        ({"offset": "0"}, '"offset" in the header'),
        ({"size": 0}, '"size" in the header Artifact should be a number of bytes.'),
        ({"size": True}, '"size" in the header'),
        ({"size": "5"}, '"size" in the header'),
        ({"sha256": "A" * 64}, '"sha256" in the header Artifact should have 64 digits of 0-9 and a-f.'),
        ({"ref": 5}, '"ref" in the header Artifact should be a text.'),
        ({"tag": "x"}, "has the unknown key tag. Keys: app, method, name, offset, ref, sha256, size."),
    ],
)
async def test_a_description_that_makes_no_sense_is_refused(
    calls: Calls, changed: dict[str, object], words: str
) -> None:
    status, _, answer = await calls.call(calls.headers(changed=changed), b"x")
    assert (status, calls.uploads.there) == (400, b"")
    assert words in answer["error"]


@pytest.mark.parametrize("described", [b"", b"[]", b"{", b"\xff", b'"x"'])
def test_only_an_object_describes_an_upload(described: bytes) -> None:
    with pytest.raises(UploadRefused, match="The header Artifact cannot be read"):
        upload_in(described, "site")


def test_a_ref_may_be_missing() -> None:
    text = json.dumps({"app": "site", "name": "a", "size": 1, "sha256": "a" * 64, "method": "POST"})
    assert upload_in(text.encode(), "site") == (ArtifactUpload(name="a", size=1, sha256="a" * 64), "POST", 0)


@pytest.mark.parametrize(("method", "offset"), [("PATCH", None), ("PATCH", "-1"), ("POST", "x"), ("PATCH", "1" * 16)])
async def test_an_offset_is_a_number(calls: Calls, method: str, offset: str | None) -> None:
    more = {"Upload-Offset": offset} if offset is not None else {}
    status, _, answer = await calls.call({**calls.headers(method), **more}, b"x", method)
    assert (status, answer["error"]) == (400, "Upload-Offset should be a number of bytes.")


@pytest.mark.parametrize(
    ("problem", "status", "words"),
    [
        (UploadRefused("It goes on elsewhere.", status=409, offset=7), 409, "It goes on elsewhere."),
        (UserError("It is bad.", hint="Make it good."), 422, "It is bad. Make it good."),
        (Unreachable("the disk", "it is gone"), 503, "The upload cannot be stored now."),
        (OSError("no space"), 503, "The upload cannot be stored now."),
    ],
)
async def test_a_refusal_says_why(calls: Calls, problem: Exception, status: int, words: str) -> None:
    calls.uploads.fails = problem
    got, headers, answer = await calls.call(calls.headers(), b"x")
    assert (got, answer["error"], headers.get("Upload-Offset", "")) == (status, words, "7" if status == 409 else "")


@pytest.mark.parametrize("method", ["POST", "PATCH", "HEAD"])
async def test_a_signature_is_for_one_request(calls: Calls, method: str) -> None:
    body = b"" if method == "HEAD" else CONTENT
    taken = {**calls.headers(method), "Upload-Offset": "0"}
    assert (await calls.call(taken, body, method))[0] == 200
    status, _, answer = await calls.call(taken, body, method)
    assert (status, answer.get("error", "")) == (
        403,
        "" if method == "HEAD" else "This webhook-id was used before. Sign each request with a new one.",
    )
    for other in {"POST", "PATCH"} - {method}:
        status, _, answer = await calls.call({**calls.headers(method), "Upload-Offset": "0"}, CONTENT, other)
        assert (status, answer["error"]) == (400, f"The request is {other}, but it was signed for {method}.")
    calls.clock.advance(601)
    assert (await calls.call(taken, body, method))[0] == 403, "its time is over before its id is forgotten"


@pytest.mark.parametrize(("signed", "given"), [(0, "4000"), (4000, "0"), (4000, "40")])
async def test_an_offset_is_signed(calls: Calls, signed: int, given: str) -> None:
    headers = {**calls.headers("PATCH", changed={"offset": signed}), "Upload-Offset": given}
    status, _, answer = await calls.call(headers, b"x", "PATCH")
    assert (status, calls.uploads.there) == (400, b"")
    assert answer["error"] == 'Upload-Offset should be the number of bytes that was signed as "offset".'


async def test_a_body_that_is_too_long_is_refused_before_it_is_read(calls: Calls) -> None:
    headers = {**calls.headers("PATCH", changed={"offset": 9990}), "Upload-Offset": "9990"}
    status, _, answer = await calls.call(headers, CONTENT[9989:], "PATCH")
    assert (status, answer["error"]) == (400, "The body is longer than the 10 bytes that are left.")
    assert not calls.uploads.begun.is_set()


async def test_a_client_that_is_too_slow_is_given_up() -> None:
    async with calls_to(Uploads(), stalled_after=0.5) as calls:

        async def drips() -> AsyncIterator[bytes]:
            for at in range(len(CONTENT)):
                yield CONTENT[at : at + 1]
                await asyncio.sleep(0.01)

        status, _, answer = await calls.call(calls.headers(), drips())
        assert (status, answer["error"]) == (408, "Less than 1024 bytes a second arrived for 0.5 s.")


async def test_an_encoded_body_is_refused(calls: Calls) -> None:
    assert (await calls.call({**calls.headers(), "Content-Encoding": "gzip"}, b"x"))[0] == 415


async def test_a_client_that_stalls_is_given_up() -> None:
    async with calls_to(Uploads(), stalled_after=0.2) as calls:

        async def stalls() -> AsyncIterator[bytes]:
            yield CONTENT[:10]
            await asyncio.sleep(30)

        begun = time.monotonic()
        status, _, answer = await calls.call(calls.headers(), stalls())
        assert (status, answer["error"]) == (408, "Less than 1024 bytes a second arrived for 0.2 s.")
        assert time.monotonic() - begun < 10
        assert calls.uploads.there == CONTENT[:10]


async def test_what_arrived_before_a_connection_broke_stays(calls: Calls) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield CONTENT[:10]
        await calls.uploads.begun.wait()
        raise ConnectionResetError

    with pytest.raises(aiohttp.ClientError):
        await calls.call(calls.headers(), breaks())
    assert calls.uploads.there == CONTENT[:10]


async def test_guesses_are_limited(calls: Calls) -> None:
    found = {(await calls.call({}, b"x"))[0] for _ in range(35)}
    assert found == {403, 429}
    assert (await calls.call(calls.headers()))[0] == 200, "who knows the secret is never limited"


async def test_other_methods_are_refused(calls: Calls) -> None:
    assert (await calls.call(calls.headers(), b"x", "PUT"))[0] == 405
