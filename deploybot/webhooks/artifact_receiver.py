"""Take artifacts by HTTP: `POST /artifacts/APP`, signed like events, and resumable.

The header `Artifact` describes the file as JSON. It is signed as Standard Webhooks sign a body, and contains the
SHA-256 of the file, the method and the offset. So the signature covers every byte, and is checked before the first one
is read. A webhook-id is taken once. A replay after a restart brings the same bytes to the same place.

An upload that broke off goes on as with tus (https://tus.io/protocols/resumable-upload, 1.0.0): `HEAD` returns
`Upload-Offset`, and `PATCH` sends the rest with that header. A wrong offset is answered with 409.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import time
from collections.abc import AsyncIterator
from typing import NoReturn

from aiohttp import hdrs, web

from deploybot.bounded_memory import SeenKeys
from deploybot.errors import DeploybotError, UploadRefused, UserError
from deploybot.http_server import WebServer, invite
from deploybot.metrics import METRICS
from deploybot.ports import ArtifactUpload, ArtifactUploads, Clock
from deploybot.settings import App, Secret
from deploybot.token_bucket import TokenBucket
from deploybot.untrusted_input import Unreadable, json_of, object_of
from deploybot.webhooks.body_reading import plain
from deploybot.webhooks.delivery_signatures import TOLERANCE, Standard
from deploybot.webhooks.sender_port import ForgedError, Received

STALLED_AFTER = 60.0
WITHIN = 6 * 3600.0
_METRIC = "artifact"
_HEADER = "Artifact"
_OFFSET = "Upload-Offset"
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,15}", re.ASCII)
_PIECE = 256 << 10
_LEAST_RATE = 1024
_MOST_IDS = 100_000
_REFUSALS = 30
_MINUTE = 60.0
_RESULTS = {200: "kept", 204: "kept", 403: "forged", 413: "too_large", 429: "limited", 503: "unkept"}
KEYS = frozenset({"app", "method", "name", "offset", "ref", "sha256", "size"})
"""The keys of the header, of which `offset` and `ref` may be missing."""
log = logging.getLogger(__name__)


class ArtifactReceiver:
    """Answers at `/artifacts/APP` for each app whose uploads have a secret."""

    def __init__(self, uploads: ArtifactUploads, clock: Clock, *, stalled_after: float = STALLED_AFTER) -> None:
        """Take what stores uploads, and the clock.

        A client that sends less than 1 KiB a second for `stalled_after` seconds is given up.
        """
        self._uploads = uploads
        self._clock = clock
        self._stalled_after = stalled_after
        self._proof = Standard()
        # A signed time may be TOLERANCE ahead, and is good until TOLERANCE after.
        self._used = SeenKeys(_MOST_IDS, forget_after=2 * TOLERANCE)

    def open(self, server: WebServer, app: App, secret: Secret) -> None:
        """Answer for an app. Call this before the server starts."""
        bucket = TokenBucket(_REFUSALS / _MINUTE, _REFUSALS)
        server.add_upload(address_of(app.name), functools.partial(self._take, app, secret, bucket))

    async def _take(self, app: App, secret: Secret, bucket: TokenBucket, request: web.Request) -> web.Response:
        try:
            upload, offset = self._described(app, secret, request)
            answer = await self._answer(app, upload, offset, request)
        except ForgedError as problem:
            log.info("%s: refused: %s", request.path, problem)
            # Only forged requests are limited, so they cannot use up the limit of those who know the secret.
            many = bool(bucket.take_if_free(time.monotonic()))
            answer = _refused(UploadRefused("The signature is missing or wrong.", status=429 if many else 403))
        except UploadRefused as problem:
            answer = _refused(problem)
        except UserError as problem:
            answer = _refused(UploadRefused(problem.sentence, hint=problem.hint, status=422))
        except (DeploybotError, OSError) as problem:
            log.warning("%s: an upload failed: %s", request.path, problem)
            answer = _refused(UploadRefused("The upload cannot be stored now.", status=503))
        METRICS.webhooks.add(_METRIC, _RESULTS.get(answer.status, "malformed"))
        return answer

    def _described(self, app: App, secret: Secret, request: web.Request) -> tuple[ArtifactUpload, int]:
        """Return the upload that a request is about, and its offset.

        Raises ForgedError, and UploadRefused for what makes no sense.
        """
        headers: dict[str, list[str]] = {}
        for raw, content in request.raw_headers:
            headers.setdefault(raw.decode("latin-1").lower(), []).append(content.decode("utf-8", "surrogateescape"))
        unsigned = Received(headers=headers, body=b"", query={}, at=self._clock.now())
        described = unsigned.one(_HEADER.lower()).encode("utf-8", "surrogateescape")
        received = Received(headers=headers, body=described, query={}, at=unsigned.at)
        self._proof.verify(received, secret.reveal())
        if not self._used.first_time((app.name, unsigned.one("webhook-id")), unsigned.at):
            _refuse("This webhook-id was used before.", status=403, hint="Sign each request with a new one.")
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            _refuse("Content-Encoding is not supported.", status=415, hint="Send the file as it is.")
        upload, method, offset = upload_in(described, app.name)
        if method != request.method:
            _refuse(f"The request is {request.method}, but it was signed for {plain(method)}.")
        if str(offset) != _offset_in(request):
            _refuse(f'{_OFFSET} should be the number of bytes that was signed as "offset".')
        if (request.content_length or 0) > upload.size - offset:
            _refuse(f"The body is longer than the {max(upload.size - offset, 0)} bytes that are left.")
        return upload, offset

    async def _answer(self, app: App, upload: ArtifactUpload, offset: int, request: web.Request) -> web.Response:
        if request.method == hdrs.METH_HEAD:
            return web.Response(headers={_OFFSET: str(await self._uploads.offset(app, upload))})
        await invite(request)
        try:
            async with asyncio.timeout(WITHIN):
                there = await self._uploads.receive(app, upload, offset, self._pieces(request))
        except TimeoutError:
            raise UploadRefused("The upload took too long.", status=408) from None
        if there < upload.size:
            return web.Response(status=204, headers={_OFFSET: str(there)})
        release = await self._uploads.uploaded(app, upload)
        log.info("%s: %s was uploaded as %s", request.path, plain(upload.name), release)
        answer = {
            "result": "kept",
            "ref": release.ref,
            "release": release.id,
            "deploy": f"deploy {app.name}@{release.ref}",
        }
        return web.json_response(answer, headers={_OFFSET: str(there)})

    async def _pieces(self, request: web.Request) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. Raises UploadRefused if it is too slow or breaks off."""
        loop = asyncio.get_running_loop()
        ends, got = loop.time() + self._stalled_after, 0
        while True:
            try:
                async with asyncio.timeout_at(ends):
                    piece = await request.content.read(_PIECE)
            except TimeoutError:
                raise UploadRefused(
                    f"Less than {_LEAST_RATE} bytes a second arrived for {self._stalled_after:g} s.", status=408
                ) from None
            except (ConnectionError, web.RequestPayloadError):
                raise UploadRefused("The upload broke off.", status=400) from None
            if not piece:
                return
            got += len(piece)
            now = loop.time()
            if got >= _LEAST_RATE * self._stalled_after:
                ends, got = now + self._stalled_after, 0
            yield piece
            # The time that the disk took is not the client's.
            ends += loop.time() - now


