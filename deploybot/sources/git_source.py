"""Implement ports.RefSource with git: resolve refs, list changes, and create the files to send to a server.

Nothing is ever checked out on the bot's machine. A repository's hooks and configuration are ignored.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from deploybot.bounded_memory import BoundedDict
from deploybot.domain import Changes, Commit, CommitSource, Heads, Holding, NamedRef, Release, Signature
from deploybot.domain.missing_content import MissingContent
from deploybot.errors import UserError
from deploybot.ports import TextRedactor
from deploybot.settings import App, Signer
from deploybot.sources.commit_authors import authors_between
from deploybot.sources.commit_signatures import VERIFY_WITHIN, Signatures
from deploybot.sources.git_errors import explained
from deploybot.sources.git_mirror import FETCH_WITHIN, LOCK_WITHIN, Mirror
from deploybot.sources.git_process import GitFailed, fields
from deploybot.sources.git_remote import GitRemote, address_of, environment, remote_of
from deploybot.sources.ref_names import (
    REF_TIMES,
    check_ref,
    find_named,
    nearest,
    newest_first,
    no_such_ref,
    plain_name,
    tag_named,
)
from deploybot.sources.temporary_files import drafted, finished
from deploybot.sources.unfetched import LOOK_WITHIN, unfetched
from deploybot.sources.without_artifacts import WithoutArtifacts
from deploybot.untrusted_input import lines

MAKE_WITHIN = 900.0
MOST_COMMITS = 50
MOST_AUTHORED = 2000
MOST_WARNINGS = 50
MOST_CANDIDATES = 8
MOST_MESSAGE = 65_536
_FULL = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_SHORT = re.compile(r"[0-9a-f]{4,63}", re.ASCII)
_FORMAT = "--format=%H%x00%an%x00%ct%x00%s"
_REMEMBERED = 64
_UNKNOWN_FOR = 600.0
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class GitSource(WithoutArtifacts):
    """The repositories of all apps, each mirrored once under `data/mirrors`."""

    def __init__(
        self,
        data: Path,
        redactor: TextRedactor,
        *,
        ask_within: float = 30.0,
        fetch_within: float = FETCH_WITHIN,
        lock_within: float = LOCK_WITHIN,
        signers: Mapping[str, Signer] | None = None,
        verify_within: float = VERIFY_WITHIN,
        most_authored: int = MOST_AUTHORED,
        look_within: float = LOOK_WITHIN,
    ) -> None:
        """Take the data folder, the redactor that masks git's messages, and the timeouts of `Mirror` in seconds.

        `signers` are those of bot.toml; without any, no signature is good. A signature is checked within
        `verify_within` seconds. The authors of more than `most_authored` commits are not read. A look for
        submodules and files in Git LFS takes at most `look_within` seconds.
        """
        self._data = data.absolute()
        self._signatures = Signatures(self._data / "signers", signers or {}, verify_within=verify_within)
        self._ask_within = ask_within
        self._fetch_within = fetch_within
        self._lock_within = lock_within
        self._most_authored = most_authored
        self._look_within = look_within
        self._redactor = redactor
        self._mirrors: dict[str, Mirror] = {}
        self._unfetched: BoundedDict[str, tuple[MissingContent, float]] = BoundedDict(_REMEMBERED)

    async def resolve(self, app: App, ref: str) -> Release:
        """Resolve a branch, tag, short or full SHA as it is now on the remote.

        An empty ref is the app's branch, or else the default branch.
        `heads/NAME` and `tags/NAME` distinguish a branch and a tag with the same name. A full SHA that the mirror has
        needs no network. Raises Unreachable, or UserError with the nearest refs.
        """
        check_ref(ref, app.name)
        with self._explaining(app):
            mirror, remote = self._open(app)
            if _FULL.fullmatch(ref.lower()):
                commit, name, tag = ref.lower(), ref, ""
                await _present(app, mirror, remote, commit)
            else:
                commit, name, tag = await _named(app, mirror, remote, ref)
            release = await mirror.mending(remote, lambda: _described(mirror, commit, name))
            await mirror.pin(release.id)
        return replace(release, tag=tag)

    async def changes(self, app: App, old: str, new: str) -> Changes:
        """Return the changes between two full commits; `known` is False if one of them no longer exists."""
        with self._explaining(app):
            mirror, remote = self._open(app)
            if not await _both(mirror, remote, old, new):
                return Changes(known=False)
            return await mirror.mending(
                remote, lambda: _between(app, mirror, old, new, most_authored=self._most_authored)
            )

    async def heads(self, app: App) -> Heads:
        """Return all current branches and tags of the remote with one `git ls-remote`, without fetching."""
        with self._explaining(app):
            mirror, remote = self._open(app)
            refs = await mirror.look(remote)
        return Heads(refs.branches, refs.tags)

    async def newest(self, app: App) -> tuple[NamedRef, ...]:
        """Return the app's branch, then all other branches and tags, those with the newest commit or tag first."""
        argv = ("for-each-ref", "--sort=-creatordate", f"--format={REF_TIMES}", "refs/heads/", "refs/tags/")
        with self._explaining(app):
            mirror, remote = self._open(app)
            refs = await mirror.refresh(remote)
            output = await mirror.mending(remote, lambda: mirror.git(*argv))
        return newest_first(output.decode("utf-8", errors="replace"), refs, app.branch or "")

    async def message(self, app: App, commit: str) -> str:
        """Return the whole message of a full commit, cut at 64 KiB."""
        with self._explaining(app):
            mirror, remote = self._open(app)
            await _present(app, mirror, remote, commit)
            argv = ("log", "-1", "--encoding=UTF-8", "--format=%B", f"{commit}^{{commit}}", "--")
            output = await mirror.mending(remote, lambda: mirror.git(*argv))
        return output[:MOST_MESSAGE].decode("utf-8", errors="replace").strip()

    async def touched(self, app: App, old: str, new: str, patterns: Sequence[str]) -> tuple[str, ...] | None:
        """Return the paths that match a pattern (like `warn_paths`) and differ between two full commits."""
        with self._explaining(app):
            mirror, remote = self._open(app)
            if not await _both(mirror, remote, old, new):
                return None
            argv = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new, "--", *_globs(patterns))
            paths = await mirror.mending(remote, lambda: mirror.git(*argv))
        return tuple(plain_name(path) for (path,) in fields(paths, 1))

    async def is_ancestor(self, app: App, old: str, new: str) -> bool | None:
        """Return whether a full commit is an ancestor of another or the same one; None if one no longer exists."""
        with self._explaining(app):
            mirror, remote = self._open(app)
            if not await _both(mirror, remote, old, new):
                return None
            left = await mirror.mending(remote, lambda: mirror.git("rev-list", "--count", f"{new}..{old}", "--"))
        return int(left) == 0

    async def holding(self, app: App, commit: str) -> Holding:
        """Return the branches that contain a full commit and the tags that name it, as they are now on the remote."""
        with self._explaining(app):
            mirror, remote = self._open(app)
            refs = await mirror.refresh(remote)
            await _present(app, mirror, remote, commit)
            argv = ("for-each-ref", f"--contains={commit}", "--format=%(refname)", "refs/heads/")
            output = (await mirror.mending(remote, lambda: mirror.git(*argv))).decode("utf-8", errors="replace")
        branches = (line.removeprefix("refs/heads/") for line in lines(output))
        tags = tuple(sorted(name for name, of in refs.tags.items() if of == commit))
        twins = tuple(name for name in tags if name in refs.branches)
        return Holding(tuple(name for name in branches if name in refs.branches), tags, twins)

    async def signature(self, app: App, commit: str) -> Signature:
        """Find a good signature of a full commit, or of an annotated tag of it, by a signer of bot.toml."""
        with self._explaining(app):
            mirror, remote = self._open(app)
            refs = await mirror.refresh(remote)
            await _present(app, mirror, remote, commit)
            tags = {name: refs.raw[f"refs/tags/{name}"] for name, of in refs.tags.items() if of == commit}
            return await mirror.mending(remote, lambda: self._signatures.of(mirror, commit, tags))

    async def ships(self, app: App, commit: str, paths: Sequence[str]) -> bool:
        """Return whether a full commit has any of these paths, taken literally."""
        with self._explaining(app):
            mirror, remote = self._open(app)
            await _present(app, mirror, remote, commit)
            argv = ("ls-tree", "-z", "--name-only", commit, "--", *paths)
            return bool(await mirror.mending(remote, lambda: mirror.git(*argv)))

    async def unfetched(self, app: App, commit: str) -> MissingContent:
        """Return the submodules and the files in Git LFS of a full commit: a server does not get them."""
        now = asyncio.get_running_loop().time
        if (known := self._unfetched.get(commit)) is not None and now() < known[1]:
            return known[0]
        with self._explaining(app):
            mirror, remote = self._open(app)
            await _present(app, mirror, remote, commit)
            found = await mirror.mending(remote, lambda: unfetched(mirror, commit, self._look_within))
        self._unfetched[commit] = (found, now() + _UNKNOWN_FOR if found.unknown else math.inf)
        return found

    async def bundle(self, app: App, commit: str, have: Sequence[str]) -> Path:
        """Create a git bundle (gitformat-bundle(5)) with one ref, `refs/deploybot/<commit>`, for a server with `have`.

        It is never empty: if the server has every commit, this one is sent again without its history.
        """
        known = hashlib.sha256("\n".join(sorted(have)).encode()).hexdigest()[:12]

        async def write(mirror: Mirror, draft: Path) -> None:
            await mirror.pin(commit)
            without = await _without(mirror, commit, have)
            ref = f"refs/deploybot/{commit}"
            config = ("-c", "pack.threads=1")
            await mirror.git(*config, "bundle", "create", "--quiet", str(draft), ref, *without, timeout=MAKE_WITHIN)

        return await self._made(app, commit, "bundles", f"{commit}-{known}.bundle", write)

    async def archive(self, app: App, commit: str) -> Path:
        """Create a gzipped tar of a commit's tree, byte for byte the same every time. It is written as a stream."""

        async def write(mirror: Mirror, draft: Path) -> None:
            file = await asyncio.to_thread(os.open, draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                await mirror.git("archive", "--format=tar.gz", commit, stdout=file, timeout=MAKE_WITHIN)
            finally:
                os.close(file)

        return await self._made(app, commit, "archives", f"{commit}.tar.gz", write)

    async def _made(
        self, app: App, commit: str, kind: str, name: str, write: Callable[[Mirror, Path], Awaitable[None]]
    ) -> Path:
        """Return a file of the data folder. Create it if missing, and remove old ones."""
        with self._explaining(app):
            mirror, remote = self._open(app)
            target = self._data / kind / mirror.path.stem / name
            async with mirror.making:
                if target.exists():
                    os.utime(target)
                    return target
                await _present(app, mirror, remote, commit)
                draft = await asyncio.to_thread(drafted, target)
                await mirror.mending(remote, lambda: write(mirror, draft))
                await asyncio.to_thread(finished, draft, target)
        return target

    def _open(self, app: App) -> tuple[Mirror, GitRemote]:
        """Return the mirror of an app's repository, and how to reach it with this app's key or token."""
        address = address_of(app)
        digest = hashlib.sha256(address.encode()).hexdigest()[:12]
        plain = address.rstrip("/").removesuffix(".git").replace(":", "/").rpartition("/")[2]
        name = f"{_UNSAFE.sub('-', plain).strip('-.')[:40] or 'repository'}-{digest}"
        folder = self._data / "mirrors" / name
        # `deploybot check` may run this before the bot has created its folder.
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        remote = remote_of(app, folder)
        mirror = self._mirrors.setdefault(
            name,
            Mirror(
                folder.with_name(f"{name}.git"),
                environment(folder),
                self._ask_within,
                self._fetch_within,
                self._lock_within,
            ),
        )
        return mirror, remote

    @contextmanager
    def _explaining(self, app: App) -> Iterator[None]:
        """Convert errors of git and the bot's disk to deploybot's errors."""
        try:
            yield
        except GitFailed as problem:
            raise explained(app, problem, self._redactor) from problem
        except OSError as problem:
            raise explained(app, GitFailed(-1, str(problem)), self._redactor) from problem


async def _named(app: App, mirror: Mirror, remote: GitRemote, ref: str) -> tuple[str, str, str]:
    """Return the current commit of a ref other than a full SHA, the ref that the release stores, and its tag."""
    refs = await mirror.refresh(remote)
    wanted = ref or app.branch or ""
    commit, name = find_named(wanted, refs, app.name)
    if _SHORT.fullmatch(ref.lower()):
        found = await mirror.mending(remote, lambda: _beginning_with(mirror, ref.lower()))
        if len({commit, *found} - {""}) > 1:
            raise await _ambiguous(app, mirror, ref, commit, found)
        commit, name = commit or next(iter(found), ""), ref
    if not commit:
        raise no_such_ref(wanted, app.name, await asyncio.to_thread(nearest, wanted, refs))
    return commit, name, tag_named(ref, refs)


async def _beginning_with(mirror: Mirror, digits: str) -> list[str]:
    """Return all commits in the mirror whose ids begin with `digits`."""
    found = (await mirror.git("rev-parse", f"--disambiguate={digits}")).decode().split()
    return [name for name, kind in (await mirror.types(found)).items() if kind == "commit"]


async def _ambiguous(app: App, mirror: Mirror, ref: str, named: str, found: Sequence[str]) -> UserError:
    lines = []
    for commit in ([named] if named else []) + [one for one in found if one != named][:MOST_CANDIDATES]:
        release = await _described(mirror, commit, "")
        lines.append(f"{commit[:14]} {release.subject}" + (" (the branch or tag)" if commit == named else ""))
    return UserError(
        f"`{ref}` can mean {len({named, *found} - {''})} commits of {app.name}.",
        hint="Type more of it:\n" + "\n".join(lines),
    )


async def _present(app: App, mirror: Mirror, remote: GitRemote, commit: str) -> None:
    """Ensure that the mirror has a commit. Ask the remote only if it does not."""
    if not _FULL.fullmatch(commit):
        raise UserError(f"`{commit[:64]}` is not a full commit.")
    if commit in await mirror.mending(remote, lambda: mirror.types([commit])):
        return
    await mirror.refresh(remote)
    if commit not in await mirror.types([commit]):
        raise UserError(
            f"There is no commit {commit[:10]} in {app.name}.",
            hint="Was it pushed? Commits of forks and pull requests are not used.",
        )


async def _both(mirror: Mirror, remote: GitRemote, old: str, new: str) -> bool:
    """Return whether both commits are known. If not, refresh from the remote if possible and check again."""
    wanted = {old, new}
    if not all(map(_FULL.fullmatch, wanted)):
        return False
    if wanted <= set(await mirror.mending(remote, lambda: mirror.types([old, new]))):
        return True
    with suppress(GitFailed):
        await mirror.refresh(remote)
    return wanted <= set(await mirror.types([old, new]))


async def _described(mirror: Mirror, commit: str, ref: str) -> Release:
    try:
        output = await mirror.git("log", "-1", "--encoding=UTF-8", _FORMAT, f"{commit}^{{commit}}", "--")
    except GitFailed:
        kind = (await mirror.types([commit])).get(commit, "")
        if kind not in {"blob", "tree"}:
            raise
        raise UserError(
            f"`{ref}` is a {kind}, not a commit.", hint="Name a branch, a tag of a commit, or a commit."
        ) from None
    sha, author, at, subject = fields(output.rstrip(b"\n"), 4)[0]
    return Release(
        CommitSource(sha), ref=ref, subject=plain_name(subject), author=plain_name(author), committed=float(at)
    )


async def _between(app: App, mirror: Mirror, old: str, new: str, *, most_authored: int) -> Changes:
    limit = f"-{MOST_COMMITS}"
    diff = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new, "--")
    counts, output, paths = await asyncio.gather(
        mirror.git("rev-list", "--left-right", "--count", f"{old}...{new}", "--"),
        mirror.git("log", limit, "-z", "--encoding=UTF-8", _FORMAT, f"{old}..{new}", "--"),
        mirror.git(*diff),
    )
    removed, total = map(int, counts.split())
    commits = tuple(
        Commit(sha=sha, author=plain_name(author), subject=plain_name(subject), at=float(at))
        for sha, author, at, subject in fields(output, 4)
    )
    files = fields(paths, 1)
    warned = fields(await mirror.git(*diff, *_globs(app.warn_paths)), 1) if app.warn_paths and files else []
    warnings = tuple(plain_name(path) for (path,) in warned[:MOST_WARNINGS])
    authors = await authors_between(mirror, old, new) if total <= most_authored else None
    return Changes(commits=commits, total=total, removed=removed, files=len(files), warnings=warnings, authors=authors)


def _globs(patterns: Sequence[str]) -> list[str]:
    """Return the patterns in git's syntax (gitglossary(7), pathspec).

    A pattern without a slash matches in every folder. A pattern that matches a folder matches everything in it.
    """
    bare = [pattern.rstrip("/") for pattern in patterns]
    deep = [f":(top,glob){'' if '/' in pattern else '**/'}{pattern}" for pattern in bare]
    return [*deep, *(f"{pattern}/**" for pattern in deep)]


async def _without(mirror: Mirror, commit: str, have: Sequence[str]) -> list[str]:
    """Return what a bundle omits: the server's commits, or only the parents if the bundle would be empty otherwise."""
    known = await mirror.types([one for one in have if _FULL.fullmatch(one)])
    left_out = [f"^{one}" for one, kind in known.items() if kind == "commit"]
    if not left_out or (await mirror.git("rev-list", "-1", commit, *left_out, "--")).strip():
        return left_out
    line = await mirror.git("rev-list", "--parents", "-1", commit, "--")
    return [f"^{parent}" for parent in line.decode().split()[1:]]
