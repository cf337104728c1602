"""Find what a commit refers to without having it: submodules, and files in Git LFS. Nothing of that is fetched or run.

Submodules are entries of the commit's trees. `.gitmodules`, which anybody who pushes can fill, is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploybot.domain.missing_content import MissingContent
from deploybot.sources.git_mirror import Mirror
from deploybot.sources.git_process import GitFailed, fields
from deploybot.sources.ref_names import plain_name

LOOK_WITHIN = 10.0
"""Seconds for each look into a commit."""
_LINK = "160000"
_POINTER = "version https://git-lfs.github.com/spec/v1"
_MOST_PATTERNS = 200
_MOST_PATHS = 1000
_SPECIAL = re.compile(r"([\\*?\[\]])")
_NOTHING_FOUND, _STOPPED = 1, -1


async def unfetched(mirror: Mirror, commit: str, within: float) -> MissingContent:
    """Return what a full commit in the mirror refers to without having it.

    It is unknown if the commit is too large, or a look into it takes longer than `within` seconds.
    """
    try:
        links = await mirror.git("ls-tree", "-r", "-d", "-z", commit, timeout=within)
        submodules = [path for entry, path in _entries(links) if entry.startswith(f"{_LINK} ")]
        pointers = await _pointers(mirror, commit, within)
    except GitFailed as problem:
        if problem.code != _STOPPED:
            raise
        return MissingContent(unknown=f"the commit is too large to look into it ({problem.words})")
    return MissingContent(submodules=_shown(submodules), pointers=_shown(pointers))


def _entries(output: bytes) -> Iterator[tuple[str, str]]:
    """Yield mode, type and id of each entry as one text, and its path (git-ls-tree(1), OUTPUT FORMAT)."""
    for (line,) in fields(output, 1):
        entry, _, path = line.partition("\t")
        yield entry, path


async def _pointers(mirror: Mirror, commit: str, within: float) -> list[str]:
    """Return the files that `.gitattributes` puts into Git LFS and that are pointers in the commit."""
    text = await _grep(mirror, within, "-z", "-F", "-e", "filter=lfs", commit, "--", ":(top,glob)**/.gitattributes")
    rules = [_rule(line, commit) for line in text.decode("utf-8", "replace").split("\n") if line]
    if not rules:
        return []
    globs = [glob for glob in rules if glob]
    simple = len(globs) == len(rules) <= _MOST_PATTERNS
    argv = ("-l", "-z", "-F", "-e", _POINTER, commit, "--", *(globs if simple else ()))
    found = fields(await _grep(mirror, within, *argv), 1)
    return [path.removeprefix(f"{commit}:") for (path,) in found]


async def _grep(mirror: Mirror, within: float, *argv: str) -> bytes:
    """Run `git grep`. To find nothing is no failure."""
    try:
        return await mirror.git("grep", "--no-color", *argv, timeout=within)
    except GitFailed as problem:
        if problem.code == _NOTHING_FOUND and not problem.words:
            return b""
        raise


def _rule(line: str, commit: str) -> str:
    """Return the files of a line of `.gitattributes` as a pathspec (gitattributes(5)); empty for macros and quotes."""
    file, _, rule = line.partition("\0")
    folder = file.removeprefix(f"{commit}:").removesuffix(".gitattributes")
    pattern = next(iter(rule.split(maxsplit=1)), "")
    if not pattern or pattern.startswith(("[attr]", '"')):
        return ""
    rooted = pattern.removeprefix("/") if "/" in pattern else f"**/{pattern}"
    literal = _SPECIAL.sub(r"\\\1", folder)
    return f":(top,glob){literal}{rooted}"


def _shown(paths: list[str]) -> tuple[str, ...]:
    return tuple(plain_name(path) for path in sorted(paths)[:_MOST_PATHS])