def address_of(app: str) -> str:
    """Return the path at which artifacts of an app are uploaded."""
    return f"/artifacts/{app}"


def upload_in(described: bytes, app: str) -> tuple[ArtifactUpload, str, int]:
    """Return the upload that the header describes, the method, and the offset (0 if there is none).

    Raises UploadRefused if it is none for this app.
    """
    try:
        found = object_of(json_of(described), _HEADER)
    except Unreadable as problem:
        raise UploadRefused(f"The header {_HEADER} cannot be read: {problem}.", status=400) from None
    if strange := found.keys() - KEYS:
        _refuse(
            f"The header {_HEADER} has the unknown key {plain(min(strange))}.",
            hint=f"Keys: {', '.join(sorted(KEYS))}.",
        )
    name, size, sha256, ref = (found.get(key) for key in ("name", "size", "sha256", "ref"))
    method, offset = found.get("method"), found.get("offset", 0)
    if found.get("app") != app:
        _refuse(f"The header {_HEADER} is not about {app}.", hint=f'It should have "app": "{app}".')
    if not isinstance(method, str):
        _refuse(f'"method" in the header {_HEADER} should be the method of the request, such as "POST".')
    if not isinstance(offset, int) or isinstance(offset, bool) or offset < 0:
        _refuse(f'"offset" in the header {_HEADER} should be a number of bytes.')
    if not isinstance(name, str):
        _refuse(f'"name" in the header {_HEADER} should be the name of a file.')
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        _refuse(f'"size" in the header {_HEADER} should be a number of bytes.')
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        _refuse(f'"sha256" in the header {_HEADER} should have 64 digits of 0-9 and a-f.')
    if not isinstance(ref, str | None):
        _refuse(f'"ref" in the header {_HEADER} should be a text.')
    return ArtifactUpload(name=name, size=size, sha256=sha256, ref=ref or ""), method, offset


def _offset_in(request: web.Request) -> str:
    given = request.headers.get(_OFFSET, "" if request.method == hdrs.METH_PATCH else "0")
    if not _DIGITS.fullmatch(given):
        _refuse(f"{_OFFSET} should be a number of bytes.")
    return given


def _refuse(sentence: str, *, status: int = 400, hint: str = "") -> NoReturn:
    raise UploadRefused(sentence, hint=hint, status=status)


def _refused(problem: UploadRefused) -> web.Response:
    headers = {_OFFSET: str(problem.offset)} if problem.offset >= 0 else {}
    answer = web.json_response(
        {"result": "refused", "error": f"{problem.sentence} {problem.hint}".strip()},
        status=problem.status,
        headers=headers,
    )
    answer.force_close()  # the rest of the body is not read
    return answer
