"""Read trusted files: bot.toml, the files it names, and plug-ins. No other user may be able to change them.

The rule is that of sshd (`StrictModes`, sshd_config(5)). A file, each folder above it and each symbolic link on the
way must belong to root or to the bot's user. Neither group nor others may write there. Unlike sshd, a folder with the
sticky bit (/tmp) may be writable by all: there users can't replace files of others. An ACL that lets others write
shows as the group's bit.

Each step is opened and checked by its descriptor, relative to the step before. So no one can replace it between check
and use. Calls block for as long as the file system does.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import shlex
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

_MOST_LINKS = 40
_LARGEST = 1_000_000
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_EVERYBODY = stat.S_IRWXO
_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
# Opening a pipe must not block until there is a writer.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_GIVEN = ("/run/secrets", "/var/run/secrets")
_GIVEN_BY_SYSTEMD = "CREDENTIALS_DIRECTORY"
_KUBERNETES = "..data"


class UnsafeFileError(ValueError):
    """Not a file, or another user may change or read it. Names the file, its owner, and a command to fix it."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file or folder at the end of its path. `folder` is the descriptor of its parent, `name` its name there."""

    folder: int
    name: str
    path: PurePath
    found: os.stat_result
    given: bool


def read(path: Path, *, private: bool = False, uid: int | None = None, largest: int = _LARGEST) -> bytes:
    """Return the content of a file that only root and `uid` (default: the process's user) can change.

    A `private` file must be unreadable for others, as for ssh(1). Only the owner may read the user's own file; a file
    of root may be readable by its group. Secrets passed by Docker, Kubernetes and systemd may have any read mode.
    Raises UnsafeFileError, or OSError if it can't be opened.
    """
    user = os.geteuid() if uid is None else uid
    with _walk(path, user) as at:
        _insist_on_file(at.found, at.path)
        descriptor = os.open(at.name, _READ, dir_fd=at.folder)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            _insist(found, at.path, user)
            _insist_on_file(found, at.path)
            if private and not at.given:
                _insist_on_privacy(found, at.path, user)
            content = file.read(largest + 1)
    if len(content) > largest:
        raise UnsafeFileError(f"{path} is larger than {largest // 1_000_000} MB: is it the right file?")
    return content


def verify(path: Path, *, private: bool = False, uid: int | None = None) -> None:
    """Check, like `read`, a file or folder that another program reads by its path.

    Only root and `uid` can change a file that passed, so it stays trusted.
    """
    user = os.geteuid() if uid is None else uid
    with _walk(path, user) as at:
        if stat.S_ISDIR(at.found.st_mode):
            return
        _insist_on_file(at.found, at.path)
        if private and not at.given:
            _insist_on_privacy(at.found, at.path, user)


@contextmanager
def _walk(path: Path, user: int) -> Iterator[_Opened]:
    """Follow a path from the root, link by link, and check each step."""
    # Secrets that the system passes to this process are recognised by their path as written in bot.toml.
    given = _is_given(path)
    steps, links, at = deque(path.absolute().parts[1:]), 0, PurePath("/")
    folder = os.open("/", _STEP | os.O_DIRECTORY)
    here: PurePath = at
    try:
        _insist(os.fstat(folder), at, user)
        while steps:
            name = steps.popleft()
            here = at.parent if name == ".." else at / name
            step = os.open(name, _STEP, dir_fd=folder)
            try:
                found = os.fstat(step)
                _insist(found, here, user)
                if stat.S_ISLNK(found.st_mode):
                    links += 1
                    given = given or name == _KUBERNETES
                    target = PurePath(os.readlink("", dir_fd=step))
                    if links > _MOST_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(here))
                    steps.extendleft(reversed(target.parts[1:] if target.is_absolute() else target.parts))
                    if target.is_absolute():
                        root = os.open("/", _STEP | os.O_DIRECTORY)
                        folder, at = _instead(folder, root), PurePath("/")
                elif steps:
                    folder, at, step = _instead(folder, step), here, -1
                else:
                    yield _Opened(folder, name, here, found, given)
                    return
            finally:
                if step >= 0:
                    os.close(step)
        yield _Opened(folder, ".", at, os.fstat(folder), given)
    except OSError as problem:
        problem.filename = str(here)
        raise
    finally:
        os.close(folder)


def _instead(folder: int, other: int) -> int:
    os.close(folder)
    return other


def _is_given(path: Path) -> bool:
    """Return whether a file is where Docker, Podman or systemd put secrets for this process."""
    folders = [*_GIVEN, os.environ.get(_GIVEN_BY_SYSTEMD, "")]
    return any(path.absolute().is_relative_to(folder) for folder in folders if folder)


def _insist(found: os.stat_result, path: PurePath, user: int) -> None:
    """Refuse files that users other than root and `user` may change."""
    if stat.S_IFMT(found.st_mode) not in {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}:
        raise UnsafeFileError(f"{path} is not a file")
    if found.st_uid not in {0, user}:
        raise UnsafeFileError(_foreign(found, path, user))
    mode = found.st_mode
    if stat.S_ISLNK(mode) or not mode & _OTHERS_WRITE or (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        return
    who = {stat.S_IWGRP: "its group", stat.S_IWOTH: "everybody"}.get(mode & _OTHERS_WRITE, "its group and everybody")
    which = {stat.S_IWGRP: "g-w", stat.S_IWOTH: "o-w"}.get(mode & _OTHERS_WRITE, "go-w")
    raise UnsafeFileError(f"{who} may write to {_described(found, path)}; run `chmod {which} {_quoted(path)}`")


def _foreign(found: os.stat_result, path: PurePath, user: int) -> str:
    owner, name = user_name(found.st_uid), user_name(user)
    flag = "-h " if stat.S_ISLNK(found.st_mode) else ""
    problem = f"{_described(found, path)} belongs to {owner}, not to {name}{'' if user == 0 else ' or root'}, "
    run = f"so {owner} may change it; run `chown {flag}{name} {_quoted(path)}`"
    return problem + run + (f", or start this as {owner}" if user == 0 else " as root")


def _insist_on_privacy(found: os.stat_result, path: PurePath, user: int) -> None:
    """Refuse a secret that others may read. Root may let a group read its own files."""
    if found.st_mode & (_OTHERS if found.st_uid == user else _EVERYBODY):
        fix = f"chmod {'600' if found.st_uid == user else 'o-rwx'} {_quoted(path)}"
        raise UnsafeFileError(f"others can read {_described(found, path)}; run `{fix}`")


def _insist_on_file(found: os.stat_result, path: PurePath) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UnsafeFileError(f"{path} is not a file")


def _described(found: os.stat_result, path: PurePath) -> str:
    """Return `the folder /srv (owner ana:devs, mode 0775)`."""
    kind = {stat.S_IFDIR: "the folder ", stat.S_IFLNK: "the link "}.get(stat.S_IFMT(found.st_mode), "")
    return (
        f"{kind}{path} (owner {user_name(found.st_uid)}:{_group(found.st_gid)}, mode {stat.S_IMODE(found.st_mode):04o})"
    )


def user_name(uid: int) -> str:
    """Return a user's name, or the number if the system does not know it."""
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)


def _group(gid: int) -> str:
    with suppress(KeyError):
        return grp.getgrgid(gid).gr_name
    return str(gid)


def _quoted(path: PurePath) -> str:
    return shlex.quote(str(path))
