"""What the builds of a commit say: the one rule for cards and for what is deployed by itself. Pure.

Events are states of runs, and runs are of workflows. In this order:

1. `dated` and `joined` make one state of all that was heard of a run.
2. `origin` drops what may be for a fork.
3. `identity` says which runs are of one workflow; `standing` keeps its newest run.
4. `counted` leaves out what is a part of a run that is known; `judge` gives the verdict.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from deploybot.domain import OWN, Build, BuildState
from deploybot.settings import Auto
from deploybot.settings.build_senders import Check, check_of

AHEAD: Final = 86400.0
"""Seconds that a sender's clock may be ahead of the bot's. Such a clock still orders its own events."""
KEPT_NAMES: Final = 40
_STEPS: Final = {BuildState.QUEUED: 0, BuildState.RUNNING: 1}
_END: Final = 2
_BAD: Final = frozenset({BuildState.FAILED, BuildState.CANCELLED})


class Light(enum.StrEnum):
    """How the builds stand: all that is asked for passed; something has still to come; something failed."""

    GREEN = "green"
    WAITS = "waits"
    RED = "red"


@dataclass(frozen=True, slots=True)
class BuildVerdict:
    """How they stand, and why, for people. `unheard` is True where nothing is known of something that is asked for."""

    light: Light
    why: str = ""
    unheard: bool = False


GREEN: Final = BuildVerdict(Light.GREEN)


class BuildIdentity(NamedTuple):
    """What two runs share that are of the same thing. `key` tells apart what has no number of a run."""

    sender: str
    workflow: str
    stage: str
    job: str
    key: str = ""


class BuildOrigin(enum.StrEnum):
    """Where a build comes from: the repository itself, or perhaps a fork, whose builds say nothing here."""

    REPOSITORY = "repository"
    FORK = "fork"


def identity(build: Build) -> BuildIdentity:
    """What a build is a run of. The sender's id of the workflow counts, and its name only where there is none."""
    key = "" if serial(build) else build.key
    return BuildIdentity(build.sender, build.workflow or build.name, build.stage, build.job, key)


def series(build: Build) -> tuple[str, ...]:
    """What a build is a run of over all commits."""
    return (build.sender, build.name if build.job else build.workflow or build.name, build.stage)


def origin(build: Build) -> BuildOrigin:
    """Where a build comes from. Branches of forks are called `ana:main`, as no branch of git is."""
    return BuildOrigin.FORK if build.fork or is_foreign(build.branch) else BuildOrigin.REPOSITORY


def is_foreign(ref: str) -> bool:
    """Whether a branch is a fork's."""
    return ":" in ref


def is_own(build: Build) -> bool:
    """Whether it is a status that the bot itself has set."""
    return build.name == OWN or build.name.startswith(f"{OWN}/")


def serial(build: Build) -> int:
    """The number that grows from run to run; 0 where the sender tells none."""
    return build.run or build.number


def dated(build: Build, now: float) -> Build:
    """A build whose `at` is the best time that is told of it, and not from the future; 0.0 for none."""
    times = (build.at, build.finished, build.started)
    return replace(build, at=next((time for time in times if time and time <= now + AHEAD), 0.0))


def is_newer(build: Build, was: Build) -> bool:
    """Whether a state that has just come is newer than one that is known of the same run.

    A later run and attempt, then the sender's time, then an end before what leads to it, then what came last.
    """
    for mine, known in ((serial(build), serial(was)), (build.attempt, was.attempt), (build.at, was.at)):
        if mine and known and mine != known:
            return mine > known
    return _step(build) >= _step(was)


def _step(build: Build) -> int:
    return _STEPS.get(build.state, _END)


def joined(was: Build | None, build: Build) -> Build:
    """The newest state of a run, with what only another one tells: its workflow, and the failed jobs of the attempt."""
    if was is None:
        return build
    newest, other = (build, was) if is_newer(build, was) else (was, build)
    failed = sorted({*newest.failed, *(other.failed if other.attempt == newest.attempt else ())})[:KEPT_NAMES]
    return replace(
        newest,
        failed=tuple(failed),
        number=newest.number or other.number,
        run=newest.run or other.run,
        workflow=newest.workflow or other.workflow,
        path=newest.path or other.path,
        within=newest.within or other.within,
        fork=newest.fork or other.fork,
    )


def standing(builds: Sequence[Build], ref: str) -> tuple[Build, ...]:
    """The newest run of everything that is built of a commit, where the commit is deployed from this branch or tag.

    What may be for a fork is left out.
    """
    wholes, things = _runs(builds), dict[BuildIdentity, list[Build]]()
    for one in _placed(builds):
        if origin(one) is BuildOrigin.REPOSITORY:
            things.setdefault(identity(one), []).append(one)

    def age(one: Build) -> tuple[int, int]:
        return serial(wholes.get(_place(one), one)), serial(one)

    return tuple(one for runs in things.values() for one in _newest(runs, ref, age))


def counted(builds: Sequence[Build], ref: str) -> tuple[Build, ...]:
    """Those of `standing` that count by themselves: no part of a run that is known, which stands for its parts."""
    runs = _runs(builds)
    return tuple(one for one in standing(builds, ref) if _is_run(one) or _place(one) not in runs)


