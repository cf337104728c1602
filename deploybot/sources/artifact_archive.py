"""Turn an artifact into the gzipped tar that servers get, and refuse archives that could do harm when unpacked.

Servers never unpack what somebody else packed: two programs may read one archive differently. Every member is read
here, checked, and written into a new tar. A separate process does that. Its memory, its file and its time are limited.
"""

from __future__ import annotations

import asyncio
import errno
import gzip
import json
import os
import resource
import shutil
import sys
import tarfile
from pathlib import Path
from typing import IO, Final

from deploybot.errors import UserError
from deploybot.settings.artifact_settings import is_refused_by_name
from deploybot.sources.archive_members import ArchiveMember, MemberRules, RefusedMember
from deploybot.sources.archive_readers import plain_member, tar_members, zip_members
from deploybot.untrusted_input import Unreadable, json_of

WITHIN: Final = 900.0
_MEMORY: Final = 320 << 20
_SPARE: Final = 256_000_000
_FULL: Final = frozenset({errno.EFBIG, errno.ENOSPC, errno.EDQUOT})


async def pack(source: Path, target: Path, name: str, *, most: int, within: float = WITHIN) -> None:
    """Write the members of an artifact called `name` into a gzipped tar at `target`, which does not exist yet.

    Together they may have `most` bytes. Raises UserError, with the name of the bad member, if the artifact is refused.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", __name__, str(source), str(target), name, str(most), str(int(within))),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(within):
            answer, _ = await process.communicate()
    except TimeoutError:
        raise UserError(f"{name} could not be checked within {within:.0f} s.", hint="Build a smaller one.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if why := _refusal(answer, process.returncode):
        raise UserError(f"{name} is refused: {why}.", hint="Nothing was deployed. Correct the file.")


def _refusal(answer: bytes, code: int | None) -> str:
    """Return why the process refused the artifact; empty if it did not."""
    try:
        found = json_of(answer)
    except Unreadable:
        found = None
    if isinstance(found, dict) and isinstance(why := found.get("refused"), str) and (why or code == 0):
        return why
    return f"it takes too much memory, disk or time to read (the process ended with {code})"


def kind_of(name: str) -> str:
    """Return how a file is read, by its name: `tar.gz`, `tar`, `zip` or `plain`. Raises RefusedMember for others."""
    low = name.lower()
    if is_refused_by_name(name):
        raise RefusedMember("the bot unpacks .tar.gz, .tgz, .tar and .zip only")
    if low.endswith((".tar.gz", ".tgz")):
        return "tar.gz"
    return "tar" if low.endswith(".tar") else "zip" if low.endswith(".zip") else "plain"


def repack(source: IO[bytes], target: IO[bytes], name: str, *, most: int) -> None:
    """Write what `source` contains into a gzipped tar. Raises RefusedMember; OSError and EOFError for a broken file."""
    kind = kind_of(name)
    rules = MemberRules(most)
    if kind == "plain":
        members = plain_member(source, name)
    elif kind == "zip":
        members = zip_members(source)
    else:
        members = tar_members(source, most=most, zipped=kind == "tar.gz")
    # What came compressed is compressed again. Anything else is sent about as large as it came.
    level = 1 if kind in {"tar.gz", "zip"} else 0
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=level, fileobj=target, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8") as out,
    ):
        for member in members:
            if (info := rules.admit(member)) is not None:
                out.addfile(info, _exact(member))
            out.getmembers().clear()  # it would remember each one
    rules.check_links()
    rules.insist_on_a_file()


def _exact(member: ArchiveMember) -> IO[bytes] | None:
    return member.data if member.kind == "file" else None


def writable(limit: int, free: int) -> int:
    """Return how many bytes of a tar may be written, if its members have up to `limit` and the disk has `free`."""
    return max(min(limit + limit // 100 + (64 << 20), free - _SPARE), 0)


def main(argv: list[str]) -> int:
    """Run as that process: the files, the name and the limits are arguments. The answer is JSON on standard output."""
    source, target, name, most, within = argv
    limit = int(most)
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (int(within), int(within)))
    room = writable(limit, shutil.disk_usage(Path(target).parent).free)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    os.nice(5)
    os.umask(0o077)
    why = ""
    try:
        with Path(source).open("rb") as read, Path(target).open("xb") as written:
            repack(read, written, name, most=limit)
            written.flush()
            os.fsync(written.fileno())
    except RefusedMember as problem:
        why = str(problem)
    except MemoryError:
        why = "it takes too much memory to read"
    except Exception as problem:  # noqa: BLE001  whatever a file does to its reader, it is refused
        if isinstance(problem, OSError) and problem.errno in _FULL:
            why = "what it contains is more than the bot's disk has room for"
        words = f" ({problem})" if isinstance(problem, OSError) and problem.errno else ""
        why = why or f"it is damaged, or not what its name says{words}"
    sys.stdout.write(json.dumps({"refused": why}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
