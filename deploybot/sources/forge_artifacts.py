"""Find the file that a forge built from a commit: which run or pipeline counts, and why none does."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from deploybot.domain import short_id
from deploybot.errors import Unreachable, UserError
from deploybot.wording import listed

FIND_WITHIN = 90.0
MOST_PAGES = 4
MOST_ASKED = 20
"""How many successful builds of a commit are asked for their files."""
MOST_ALIKE = 5
"""How many of them may be alike: scheduled runs of one workflow do not keep the bot from asking the others."""
_SHOWN = 4
_LARGEST = 1 << 62


@dataclass(frozen=True, slots=True)
class ForgeFile:
    """A file that a forge has: its address, the `build` that made it, its SHA-256 and size if the forge says them.

    The address ends in `#` and the commit, which no server gets: a forge that was restored from a backup gives numbers
    a second time, and the bot must not take what it has under one for what another commit made.
    `gone` says why the forge does not give it any more; empty if it does.
    """

    url: str
    build: str
    sha256: str = ""
    size: int = 0
    gone: str = ""


@dataclass(frozen=True, slots=True)
class ForgeBuild:
    """A run or pipeline without the file. `state` says why, for people, and `advice` what to do; empty if nothing."""

    title: str
    state: str
    advice: str = ""


class ForgeApi(Protocol):
    """What answers for a forge."""

    async def json(self, url: str) -> Mapping[str, object] | Sequence[object]:
        """Return the answer of the API at an address. Raises Unreachable, or UserError if there is none."""


class ForgeArtifacts(Protocol):
    """What finds files on one kind of forge."""

    what: str
    """What is missing if there is no file, such as `artifact site`."""
    nothing: str
    """What to do if the commit has no build that counts."""
    wanted: str
    """What to check in bot.toml if builds succeed without the file."""
    narrower: str
    """What to do if so many builds succeed that not all are asked."""

    async def find(self, commit: str) -> ForgeFile | Sequence[ForgeBuild]:
        """Return the file of the newest successful build of a commit; the builds that count if none has it."""


async def forge_file(forge: ForgeArtifacts, commit: str, *, within: float = FIND_WITHIN) -> ForgeFile:
    """Return the file that a forge built from a commit. Raises UserError if there is none, and Unreachable."""
    try:
        async with asyncio.timeout(within):
            found = await forge.find(commit)
    except TimeoutError:
        raise Unreachable(forge.what, f"the forge did not answer within {within:g} s") from None
    if isinstance(found, ForgeFile):
        return found
    short = short_id(commit)
    if not found:
        raise UserError(f"No run of {short} counts, so there is no {forge.what}.", hint=forge.nothing)
    states = [f"{one.title} {one.state}" for one in found[:_SHOWN]]
    more = [f"{len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    advice = [one.advice for one in found if one.advice]
    # What to do about the newest one comes first.
    if any(one.state == _UNASKED for one in found) and not found[0].advice:
        hint = f"Not all were asked, because there are so many. {forge.narrower}"
    else:
        hint = next(iter(advice), forge.wanted)
    raise UserError(f"No successful run of {short} has the {forge.what}: {listed([*states, *more])}.", hint=hint)


_UNASKED = "was not asked"


class BuildCount:
    """Counts the successful builds that are asked for their files, and those that are alike."""

    def __init__(self) -> None:
        """Start with none."""
        self._alike: Counter[tuple[str, ...]] = Counter()

    def may_ask(self, *kind: str) -> bool:
        """Return whether one more build of a kind may be asked, and count it."""
        if self._alike[kind] >= MOST_ALIKE or self._alike.total() >= MOST_ASKED:
            return False
        self._alike[kind] += 1
        return True


def running(title: str, state: str) -> ForgeBuild:
    """Return a build that has not ended."""
    return ForgeBuild(title, f"is {state}", f"Wait until {title} has ended, then deploy again.")


def failed(title: str, state: str) -> ForgeBuild:
    """Return a build that ended without success."""
    return ForgeBuild(title, f"ended with {state}", "Correct the build and push it, or start it again for this commit.")


def without(title: str, *, asked: bool) -> ForgeBuild:
    """Return a build that succeeded without the file, or was not `asked` for it."""
    return ForgeBuild(title, "does not have it" if asked else _UNASKED)


def entries(answer: object, key: str = "") -> list[Mapping[str, object]]:
    """Return the objects in a list of an answer; with `key`, the list has that name. What is none is left out."""
    found = answer.get(key) if key and isinstance(answer, Mapping) else answer
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def number(value: object) -> int:
    """Return a positive whole number of an answer; 0 if it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _LARGEST else 0


def words(value: object) -> str:
    """Return a text of an answer in one short line; empty if it is none."""
    return " ".join(value.split())[:100] if isinstance(value, str) else ""
