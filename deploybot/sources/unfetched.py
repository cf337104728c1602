"""Find what a commit refers to without having it: submodules, and files in Git LFS. Nothing of that is fetched or run.

Submodules are entries of the commit's trees. `.gitmodules`, which anybody who pushes can fill, is not read.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Iterator

from deploybot.domain.missing_content import MissingContent
from deploybot.sources.git_mirror import Mirror
from deploybot.sources.git_process import MOST_OUTPUT, GitFailed, fields
from deploybot.sources.ref_names import plain_name

LOOK_WITHIN = 10.0
"""Seconds for each look into a commit."""
_LINK = "160000"
_FILE = "100"
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""A tree that git has without storing it."""
_POINTER = b"version https://git-lfs.github.com/spec/v1"
_POINTER_SIZE = 1024
"""Pointers are smaller (the specification of Git LFS). Larger files are never read: they may need a lot of memory."""
_MOST_PATTERNS = 200
_MOST_PATHS = 1000
_MOST_TEXT = 64 * 2**10
_LONGEST_PATTERN = 4096 // 4
_SPECIAL = re.compile(r"([\\*?\[\]])")
_STOPPED = -1


async def unfetched(mirror: Mirror, commit: str, within: float) -> MissingContent:
    """Return what a full commit in the mirror refers to without having it.

    It is unknown if the commit is too large, or a look into it takes longer than `within` seconds.
    """
    try:
        links = await mirror.git("ls-tree", "-r", "-d", "-z", commit, timeout=within)
    except GitFailed as problem:
        if problem.code != _STOPPED:
            raise
        return MissingContent(unknown=f"the commit is too large to look into it ({problem.words})")
    submodules = _shown([path for entry, path in _entries(links) if entry.startswith(f"{_LINK} ")])
    try:
        pointers = _shown(await _pointers(mirror, commit, within))
    except GitFailed as problem:
        if problem.damaged:
            raise
        why = f"the commit is too large to look into it ({problem.words})"
        return MissingContent(
            submodules=submodules, unknown=why if problem.code == _STOPPED else "git cannot look into the commit"
        )
    except (OSError, ValueError):
        # What is pushed decides the arguments of git.
        return MissingContent(submodules=submodules, unknown="its .gitattributes cannot be used to look into it")
    return MissingContent(submodules=submodules, pointers=pointers)


def _entries(output: bytes) -> Iterator[tuple[str, str]]:
    """Yield mode, type and id of each entry as one text, and its path (git-ls-tree(1), OUTPUT FORMAT)."""
    for (line,) in fields(output, 1):
        entry, _, path = line.partition("\t")
        yield entry, path


async def _pointers(mirror: Mirror, commit: str, within: float) -> list[str]:
    """Return the files that `.gitattributes` puts into Git LFS and that are pointers in the commit."""
    rules = [rule async for rule in _rules(mirror, commit, within)]
    if not rules:
        return []
    globs = [glob for glob in rules if glob]
    simple = len(globs) == len(rules) <= _MOST_PATTERNS and sum(len(one.encode()) for one in globs) <= _MOST_TEXT
    named = await _blobs(mirror, commit, globs if simple else [], within)
    texts = await _texts(mirror, {*named.values()}, _POINTER_SIZE, within)
    ids = {blob for blob, text in texts if text.startswith(_POINTER)}
    return [path for path, blob in named.items() if blob in ids]


async def _rules(mirror: Mirror, commit: str, within: float) -> AsyncIterator[str]:
    """Yield the pathspecs of what goes to Git LFS; an empty one for a rule or file that is not understood."""
    found = await _blobs(mirror, commit, [":(top,glob)**/.gitattributes"], within)
    texts = dict(await _texts(mirror, {*found.values()}, _MOST_TEXT, within))
    for path, blob in found.items():
        if (text := texts.get(blob)) is None:
            yield ""
            continue
        for line in text.split(b"\n"):
            if b"filter=lfs" in line:
                yield _rule(path, line.decode("utf-8", "replace"))


async def _blobs(mirror: Mirror, commit: str, globs: list[str], within: float) -> dict[str, str]:
    """Return the ids of a commit's files by their paths, without reading them. Without `globs`, all of them."""
    argv = ("diff-tree", "-r", "-z", "--raw", "--no-renames", _EMPTY_TREE, commit, "--", *globs)
    rows = fields(await mirror.git(*argv, timeout=within), 2)
    entries = ((entry.split(" "), path) for entry, path in rows)
    return {path: words[3] for words, path in entries if words[1].startswith(_FILE)}


async def _texts(mirror: Mirror, ids: Collection[str], most: int, within: float) -> list[tuple[str, bytes]]:
    """Return the contents of blobs of up to `most` bytes each, by id. Others are not read."""
    asked = "".join(f"{one}\n" for one in ids).encode()
    sizes = await mirror.git("cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=asked, timeout=within)
    rows = (line.split(" ") for line in sizes.decode("ascii", "replace").splitlines())
    small = {blob: int(size) for blob, size in rows if size.isdigit() and int(size) <= most}
    if sum(small.values()) > MOST_OUTPUT // 2:
        raise GitFailed(_STOPPED, "it has too many small files")
    asked = "".join(f"{one}\n" for one in small).encode()
    output = await mirror.git("cat-file", "--batch", stdin=asked, timeout=within) if small else b""
    return list(_contents(output))


def _contents(output: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the id and the content of each object (git-cat-file(1), BATCH OUTPUT)."""
    at = 0
    while (end := output.find(b"\n", at)) >= 0:
        blob, _, size = output[at:end].decode("ascii", "replace").split(" ")
        at = end + 1 + int(size)
        yield blob, output[end + 1 : at]
        at += 1


def _rule(file: str, rule: str) -> str:
    """Return the files of a line of `.gitattributes` as a pathspec (gitattributes(5)).

    It is empty for macros, quotes, and what is no path or is too long for an argument.
    """
    folder = file.removesuffix(".gitattributes")
    pattern = next(iter(rule.split(maxsplit=1)), "")
    if not pattern or pattern.startswith(("[attr]", '"')) or "\0" in pattern or len(pattern) > _LONGEST_PATTERN:
        return ""
    if ".." in pattern.split("/"):
        return ""
    rooted = pattern.removeprefix("/") if "/" in pattern else f"**/{pattern}"
    literal = _SPECIAL.sub(r"\\\1", folder)
    return f":(top,glob){literal}{rooted}"


def _shown(paths: list[str]) -> tuple[str, ...]:
    return tuple(plain_name(path) for path in sorted(paths)[:_MOST_PATHS])
