"""Find the artifact that a ref means, download it or take its upload, and prepare it for servers."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit
from weakref import WeakValueDictionary

from deploybot.disk_files import sha256_of
from deploybot.domain import ArtifactSource, NamedRef, Release
from deploybot.errors import Unreachable, UploadRefused, UserError
from deploybot.ports import ArtifactUpload, Clock
from deploybot.settings import App, ArtifactSettings
from deploybot.sources.artifact_archive import pack
from deploybot.sources.artifact_checksums import checksum_in
from deploybot.sources.artifact_folder import ArtifactFolder, UploadedArtifact, size_of
from deploybot.sources.artifact_uploads import alone, received
from deploybot.sources.forge_access import forge_artifacts, forge_server
from deploybot.sources.forge_artifacts import forge_file
from deploybot.sources.ref_names import check_ref
from deploybot.units import show_duration, show_size

if TYPE_CHECKING:
    from deploybot.sources.artifact_http import ArtifactServer

Needed = Callable[[App], Awaitable[Collection[str]]]
"""Returns the ids of the releases of an app that may still be sent to a server."""
_LITERAL = 64
_UNKNOWN = "0" * _LITERAL
HASH_WITHIN = 540.0
"""A plan waits for the download, for another of the same file, and for the packing: less than a command may take."""
_REF_DIGITS = 12
_REFS = "Use letters, digits, dots, dashes and slashes, such as 1.4.2."
_OFFERED = 3
_CONFLICT = 409
_UNPROCESSABLE = 422


class Artifacts:
    """The artifacts of all apps, in a folder for each below `data/artifacts`. Implements ports.ArtifactUploads."""

    def __init__(self, data: Path, clock: Clock, needed: Needed, *, hash_within: float = HASH_WITHIN) -> None:
        """Take the data folder, the clock, what finds the releases whose artifacts are kept, and seconds for a plan."""
        self._data = data.absolute() / "artifacts"
        self._clock = clock
        self._needed = needed
        self._hash_within = hash_within
        self._checked: set[Path] = set()
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def resolve(self, app: App, ref: str, commit: Release | None) -> Release:
        """Return the release that a ref means now. `commit` is what it means in the repository, if that is needed.

        Raises UserError if there is no such artifact, and Unreachable if that cannot be found out.
        """
        check_ref(ref, app.name, _REFS)
        asks = _asked(app)
        if asks.upload:
            return await self._uploaded(app, ref)
        name = ref or (commit.ref if commit else "")
        if asks.on_forge:
            return replace(commit or Release(None), source=await self._built(app, asks, commit, name), ref=name)
        if "{ref}" in f"{asks.url}{asks.sha256}" and not name:
            raise UserError(f"Which version of {app.name}?", hint=f"Name it, such as {app.name}@1.4.2.")
        if ref and "{" not in f"{asks.url}{asks.sha256}":
            raise UserError(f"{app.name} has one artifact, without versions.", hint=f"Deploy it: deploy {app.name}")
        return await self._published(app, asks, commit or Release(None), name)

    async def _published(self, app: App, asks: ArtifactSettings, commit: Release, ref: str) -> Release:
        url, checksum = (filled(text or "", ref, commit.code or "") for text in (asks.url, asks.sha256))
        server, name = _server(app, url), file_name(filled(asks.name or url, ref, commit.code or ""))
        sha256 = checksum if len(checksum) == _LITERAL else checksum_in(await server.text(checksum), name, checksum)
        size = await server.size(url)
        _insist_on_size(asks, url, size)
        return replace(commit, source=ArtifactSource(sha256, name, url, size), ref=ref)

    async def _built(self, app: App, asks: ArtifactSettings, commit: Release | None, ref: str) -> ArtifactSource:
        """Return what the forge built from a commit. If it gives no SHA-256, the file is downloaded for that."""
        code, folder = (commit.code if commit else None) or "", self._folder(app)
        forge = forge_artifacts(app)
        found = await forge_file(forge, code)
        if not found.sha256 and (old := await asyncio.to_thread(folder.from_url, found.url)):
            return old
        what = f"The {forge.what} of {found.build}"
        here = await asyncio.to_thread(folder.packed, found.sha256) if found.sha256 and found.gone else None
        if found.gone and here is None:
            raise UserError(
                f"{what} {found.gone}.",
                hint="Start the build again for this commit, then deploy.",
            )
        _insist_on_size(asks, what, found.size)
        name = file_name(filled(asks.name, ref, code)) if asks.name else _zip_name(asks)
        file = ArtifactSource(found.sha256 or _UNKNOWN, name, found.url, found.size)
        return file if found.sha256 else await self._hashed(app, asks, folder, file)

    async def _hashed(
        self, app: App, asks: ArtifactSettings, folder: ArtifactFolder, file: ArtifactSource
    ) -> ArtifactSource:
        """Download a file whose SHA-256 nobody says, and keep it. Return it with its SHA-256."""
        try:
            async with asyncio.timeout(self._hash_within):
                return await self._hashed_here(app, asks, folder, file)
        except TimeoutError:
            why = f"it was not downloaded and packed within {show_duration(self._hash_within)}"
            raise Unreachable(file.url.partition("#")[0], why, hint="Build a smaller one, or try again.") from None

    async def _hashed_here(
        self, app: App, asks: ArtifactSettings, folder: ArtifactFolder, file: ArtifactSource
    ) -> ArtifactSource:
        async with self._locks.setdefault((app.name, file.url), asyncio.Lock()):
            if old := await asyncio.to_thread(folder.from_url, file.url):
                return old
            await self._clean(app)
            await asyncio.to_thread(folder.insist_on_room, file.size, asks.max_size)
            # Under a name of its own: another process may download it, too, and there is no checksum that would tell.
            part = await asyncio.to_thread(folder.incoming, secrets.token_hex(32))
            try:
                got = await _server(app, file.url).save(file.url, part, most=asks.max_size)
                return await self._taken(app, asks, folder, part, replace(file, sha256=got))
            finally:
                await asyncio.to_thread(part.unlink, missing_ok=True)

    async def _taken(
        self, app: App, asks: ArtifactSettings, folder: ArtifactFolder, part: Path, file: ArtifactSource
    ) -> ArtifactSource:
        """Prepare a file that was downloaded to `part`, unless the same bytes are here already."""
        async with self._locks.setdefault((app.name, file.sha256), asyncio.Lock()):
            if await asyncio.to_thread(folder.packed, file.sha256) is None:
                own = await asyncio.to_thread(folder.incoming, file.sha256)
                await asyncio.to_thread(part.replace, own)
                try:
                    await self._prepared(asks, folder, file)
                finally:
                    await asyncio.to_thread(own.unlink, missing_ok=True)
            else:
                await asyncio.to_thread(folder.describe, file)
            return await asyncio.to_thread(folder.about, file.sha256) or file

    async def _uploaded(self, app: App, ref: str) -> Release:
        folder = self._folder(app)
        uploads = await asyncio.to_thread(folder.uploads)
        found = _meant(uploads, ref)
        if found is None:
            refs = ", ".join(one.ref for one in uploads[:_OFFERED])
            hint = f"Uploaded: {refs}." if refs else "Nothing is uploaded yet."
            what = f"with the ref `{ref}` " if ref else ""
            raise UserError(
                f"There is no artifact {what}of {app.name}.",
                hint=f"{hint} Upload it: deploybot push FILE --app {app.name} --ref {ref or '1.4.2'}",
            )
        await asyncio.to_thread(folder.packed, found.sha256)
        about = await asyncio.to_thread(folder.about, found.sha256)
        return Release(about or ArtifactSource(found.sha256), ref=found.ref)

    async def newest(self, app: App) -> tuple[NamedRef, ...]:
        """Return the refs of the uploads of an app, newest first."""
        found = await asyncio.to_thread(self._folder(app).uploads)
        return tuple(NamedRef(name=one.ref, commit=one.sha256, at=one.at, is_tag=True) for one in found)

    async def packed(self, app: App, file: ArtifactSource) -> Path:
        """Return an artifact as servers get it. Download and check it if it is not here.

        Raises UserError if it is refused or gone, and Unreachable.
        """
        asks, folder = _asked(app), self._folder(app)
        async with self._locks.setdefault((app.name, file.sha256), asyncio.Lock()):
            if (found := await asyncio.to_thread(folder.packed, file.sha256)) is not None:
                return found
            known = await self._known(app, file)
            if not known.url:
                raise UserError(
                    f"The artifact {file.sha256[:12]}… of {app.name} is not on the bot any more.",
                    hint=f"Upload it again: deploybot push FILE --app {app.name}",
                )
            return await self._downloaded(app, asks, folder, known)

    async def has(self, app: App, file: ArtifactSource) -> bool:
        """Return whether `packed` can return an artifact: it is here, or has an address."""
        if await asyncio.to_thread(self._folder(app).packed, file.sha256):
            return True
        return bool((await self._known(app, file)).url)

    async def _known(self, app: App, file: ArtifactSource) -> ArtifactSource:
        """Return an artifact with what is known of it here, if its address is unknown."""
        about = None if file.url else await asyncio.to_thread(self._folder(app).about, file.sha256)
        return about or file

    async def _downloaded(self, app: App, asks: ArtifactSettings, folder: ArtifactFolder, file: ArtifactSource) -> Path:
        await self._clean(app)
        await asyncio.to_thread(folder.insist_on_room, file.size, asks.max_size)
        part = await asyncio.to_thread(folder.incoming, file.sha256)
        try:
            got = await _server(app, file.url).save(file.url, part, most=asks.max_size)
            if got != file.sha256:
                raise UserError(
                    f"{file.url} has the SHA-256 {got}, but its checksum is {file.sha256}.",
                    hint="Nothing was switched. Was it built again since it was requested?",
                )
            return await self._prepared(asks, folder, file)
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)

    async def _prepared(self, asks: ArtifactSettings, folder: ArtifactFolder, file: ArtifactSource) -> Path:
        """Make what servers get of a file that has been received. Raises UserError if it is refused."""
        part = await asyncio.to_thread(folder.incoming, file.sha256)
        draft = await asyncio.to_thread(folder.drafted, file.sha256)
        try:
            await pack(part, draft, file.name, most=asks.max_unpacked)
            size = (await asyncio.to_thread(part.stat)).st_size
            return await asyncio.to_thread(folder.keep, replace(file, size=size), draft)
        finally:
            await asyncio.to_thread(draft.unlink, missing_ok=True)

    async def offset(self, app: App, upload: ArtifactUpload) -> int:
        """Return how many bytes of an upload are here."""
        folder = self._folder(app)
        if await asyncio.to_thread(folder.packed, upload.sha256):
            return upload.size
        part = await asyncio.to_thread(folder.incoming, upload.sha256)
        there = await asyncio.to_thread(size_of, part)
        return there if there <= upload.size else 0

    async def receive(self, app: App, upload: ArtifactUpload, offset: int, pieces: AsyncIterator[bytes]) -> int:
        """Take bytes from an offset on. Return how many are here now. See the port."""
        asks, folder, ref = _asked(app), self._folder(app), _ref(app, upload)
        if upload.size > asks.max_size:
            limit = show_size(asks.max_size)
            raise UploadRefused(
                f"{upload.name} has more than {limit}.", hint="Build a smaller one, or raise `max_size`.", status=413
            )
        await self._clean(app)
        await asyncio.to_thread(folder.insist_on_ref, ref, upload.sha256)
        if not await asyncio.to_thread(folder.packed, upload.sha256):
            part = await asyncio.to_thread(folder.incoming, upload.sha256)
            with self._alone(part, upload):
                await asyncio.to_thread(folder.bound_incoming, upload.sha256, asks.max_size)
                await asyncio.to_thread(folder.insist_on_room, upload.size)
                there = await received(part, upload, offset, pieces)
                if there < upload.size:
                    return there
                await self._accept(asks, folder, part, upload)
        await asyncio.to_thread(folder.name, ref, upload.sha256, self._clock.now())
        return upload.size

    @contextlib.contextmanager
    def _alone(self, part: Path, upload: ArtifactUpload) -> Iterator[None]:
        """Hold the lock of an app's uploads. Raises UploadRefused if another one runs, or this one is being checked."""
        if part in self._checked:
            raise UploadRefused(
                f"{upload.name} is complete and is being checked.",
                hint="Ask again in 10 s: PATCH from its end on, with an empty body.",
                status=_CONFLICT,
                offset=upload.size,
            )
        with alone(part.parent / ".lock"):
            yield

    async def _accept(self, asks: ArtifactSettings, folder: ArtifactFolder, part: Path, upload: ArtifactUpload) -> None:
        """Compare a complete upload with its SHA-256, and prepare it. It is deleted if it is refused."""
        self._checked.add(part)
        try:
            got = await asyncio.to_thread(sha256_of, part)
            if got != upload.sha256:
                raise UploadRefused(
                    f"What arrived of {upload.name} has the SHA-256 {got}, not {upload.sha256}.",
                    hint="Upload it again.",
                    status=_UNPROCESSABLE,
                )
            await self._prepared(asks, folder, ArtifactSource(upload.sha256, upload.name, "", upload.size))
        except UserError:
            await asyncio.to_thread(part.unlink, missing_ok=True)
            raise
        finally:
            self._checked.discard(part)

    async def uploaded(self, app: App, upload: ArtifactUpload) -> Release:
        """Return the release of an upload that is complete."""
        return await self._uploaded(app, _ref(app, upload))

    async def _clean(self, app: App) -> None:
        needed = [Release.by_id(one).file for one in await self._needed(app)]
        keep = max(there.keep for there in app.everywhere())
        await asyncio.to_thread(self._folder(app).clean, {one.sha256 for one in needed if one is not None}, keep)

    def _folder(self, app: App) -> ArtifactFolder:
        return ArtifactFolder(self._data / app.name)


