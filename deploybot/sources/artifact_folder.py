"""The folder of an app's artifacts on the bot: `data/artifacts/APP`. Files get their names only when they are complete.

- `SHA.tar.gz` is an artifact as servers get it, `SHA.json` describes it.
- `refs/…` has a file for each name that an upload was given.
- `incoming/SHA.part` is a file that is still being received.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from deploybot.disk_files import sync_folder, write_whole
from deploybot.domain import ArtifactSource
from deploybot.errors import UserError
from deploybot.units import show_size
from deploybot.untrusted_input import Unreadable, json_of

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PACKED = ".tar.gz"
_YOUNG = 3600.0
_STALE = 86_400.0
_SPARE = 256_000_000
_LEAST_DIGITS = 7
_DIGITS = re.compile(rf"[0-9a-fA-F]{{{_LEAST_DIGITS},64}}", re.ASCII)
_TICK = 0.001
MOST_REFS = 2000
"""How many refs the uploads of an app may have."""


@dataclass(frozen=True, slots=True)
class UploadedArtifact:
    """An artifact that was uploaded: the `ref` that it is deployed by, and when it came (seconds since the epoch)."""

    ref: str
    sha256: str
    at: float

    def begins_with(self, digits: str) -> bool:
        """Return whether its SHA-256 begins with these hex digits, which are enough to name it."""
        return _DIGITS.fullmatch(digits) is not None and self.sha256.startswith(digits.lower())


class ArtifactFolder:
    """The artifacts of one app. All methods read or write files: call them in a thread."""

    def __init__(self, path: Path) -> None:
        """Take the folder, which is created when it is first written to."""
        self._path = path

    def packed(self, sha256: str) -> Path | None:
        """Return the artifact as servers get it; None if it is not here. It is not cleaned up for an hour."""
        path = self._path / f"{sha256}{_PACKED}"
        try:
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    def about(self, sha256: str) -> ArtifactSource | None:
        """Return what is known of an artifact; None if nothing is."""
        found = _read(self._path / f"{sha256}.json")
        name, url, size = found.get("name"), found.get("url"), found.get("size")
        if not (isinstance(name, str) and isinstance(url, str) and isinstance(size, int)):
            return None
        return ArtifactSource(sha256, name, url, size)

    def from_url(self, url: str) -> ArtifactSource | None:
        """Return the artifact that was downloaded from an address where the file never changes; None if it is gone."""
        for path in self._path.glob("*.json"):
            if (found := self.about(path.stem)) and found.url == url and self.packed(found.sha256):
                return found
        return None

    def incoming(self, sha256: str) -> Path:
        """Return where to write an artifact that is being received. What came before may be there."""
        folder = self._path / "incoming"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / f"{sha256}.part"

    def drafted(self, sha256: str) -> Path:
        """Return where to write the tar that is made of an artifact. Nothing is there."""
        path = self.incoming(sha256).with_suffix(".packing")
        path.unlink(missing_ok=True)
        return path

    def keep(self, file: ArtifactSource, draft: Path) -> Path:
        """Give a complete tar its name, durably, and delete what it was made of."""
        self.describe(file)
        target = self._path / f"{file.sha256}{_PACKED}"
        draft.replace(target)
        sync_folder(self._path)
        self.incoming(file.sha256).unlink(missing_ok=True)
        return target

    def describe(self, file: ArtifactSource) -> None:
        """Write down durably what is known of an artifact."""
        write_whole(self._path / f"{file.sha256}.json", json.dumps(asdict(file), sort_keys=True))

    def insist_on_room(self, size: int, most: int = 0) -> None:
        """Raise UserError if so many bytes, received and packed, would fill the disk; `most` if the size is unknown."""
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        free = shutil.disk_usage(self._path).free
        if free >= 2 * (size or most) + _SPARE:
            return
        there = f"The bot's disk has {show_size(free)} free, which is too little for an artifact"
        if size:
            raise UserError(f"{there} of {show_size(size)}.", hint="Free some there.")
        raise UserError(
            f"{there} of up to {show_size(most)}. Its size is unknown.",
            hint="Free some there, or lower `max_size`.",
        )

    def uploads(self) -> list[UploadedArtifact]:
        """Return the uploads that are here, newest first."""
        found = sorted(self._uploads(), key=lambda one: one.at, reverse=True)
        return [one for one in found if (self._path / f"{one.sha256}{_PACKED}").exists()]

    def _uploads(self) -> Iterator[UploadedArtifact]:
        folder = self._path / "refs"
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
            if (found := _upload_in(path)) is not None:
                yield found

    def named(self, ref: str) -> UploadedArtifact | None:
        """Return the upload with a ref; None if there is none."""
        found = _upload_in(self._of_ref(ref))
        return found if found and (self._path / f"{found.sha256}{_PACKED}").exists() else None

    def _of_ref(self, ref: str) -> Path:
        return self._path / "refs" / f"{hashlib.sha256(ref.encode()).hexdigest()[:32]}.json"

    def insist_on_ref(self, ref: str, sha256: str) -> None:
        """Raise UserError if an upload cannot have a ref: what a ref means never changes, and refs are bounded."""
        known = self.named(ref)
        if known is not None and known.sha256 != sha256:
            raise UserError(
                f"`{ref}` is already the artifact with the SHA-256 {known.sha256[:12]}…, not {sha256[:12]}….",
                hint="Upload it under another ref.",
            )
        if known is not None:
            return
        uploads = self.uploads()
        if any(one.sha256 != sha256 and one.begins_with(ref) for one in uploads):
            raise UserError(
                f"The SHA-256 of another artifact begins with `{ref}`.", hint="Upload it under another ref."
            )
        if len(uploads) >= MOST_REFS:
            raise UserError(
                f"The uploads have {MOST_REFS} refs, and that is the limit.",
                hint="Upload fewer refs of the same file, or lower `keep`: refs go with their files.",
            )

    def name(self, ref: str, sha256: str, at: float) -> None:
        """Give an upload its ref, as the newest one. Raises UserError as `insist_on_ref`."""
        self.insist_on_ref(ref, sha256)
        if self.named(ref) is None:
            path = self._of_ref(ref)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Also after the clock went back.
            after = max((one.at for one in self.uploads()), default=0.0) + _TICK
            found = {"ref": ref, "sha256": sha256, "at": max(at, after)}
            write_whole(path, json.dumps(found, sort_keys=True))

    def clean(self, needed: Collection[str], keep: int) -> None:
        """Delete what is neither `needed` (SHA-256), nor among the newest `keep` uploads, nor used in the last hour.

        A file with several refs is one upload.
        """
        if not self._path.is_dir():
            return
        now = time.time()
        newest = [*dict.fromkeys(one.sha256 for one in self.uploads())]
        stays = {*needed, *newest[:keep]}
        for path in sorted(self._path.glob(f"*{_PACKED}")):
            sha256 = path.name.removesuffix(_PACKED)
            if _SHA256.fullmatch(sha256) and sha256 not in stays and _age(path, now) > _YOUNG:
                path.unlink(missing_ok=True)
        for path in self._path.glob("*.json"):
            if not (self._path / f"{path.stem}{_PACKED}").exists() and _age(path, now) > _YOUNG:
                path.unlink(missing_ok=True)
        for path in (self._path / "refs").glob("*.json"):
            found = _read(path).get("sha256")
            if not (self._path / f"{found}{_PACKED}").exists() and _age(path, now) > _YOUNG:
                path.unlink(missing_ok=True)
        for path in (*(self._path / "incoming").glob("[!.]*"), *self._path.rglob("*.draft")):
            if _age(path, now) > _STALE:
                path.unlink(missing_ok=True)

    def bound_incoming(self, sha256: str, most: int) -> None:
        """Delete the oldest uploads that broke off, until those besides this one have at most `most` bytes."""
        parts = [path for path in (self._path / "incoming").glob("*.part") if path.stem != sha256]
        now, total = time.time(), 0
        for path in sorted(parts, key=lambda one: _age(one, now)):
            total += size_of(path)
            if total > most:
                path.unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """Return the size of a file in bytes; 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _upload_in(path: Path) -> UploadedArtifact | None:
    found = _read(path)
    ref, sha256, at = found.get("ref"), found.get("sha256"), found.get("at")
    if isinstance(ref, str) and isinstance(sha256, str) and isinstance(at, int | float):
        return UploadedArtifact(ref, sha256, float(at))
    return None


def _age(path: Path, now: float) -> float:
    try:
        return now - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _read(path: Path) -> dict[str, object]:
    """Return the object in a file; an empty one if there is none that can be read."""
    try:
        found = json_of(path.read_bytes())
    except (OSError, Unreadable):
        return {}
    return found if isinstance(found, dict) else {}
