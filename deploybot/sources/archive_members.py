"""The rules for members of an archive: where each may lie in a release's folder, and where links may lead."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from typing import IO, Literal

from deploybot.errors import DeploybotError
from deploybot.units import show_size

MOST_MEMBERS = 100_000
_LONGEST_NAME = 255
_LONGEST_PATH = 4000
_MOST_HOPS = 40
_LAST = 2**33 - 1
_SHOWN = 100

Parts = tuple[str, ...]
ArchiveKind = Literal["file", "folder", "link", "hard link", "other"]


class RefusedMember(DeploybotError):
    """An archive, or a member of it, is refused. The text is the rest of a sentence and names the member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveMember:
    """A member of an archive as it was read, not checked yet.

    `target` is where a link leads. `data` yields the `size` bytes of a file. `mtime` is in seconds since the epoch.
    """

    name: str
    kind: ArchiveKind
    size: int = 0
    executable: bool = False
    mtime: float = 0.0
    target: str = ""
    data: IO[bytes] | None = None


class MemberRules:
    """Decides about the members of one archive, in their order. They may have `most` bytes together."""

    def __init__(self, most: int) -> None:
        """Take the limit in bytes."""
        self._most = most
        self._total = 0
        self._count = 0
        self._has_file = False
        self._kinds: dict[Parts, str] = {(): "folder"}
        self._links: dict[Parts, Parts] = {}

    def admit(self, member: ArchiveMember) -> tarfile.TarInfo | None:
        """Return the entry of the new tar for a member; None for a folder that is known. Raises RefusedMember."""
        self._count += 1
        if self._count > MOST_MEMBERS:
            raise RefusedMember(f"it has more than {MOST_MEMBERS} members")
        shown = shown_name(member.name)
        if member.kind == "other":
            raise RefusedMember(f"{shown} is a device, a pipe or a socket")
        parts = place(member.name, shown)
        if not parts and member.kind != "folder":
            raise RefusedMember(f"{shown} has no name")
        self._total += member.size if member.kind == "file" else 0
        if self._total > self._most:
            raise RefusedMember(f"with {shown} it unpacks to more than {show_size(self._most)}")
        if not self._is_new(parts, member.kind, shown):
            return None
        info = tarfile.TarInfo("/".join(parts))
        info.mtime = int(min(max(member.mtime, 0), _LAST))
        info.mode = 0o755 if member.executable or member.kind != "file" else 0o644
        self._typed(info, member, parts, shown)
        self._has_file = self._has_file or member.kind == "file"
        return info

    def insist_on_a_file(self) -> None:
        """Raise RefusedMember if no member was a file."""
        if not self._has_file:
            raise RefusedMember("it contains no file")

    def _is_new(self, parts: Parts, kind: str, shown: str) -> bool:
        """Note a path and the folders above it. Return False for a folder that is there. Raises RefusedMember."""
        for end in range(len(parts)):
            if self._kinds.setdefault(parts[:end], "folder") != "folder":
                raise RefusedMember(f"{shown} lies below {'/'.join(parts[:end])}, which is no folder")
        known = self._kinds.get(parts, "")
        if known and kind == known == "folder":
            return False
        if known:
            raise RefusedMember(f"{shown} is there twice")
        self._kinds[parts] = kind
        return True

    def _typed(self, info: tarfile.TarInfo, member: ArchiveMember, parts: Parts, shown: str) -> None:
        if member.kind == "folder":
            info.type = tarfile.DIRTYPE
        elif member.kind == "file":
            info.size = member.size
        elif member.kind == "link":
            info.type, info.linkname, info.mode = tarfile.SYMTYPE, self._leads(member, parts, shown), 0o777
        else:
            target = place(member.target, shown)
            if self._kinds.get(target) != "file":
                raise RefusedMember(
                    f"{shown} is a hard link to {shown_name(member.target)}, which is no file before it"
                )
            info.type, info.linkname = tarfile.LNKTYPE, "/".join(target)

    def _leads(self, member: ArchiveMember, parts: Parts, shown: str) -> str:
        target = member.target
        if (
            not target
            or target.startswith("/")
            or "\0" in target
            or not _is_utf8(target)
            or len(target) > _LONGEST_PATH
        ):
            raise RefusedMember(f"{shown} is a link to {shown_name(target) or 'nothing'}, outside of the release")
        ahead = tuple(part for part in target.split("/") if part not in {"", "."})
        up = next((at for at, part in enumerate(ahead) if part != ".."), len(ahead))
        if up >= len(parts):
            raise RefusedMember(f"{shown} is a link to {shown_name(target)}, outside of the release")
        # Behind a name, `..` depends on what that is on the server: `shared` may replace a folder there.
        if ".." in ahead[up:]:
            raise RefusedMember(f"{shown} is a link to {shown_name(target)}: `..` may be at its beginning only")
        self._links[parts] = ahead
        return target

    def check_links(self) -> None:
        """Follow every link, through other links. Raises RefusedMember if one leads to itself."""
        for parts in self._links:
            self._follow(parts)

    def _follow(self, link: Parts) -> None:
        at: list[str] = []
        ahead = [*reversed(link)]
        hops = 0
        while ahead:
            part = ahead.pop()
            if part == "..":
                at.pop()
                continue
            at.append(part)
            if (found := self._links.get(tuple(at))) is not None:
                hops += 1
                if hops > _MOST_HOPS:
                    raise RefusedMember(f"{shown_name('/'.join(link))} is a link that leads to itself")
                at.pop()
                ahead.extend(reversed(found))


def place(name: str, shown: str) -> Parts:
    """Return the parts of a relative path. Raises RefusedMember for any that could lie elsewhere."""
    if not _is_utf8(name):
        raise RefusedMember(f"{shown} has a name that is not UTF-8")
    if name.startswith("/"):
        raise RefusedMember(f"{shown} has an absolute name")
    if "\\" in name or any(ord(char) < ord(" ") or char == "\x7f" for char in name):
        raise RefusedMember(f"{shown} has a backslash or a control character in its name")
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if ".." in parts:
        raise RefusedMember(f"{shown} leads out of the release")
    if len(name.encode()) > _LONGEST_PATH or any(len(part.encode()) > _LONGEST_NAME for part in parts):
        raise RefusedMember(f"{shown} has a name that is too long")
    return parts


def shown_name(name: str) -> str:
    """Return a name for people: one line, printable, not too long."""
    plain = name.encode(errors="backslashreplace").decode()
    return "".join(char if char.isprintable() else "?" for char in plain[:_SHOWN]) + (
        "…" if len(plain) > _SHOWN else ""
    )


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
