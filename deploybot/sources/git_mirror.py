"""A bare mirror of one repository in the bot's data folder.

Besides the branches and tags of the other side it holds `refs/deploybot/<commit>` for every commit that was
resolved: what was pushed over or deleted there stays deployable here. It can be deleted at any time; the next
question makes it anew.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from deploybot.sources.git_process import GitFailed, run_git
from deploybot.sources.git_remote import GitRemote

T = TypeVar("T")

FETCH_WITHIN = 900.0
LOCAL_WITHIN = 60.0
_SPECS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
_WHOLE_TREE = "* -export-ignore -export-subst\n"
_SHA256 = 64


@dataclass(frozen=True, slots=True)
class Refs:
    """What the other side has: full commits by branch and by tag, and its default branch ("" when it has none)."""

    branches: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    default: str = ""
    raw: Mapping[str, str] = field(default_factory=dict)


def parse_refs(text: str) -> Refs:
    """Read the output of `git ls-remote --symref` (git-ls-remote(1), OUTPUT)."""
    raw: dict[str, str] = {}
    default = head = ""
    for line in text.splitlines():
        value, _, name = line.partition("\t")
        if name.startswith("refs/"):
            raw[name] = value
        elif value.startswith("ref: "):
            default = value.removeprefix("ref: refs/heads/")
        else:
            head = value
    branches = _below(raw, "refs/heads/")
    if not default:
        # Servers of old, and plain file servers, tell only the commit.
        same = [name for name, commit in branches.items() if commit == head]
        default = next((name for name in ("main", "master", *same) if name in same), "")
    tags = _below(raw, "refs/tags/")
    peeled = {name.removesuffix("^{}"): commit for name, commit in tags.items() if name.endswith("^{}")}
    plain = {name: commit for name, commit in tags.items() if not name.endswith("^{}")}
    return Refs(branches, plain | peeled, default if default in branches else "", raw)


def _below(raw: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): value for name, value in raw.items() if name.startswith(prefix)}


class Mirror:
    """One repository's mirror. Whoever writes to it holds its lock; reading needs none."""

    def __init__(self, path: Path, env: Mapping[str, str], ask_within: float) -> None:
        """Take where the mirror lies or will lie, git's environment for work on it, and seconds for one question."""
        self.path = path
        self._env = env
        self._ask_within = ask_within
        self._lock = asyncio.Lock()
        self.making = asyncio.Lock()
        self._refs = Refs()
        self._fetched: Mapping[str, str] | None = None
        self._looked = -1.0
        self._age = 0

    async def git(
        self, *argv: str, stdin: bytes = b"", stdout: int | None = None, timeout: float = LOCAL_WITHIN
    ) -> bytes:
        """Run git in the mirror, without the network."""
        where = f"--git-dir={self.path}"
        return await run_git(where, *argv, env=self._env, timeout=timeout, stdin=stdin, stdout=stdout)

    async def refresh(self, remote: GitRemote) -> Refs:
        """What the other side has now, all of it fetched.

        One call asks at a time; calls that came before that asking began share its answer. Raises GitFailed.
        """
        now = asyncio.get_running_loop().time
        asked = now()
        async with self._lock:
            if self._looked < asked:
                began = now()
                self._refs = await self._ask(remote)
                self._looked = began
            return self._refs

    async def look(self, remote: GitRemote) -> Refs:
        """What the other side has now; nothing is fetched. Raises GitFailed."""
        argv = ("ls-remote", "--symref", "--", remote.url, "HEAD", "refs/heads/*", "refs/tags/*")
        said = await run_git(*argv, env=remote.env, timeout=self._ask_within)
        return parse_refs(said.decode("utf-8", errors="replace"))

    async def mending(self, remote: GitRemote, work: Callable[[], Awaitable[T]]) -> T:
        """Do something with the mirror; when it turns out to be gone or damaged, make it anew and do it again."""
        age = self._age
        try:
            return await work()
        except GitFailed as problem:
            if self.path.exists() and not problem.damaged:
                raise
        async with self._lock:
            if self._age == age:
                await asyncio.to_thread(_clear, self.path)
                self._refs = await self._ask(remote)
                self._age += 1
        return await work()

    async def types(self, objects: Sequence[str]) -> dict[str, str]:
        """The objects of these full ids that are in the mirror, with their types (`commit`, `tag`, …)."""
        if not objects or not self.path.exists():
            return {}
        ask = "".join(f"{name}\n" for name in objects).encode()
        said = await self.git("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=ask)
        rows = [line.split(" ") for line in said.decode().splitlines()]
        return {row[0]: row[1] for row in rows if row[1] != "missing"}

    async def pin(self, commit: str) -> None:
        """Keep a commit for good, whatever happens to the branches over there."""
        ref = f"refs/deploybot/{commit}"
        if not (self.path / ref).exists():
            async with self._lock:
                await self.git("update-ref", ref, commit)

    async def _ask(self, remote: GitRemote) -> Refs:
        """Look at the other side, and fetch when it has something new or the mirror lacks something."""
        refs = await self.look(remote)
        if not refs.raw or (self._fetched == refs.raw and await self._holds(refs)):
            return refs
        for anew in (False, False, True):
            if anew:
                await asyncio.to_thread(_clear, self.path)
            await self._prepare(len(next(iter(refs.raw.values()))))
            try:
                await self._fetch(remote)
                if await self._holds(refs):
                    break
            except GitFailed as problem:
                if anew or not problem.damaged:
                    raise
            # Pushed over in between, or the mirror is damaged.
            refs = await self.look(remote)
        self._fetched = refs.raw
        return refs

    async def _holds(self, refs: Refs) -> bool:
        """Whether everything that the other side's refs mean is here."""
        wanted = set(refs.raw.values())
        return wanted == set(await self.types(sorted(wanted)))

    async def _fetch(self, remote: GitRemote) -> None:
        argv = ("fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        where = f"--git-dir={self.path}"
        await run_git(where, *argv, "--", remote.url, *_SPECS, env=remote.env, timeout=FETCH_WITHIN)

    async def _prepare(self, digits: int) -> None:
        """Make the mirror where there is none; where a git was killed in it, take away the locks it left."""
        if (self.path / "HEAD").exists():
            await asyncio.to_thread(_unlock, self.path)
            return
        draft = self.path.with_suffix(".new")
        await asyncio.to_thread(_clear, draft, self.path)
        form = "sha256" if digits == _SHA256 else "sha1"
        argv = ("init", "--quiet", "--bare", "--template=", f"--object-format={form}", "--", str(draft))
        await run_git(*argv, env=self._env, timeout=LOCAL_WITHIN)
        # A release is the whole tree, the same with and without git on the server.
        (draft / "info").mkdir(exist_ok=True)
        (draft / "info" / "attributes").write_text(_WHOLE_TREE)
        draft.rename(self.path)


def _clear(*paths: Path) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


def _unlock(path: Path) -> None:
    """Remove lock files: whoever calls this holds the only right to write there."""
    for lock in (*path.glob("*.lock"), *(path / "refs").rglob("*.lock")):
        lock.unlink(missing_ok=True)