def filled(template: str, ref: str, commit: str) -> str:
    """Return an address with a ref and a commit. Each is escaped, so a ref can neither add a folder nor a query."""
    return template.replace("{ref}", quote(ref, safe="")).replace("{sha}", quote(commit, safe=""))


def file_name(url: str) -> str:
    """Return the name of the file at an address: the last part of its path, also of a ref with slashes."""
    return unquote(urlsplit(url).path).rpartition("/")[2]


def _server(app: App, home: str) -> ArtifactServer:
    """Return the host of an app's artifacts. aiohttp takes 20 MB, so it is imported when it is needed."""
    from deploybot.sources.artifact_http import ArtifactServer  # noqa: PLC0415  see above

    asks = _asked(app)
    if asks.on_forge:
        return forge_server(app)
    address = filled(asks.url or home, "ref", "sha")
    return ArtifactServer(address, asks.token.reveal() if asks.token else "")


def _insist_on_size(asks: ArtifactSettings, what: str, size: int) -> None:
    if size > asks.max_size:
        raise UserError(
            f"{what} has {show_size(size)}, and `max_size` is {show_size(asks.max_size)}.",
            hint="Build a smaller one, or raise `max_size`.",
        )


def _zip_name(asks: ArtifactSettings) -> str:
    """Return the name of what a forge gives: always a zip, unless bot.toml says otherwise."""
    return f"{asks.actions or asks.job}.zip".replace("/", "-")


def _asked(app: App) -> ArtifactSettings:
    if app.artifact is None:
        raise UserError(f"{app.name} has no artifacts.", hint=f"Set apps.{app.name}.artifact in bot.toml.")
    return app.artifact


def _ref(app: App, upload: ArtifactUpload) -> str:
    check_ref(upload.ref, app.name, _REFS)
    return upload.ref or upload.sha256[:_REF_DIGITS]


def _meant(uploads: Sequence[UploadedArtifact], ref: str) -> UploadedArtifact | None:
    """Return the upload that a ref means: an exact ref first, then the beginning of one SHA-256. Raises UserError."""
    exact = next((one for one in uploads if ref in {"", one.ref}), None)
    begun = {one.sha256: one for one in uploads if one.begins_with(ref)}
    if exact is None and len(begun) > 1:
        raise UserError(
            f"`{ref}` is the beginning of several artifacts.", hint="Write more digits of the SHA-256, or a ref."
        )
    return exact or next(iter(begun.values()), None)