def _newest(runs: Sequence[Build], ref: str, age: Callable[[Build], tuple[int, int]]) -> list[Build]:
    """The newest run of one thing: of the branch or tag itself, or where it has none, of others.

    A part is as new as its run, then by its own number. What was skipped says nothing, nor what was cancelled
    elsewhere. Twins of one number count all.
    """
    told = [one for one in runs if one.state is not BuildState.SKIPPED] or [*runs]
    here = [one for one in told if not ref or (one.branch or one.tag) in {"", ref}]
    found = here or [one for one in told if one.state is not BuildState.CANCELLED]
    found.sort(key=age)
    return [one for one in found if age(one) == age(found[-1])]


def _placed(builds: Sequence[Build]) -> list[Build]:
    """All builds; parts of a run that is known belong to its workflow, and come from where it comes from."""
    runs = _runs(builds)
    return [one if _is_run(one) or _place(one) not in runs else _part_of(runs[_place(one)], one) for one in builds]


def _part_of(run: Build, part: Build) -> Build:
    return replace(part, workflow=run.workflow, job=part.name, branch=run.branch, tag=run.tag, fork=run.fork)


def _runs(builds: Iterable[Build]) -> Mapping[tuple[str, str], Build]:
    return {_place(one): one for one in builds if _is_run(one)}


def _place(build: Build) -> tuple[str, str]:
    return build.sender, build.within


def _is_run(build: Build) -> bool:
    """Whether it is a run that may have parts. A check suite has no number, and is a part of its run."""
    return bool(build.within and build.number and not build.job)


def judge(auto: Auto, builds: Sequence[Build], ref: str, forge: str) -> BuildVerdict:
    """What the builds that are known of a commit say: every one (`after`), or each that is named (`checks`).

    `ref` is the branch or tag that it is deployed from; bare names in `checks` are those of `forge`.
    """
    if auto.checks:
        return judge_named([check_of(text, forge) for text in auto.checks], builds, ref)
    return judge_all(builds, ref) if auto.after else GREEN


def judge_all(builds: Sequence[Build], ref: str) -> BuildVerdict:
    """Green where all that is known passed, but for what was skipped, and something did."""
    verdict = stands(counted(builds, ref))
    if standing(builds, ref):
        return verdict
    return replace(verdict, why=f"{verdict.why}{_only_forks(builds)}", unheard=True)


def stands(found: Sequence[Build]) -> BuildVerdict:
    """How builds stand together that all count."""
    if bad := [one for one in found if one.state in _BAD]:
        return BuildVerdict(Light.RED, f"Its builds are not green: {_listed(bad)}")
    if busy := [one for one in found if not one.state.ended]:
        return BuildVerdict(Light.WAITS, f"Its builds have not ended: {_listed(busy)}")
    if any(one.state is BuildState.PASSED for one in found):
        return GREEN
    said = f" ({_listed(found)})" if found else ""
    return BuildVerdict(Light.WAITS, f"No build of it is known to have passed{said}")


def judge_named(checks: Sequence[Check], builds: Sequence[Build], ref: str) -> BuildVerdict:
    """Green where each that is named passed; of several things of one name each."""
    found = {check: _named(check, builds, ref) for check in checks}
    every = [one for runs in found.values() for one in runs]
    if bad := [one for one in every if one.state in {*_BAD, BuildState.SKIPPED}]:
        return BuildVerdict(Light.RED, f"What is asked for is not green: {_listed(bad)}")
    if missing := [check for check, runs in found.items() if not runs]:
        return BuildVerdict(Light.WAITS, " ".join(_unknown(check, builds) for check in missing), unheard=True)
    if busy := [one for one in every if not one.state.ended]:
        return BuildVerdict(Light.WAITS, f"What is asked for has not ended: {_listed(busy)}")
    return GREEN


def _named(check: Check, builds: Sequence[Build], ref: str) -> list[Build]:
    """What stands of a name; what was skipped only where nothing else does."""
    found = [one for one in standing(builds, ref) if one.sender == check.sender and check.name in {one.name, one.path}]
    return [one for one in found if one.state is not BuildState.SKIPPED] or found


def _unknown(check: Check, builds: Sequence[Build]) -> str:
    """That nothing counts for a check, with what to do where something of its name was heard of."""
    tell = {one.sender for one in builds if check.name in {one.name, one.path}}
    if check.sender in tell:
        return f"What is known of {check} may be for a fork, and does not count."
    if tell:
        other = Check(min(tell), check.name)
        return f'Nothing is known yet of {check}. {other.sender} reports one: write checks = ["{other}"].'
    return f"Nothing is known yet of {check}."


def _only_forks(builds: Sequence[Build]) -> str:
    """What there is that does not count, where nothing does."""
    forks = [one for one in _placed(builds) if origin(one) is BuildOrigin.FORK]
    return f" ({_listed(forks)}, perhaps for a fork, which does not count)" if forks else ""


def _listed(builds: Iterable[Build]) -> str:
    return ", ".join(dict.fromkeys(f"{one.name} {one.state}" for one in builds))
