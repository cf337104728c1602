"""Keep a bare mirror of one repository in the bot's data folder.

Besides the remote's branches and tags it has `refs/deploybot/<commit>` for every resolved commit, so commits that are
overwritten or deleted there stay deployable. The mirror can be deleted at any time; the next request creates it again.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from deploybot.sources.git_process import GitFailed, GitUnfinished, run_git
from deploybot.sources.git_remote import GitRemote
from deploybot.untrusted_input import lines

T = TypeVar("T")

FETCH_WITHIN = 900.0
"""How long a fetch may make no progress, in seconds."""
WAIT_WITHIN = 480.0
"""How long callers wait for a fetch, in seconds. `deploy` ends after ten minutes, and says how far the fetch is."""
LOCK_WITHIN = 60.0
"""How long a caller waits for another process that fetches, in seconds. `deploybot check` ends earlier."""
LOCAL_WITHIN = 60.0
_SPECS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
_WHOLE_TREE = "* -export-ignore -export-subst\n"
_SHA256 = 64
_LOOKS = 0.1
"""Pause between two tries for the lock: flock(2) sends no event, and a thread that waits in it cannot be cancelled."""
_WAIT_FACTOR = 1.1


@dataclass(frozen=True, slots=True)
class Refs:
    """The refs of a remote: full commits by branch and by tag, and its default branch ("" if it has none)."""

    branches: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    default: str = ""
    raw: Mapping[str, str] = field(default_factory=dict)


def parse_refs(text: str) -> Refs:
    """Parse the output of `git ls-remote --symref` (git-ls-remote(1), OUTPUT)."""
    raw: dict[str, str] = {}
    default = head = ""
    for line in lines(text):
        value, _, name = line.partition("\t")
        if name.startswith("refs/"):
            raw[name] = value
        elif value.startswith("ref: "):
            default = value.removeprefix("ref: refs/heads/")
        else:
            head = value
    branches = _below(raw, "refs/heads/")
    if not default:
        # Old servers and plain file servers report only the commit.
        same = [name for name, commit in branches.items() if commit == head]
        default = next((name for name in ("main", "master", *same) if name in same), "")
    tags = _below(raw, "refs/tags/")
    peeled = {name.removesuffix("^{}"): commit for name, commit in tags.items() if name.endswith("^{}")}
    plain = {name: commit for name, commit in tags.items() if not name.endswith("^{}")}
    return Refs(branches, plain | peeled, default if default in branches else "", raw)


def _below(raw: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): value for name, value in raw.items() if name.startswith(prefix)}


class Mirror:
    """One repository's mirror. Writing requires its lock, reading does not. Fetching requires the lock file, too.

    A fetch outlives the command that needed it, so that a large repository arrives even if no command waits that long.
    """

    def __init__(
        self,
        path: Path,
        env: Mapping[str, str],
        ask_within: float,
        fetch_within: float = FETCH_WITHIN,
        lock_within: float = LOCK_WITHIN,
    ) -> None:
        """Take the mirror's path, git's environment, and the timeouts in seconds.

        `ask_within` is for one request, `fetch_within` for a fetch without progress, `lock_within` for another process
        that fetches.
        """
        self.path = path
        self._env = env
        self._ask_within = ask_within
        self._fetch_within = fetch_within
        self._lock_within = lock_within
        self._fetching: asyncio.Task[None] | None = None
        self._began = 0.0
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
        """Fetch everything from the remote and return its current refs.

        Only one call runs at a time. Calls that were waiting before it started share its result. Raises GitFailed.
        """
        now = asyncio.get_running_loop().time
        asked = now()
        async with self._lock:
            if self._looked < asked:
                began = now()
                self._refs = await self._ask(remote, asked + self._lock_within)
                self._looked = began
            return self._refs

    async def look(self, remote: GitRemote) -> Refs:
        """Return the remote's current refs without fetching. Raises GitFailed."""
        argv = ("ls-remote", "--symref", "--", remote.url, "HEAD", "refs/heads/*", "refs/tags/*")
        output = await run_git(*argv, env=remote.env, timeout=self._ask_within)
        return parse_refs(output.decode("utf-8", errors="replace"))

    async def mending(self, remote: GitRemote, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work` on the mirror. If the mirror is missing or damaged, recreate it and run `work` again."""
        age = self._age
        until = asyncio.get_running_loop().time() + self._lock_within
        try:
            return await work()
        except GitFailed as problem:
            if self.path.exists() and not problem.damaged:
                raise
        async with self._lock:
            if self._age == age:
                await self._earlier()
                async with self._alone(until):
                    await asyncio.to_thread(_clear, self.path)
                self._refs = await self._ask(remote, until)
                self._age += 1
        return await work()

    async def types(self, objects: Sequence[str]) -> dict[str, str]:
        """Return which of these full ids are in the mirror, with their types (`commit`, `tag`, …)."""
        if not objects or not self.path.exists():
            return {}
        ask = "".join(f"{name}\n" for name in objects).encode()
        output = await self.git("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=ask)
        rows = [line.split(" ") for line in lines(output.decode())]
        return {row[0]: row[1] for row in rows if row[1] != "missing"}

    async def pin(self, commit: str) -> None:
        """Keep a commit for good, even if the remote's branches change."""
        ref = f"refs/deploybot/{commit}"
        if not (self.path / ref).exists():
            async with self._lock:
                await self.git("update-ref", ref, commit)

    async def _ask(self, remote: GitRemote, until: float) -> Refs:
        """Return the remote's refs. Fetch if it has something new or the mirror lacks something.

        Another process that fetches is waited for until then.
        """
        refs = await self.look(remote)
        if not refs.raw or (self._fetched == refs.raw and await self._holds(refs)):
            return refs
        await self._earlier()
        async with self._alone(until) as lock:
            for fresh in (False, False, True):
                if fresh:
                    await asyncio.to_thread(_clear, self.path)
                await self._prepare(len(next(iter(refs.raw.values()))))
                try:
                    await self._fetch(remote, lock)
                    if await self._holds(refs):
                        break
                except GitFailed as problem:
                    if fresh or not problem.damaged:
                        raise
                # The remote was pushed to meanwhile, or the mirror is damaged.
                refs = await self.look(remote)
        self._fetched = refs.raw
        return refs

    @asynccontextmanager
    async def _alone(self, until: float) -> AsyncIterator[int]:
        """Lock the mirror against other processes, and yield the lock file. The lock ends with this process.

        Raises GitUnfinished if another process still fetches at `until`.
        """
        # A bot can still read the file if root made it, and that is enough for a lock.
        lock = os.open(self.path.with_suffix(".lock"), os.O_RDONLY | os.O_CREAT, 0o644)
        try:
            while not _locked(lock):
                if asyncio.get_running_loop().time() > until:
                    raise GitUnfinished(await asyncio.to_thread(_packed, self.path, "tmp_pack_*"))
                await asyncio.sleep(_LOOKS)
            yield lock
        finally:
            os.close(lock)

    async def _holds(self, refs: Refs) -> bool:
        """Return whether the mirror has all objects of the remote's refs."""
        wanted = set(refs.raw.values())
        return wanted == set(await self.types(sorted(wanted)))

    async def _fetch(self, remote: GitRemote, lock: int) -> None:
        """Start a fetch and wait for it. It keeps the mirror locked until it ends."""
        kept = os.dup(lock)
        self._began = asyncio.get_running_loop().time()
        self._fetching = asyncio.create_task(self._run_fetch(remote))
        self._fetching.add_done_callback(lambda _: os.close(kept))
        self._fetching.add_done_callback(_retrieve)
        await self._wait(self._fetching)

    async def _earlier(self) -> None:
        """Wait for the fetch of a caller that has ended. If it fails, the next one may succeed."""
        if self._fetching is not None and not self._fetching.done():
            try:
                await self._wait(self._fetching)
            except GitUnfinished:
                raise
            except GitFailed:
                return

    async def _wait(self, fetching: asyncio.Task[None]) -> None:
        """Wait for a fetch, which goes on if its caller ends. Raises GitUnfinished if it takes too long.

        A fetch without any progress ends with an error of its own.
        """
        within = min(WAIT_WITHIN, _WAIT_FACTOR * self._fetch_within)
        try:
            async with asyncio.timeout_at(self._began + within):
                await asyncio.shield(fetching)
        except TimeoutError:
            raise GitUnfinished(await asyncio.to_thread(_packed, self.path, "tmp_pack_*")) from None

    async def _run_fetch(self, remote: GitRemote) -> None:
        argv = ("fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        where = f"--git-dir={self.path}"
        await run_git(
            *(where, *argv, "--", remote.url, *_SPECS),
            env=remote.env,
            timeout=self._fetch_within,
            progress=lambda: _packed(self.path, "*"),
        )

    async def _prepare(self, digits: int) -> None:
        """Create the mirror if it is missing. Otherwise remove what a killed git left."""
        if (self.path / "HEAD").exists():
            await asyncio.to_thread(_clean_up, self.path)
            return
        draft = self.path.with_suffix(".new")
        await asyncio.to_thread(_clear, draft, self.path)
        form = "sha256" if digits == _SHA256 else "sha1"
        argv = ("init", "--quiet", "--bare", "--template=", f"--object-format={form}", "--", str(draft))
        await run_git(*argv, env=self._env, timeout=LOCAL_WITHIN)
        # A release is the whole tree, both with and without git on the server.
        (draft / "info").mkdir(exist_ok=True)
        (draft / "info" / "attributes").write_text(_WHOLE_TREE)
        draft.rename(self.path)


def _clear(*paths: Path) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


def _clean_up(path: Path) -> None:
    """Remove lock files and incomplete data that a killed git left. The caller must hold the lock file.

    git never overwrites `packed-refs.new`, and keeps partial packs for two weeks.
    """
    objects = path / "objects"
    partial = (*objects.glob("pack/tmp_*"), *objects.glob("pack/.tmp-*"), *objects.glob("??/tmp_obj_*"))
    for file in (*path.glob("*.lock"), *(path / "refs").rglob("*.lock"), path / "packed-refs.new", *partial):
        file.unlink(missing_ok=True)


def _packed(path: Path, names: str) -> int:
    """Return the size of these files among a mirror's packs, in bytes."""
    size = 0
    for file in (path / "objects" / "pack").glob(names):
        with suppress(FileNotFoundError):
            size += file.stat().st_size
    return size


def _locked(lock: int) -> bool:
    """Lock the file. Return False if another process, or a fetch, holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _retrieve(task: asyncio.Task[None]) -> None:
    """Take note of how a fetch ended, if no caller waits for it."""
    if not task.cancelled():
        task.exception()
