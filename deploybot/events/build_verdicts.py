"""Decide what the builds of a commit mean: one rule for cards and for automatic deployments. Pure.

Events report states of runs, and runs belong to workflows. In this order:

1. `dated` and `joined` merge all events of a run into one state.
2. `origin` drops builds that may be for a fork.
3. `identity` groups the runs of one workflow; `standing` keeps its newest run.
4. `counted` leaves out the parts of a known run; `judge` gives the verdict.
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
    """The result of the builds: all required builds passed, some are still to come, or some failed."""

    GREEN = "green"
    WAITS = "waits"
    RED = "red"


@dataclass(frozen=True, slots=True)
class BuildVerdict:
    """The result of the builds and the reason, for people.

    `unreported` is True if nothing is known of a required build.
    """

    light: Light
    why: str = ""
    unreported: bool = False


GREEN: Final = BuildVerdict(Light.GREEN)


class BuildIdentity(NamedTuple):
    """The fields that runs of the same workflow or job share. `key` separates builds that have no run number."""

    sender: str
    workflow: str
    stage: str
    job: str
    key: str = ""


class BuildOrigin(enum.StrEnum):
    """Where a build comes from: the repository itself, or perhaps a fork, whose builds don't count."""

    REPOSITORY = "repository"
    FORK = "fork"


def identity(build: Build) -> BuildIdentity:
    """Return the workflow or job that a build is a run of. The sender's id counts, or the name if there is no id."""
    key = "" if serial(build) else build.key
    return BuildIdentity(build.sender, build.workflow or build.name, build.stage, build.job, key)


def series(build: Build) -> tuple[str, ...]:
    """Return the workflow or job that a build is a run of, across all commits."""
    return (build.sender, build.name if build.job else build.workflow or build.name, build.stage)


def origin(build: Build) -> BuildOrigin:
    """Return where a build comes from. Branches of forks are written `ana:main`, which no git branch can be called."""
    return BuildOrigin.FORK if build.fork or is_foreign(build.branch) else BuildOrigin.REPOSITORY


def is_foreign(ref: str) -> bool:
    """Return whether a branch belongs to a fork."""
    return ":" in ref


def is_own(build: Build) -> bool:
    """Return whether this is a status that the bot itself set."""
    return build.name == OWN or build.name.startswith(f"{OWN}/")


def serial(build: Build) -> int:
    """Return the number that grows from run to run, or 0 if the sender reports none."""
    return build.run or build.number


def dated(build: Build, now: float) -> Build:
    """Return the build with the best known time as `at`. Times in the future are ignored; 0.0 means none is known."""
    times = (build.at, build.finished, build.started)
    return replace(build, at=next((time for time in times if time and time <= now + AHEAD), 0.0))


def is_newer(build: Build, was: Build) -> bool:
    """Return whether a state that just arrived is newer than the known state of the same run.

    Compare the run and attempt, then the sender's time. After that an end is newer than a start, and the later arrival
    wins.
    """
    for mine, known in ((serial(build), serial(was)), (build.attempt, was.attempt), (build.at, was.at)):
        if mine and known and mine != known:
            return mine > known
    return _step(build) >= _step(was)


def _step(build: Build) -> int:
    return _STEPS.get(build.state, _END)


def joined(was: Build | None, build: Build) -> Build:
    """Return the newest state of a run, completed with details that only the other state has.

    Failed jobs are merged only within one attempt.
    """
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
    """Return the newest run of each workflow or job for a commit that is deployed from the branch or tag `ref`.

    Builds that may be for a fork are left out.
    """
    wholes, things = _runs(builds), dict[BuildIdentity, list[Build]]()
    for one in _placed(builds):
        if origin(one) is BuildOrigin.REPOSITORY:
            things.setdefault(identity(one), []).append(one)

    def age(one: Build) -> tuple[int, int]:
        return serial(wholes.get(_run_key(one), one)), serial(one)

    return tuple(one for runs in things.values() for one in _newest(runs, ref, age))


def counted(builds: Sequence[Build], ref: str) -> tuple[Build, ...]:
    """Return the builds of `standing` that count: parts of a known run don't, because the run covers them."""
    runs = _runs(builds)
    return tuple(one for one in standing(builds, ref) if _is_run(one) or _run_key(one) not in runs)


def _newest(runs: Sequence[Build], ref: str, age: Callable[[Build], tuple[int, int]]) -> list[Build]:
    """Return the newest run of one workflow or job on this branch or tag, or on others if it has none here.

    A part is as new as its run, then its own number decides. Skipped builds don't count if there are others. Cancelled
    builds of other branches don't count. Builds with the same number all count.
    """
    counting = [one for one in runs if one.state is not BuildState.SKIPPED] or [*runs]
    here = [one for one in counting if not ref or (one.branch or one.tag) in {"", ref}]
    found = here or [one for one in counting if one.state is not BuildState.CANCELLED]
    found.sort(key=age)
    return [one for one in found if age(one) == age(found[-1])]


def _placed(builds: Sequence[Build]) -> list[Build]:
    """Return all builds. Parts of a known run get the workflow and origin of that run."""
    runs = _runs(builds)
    return [one if _is_run(one) or _run_key(one) not in runs else _part_of(runs[_run_key(one)], one) for one in builds]


def _part_of(run: Build, part: Build) -> Build:
    return replace(part, workflow=run.workflow, job=part.name, branch=run.branch, tag=run.tag, fork=run.fork)


def _runs(builds: Iterable[Build]) -> Mapping[tuple[str, str], Build]:
    return {_run_key(one): one for one in builds if _is_run(one)}


def _run_key(build: Build) -> tuple[str, str]:
    return build.sender, build.within


def _is_run(build: Build) -> bool:
    """Return whether this is a run that may have parts. A check suite has no number and is a part of its run."""
    return bool(build.within and build.number and not build.job)


def judge(auto: Auto, builds: Sequence[Build], ref: str, forge: str) -> BuildVerdict:
    """Return the verdict on a commit's known builds: all of them (`after`), or each named one (`checks`).

    `ref` is the branch or tag it is deployed from. Bare names in `checks` are builds of `forge`.
    """
    if auto.checks:
        return judge_named([check_of(text, forge) for text in auto.checks], builds, ref)
    return judge_all(builds, ref) if auto.after else GREEN


def judge_all(builds: Sequence[Build], ref: str) -> BuildVerdict:
    """Return green if all known builds passed, apart from skipped ones, and at least one passed."""
    verdict = stands(counted(builds, ref))
    if standing(builds, ref):
        return verdict
    return replace(verdict, why=f"{verdict.why}{_only_forks(builds)}", unreported=True)


def stands(found: Sequence[Build]) -> BuildVerdict:
    """Return the combined verdict on builds that all count."""
    if bad := [one for one in found if one.state in _BAD]:
        return BuildVerdict(Light.RED, f"Its builds are not green: {_listed(bad)}")
    if busy := [one for one in found if not one.state.ended]:
        return BuildVerdict(Light.WAITS, f"Its builds have not ended: {_listed(busy)}")
    if any(one.state is BuildState.PASSED for one in found):
        return GREEN
    names = f" ({_listed(found)})" if found else ""
    return BuildVerdict(Light.WAITS, f"No build has been reported as passed{names}")


def judge_named(checks: Sequence[Check], builds: Sequence[Build], ref: str) -> BuildVerdict:
    """Return green if each named build passed. If several have one name, all of them must pass."""
    found = {check: _named(check, builds, ref) for check in checks}
    every = [one for runs in found.values() for one in runs]
    if bad := [one for one in every if one.state in {*_BAD, BuildState.SKIPPED}]:
        return BuildVerdict(Light.RED, f"Required builds are not green: {_listed(bad)}")
    if missing := [check for check, runs in found.items() if not runs]:
        return BuildVerdict(Light.WAITS, " ".join(_unknown(check, builds) for check in missing), unreported=True)
    if busy := [one for one in every if not one.state.ended]:
        return BuildVerdict(Light.WAITS, f"Required builds have not ended: {_listed(busy)}")
    return GREEN


def _named(check: Check, builds: Sequence[Build], ref: str) -> list[Build]:
    """Return the newest runs with a name. Skipped ones are returned only if there are no others."""
    found = [one for one in standing(builds, ref) if one.sender == check.sender and check.name in {one.name, one.path}]
    return [one for one in found if one.state is not BuildState.SKIPPED] or found


def _unknown(check: Check, builds: Sequence[Build]) -> str:
    """Explain that no build counts for a check, and what to do if another sender reported that name."""
    senders = {one.sender for one in builds if check.name in {one.name, one.path}}
    if check.sender in senders:
        return f"The only reports of {check} may be for a fork, so they do not count."
    if senders:
        other = Check(min(senders), check.name)
        known = f"{other.sender} reports a build of that name"
        return f'{check} has not been reported yet. {known}: write checks = ["{other}"].'
    return f"{check} has not been reported yet."


def _only_forks(builds: Sequence[Build]) -> str:
    """Describe the builds that don't count because they may be for a fork."""
    forks = [one for one in _placed(builds) if origin(one) is BuildOrigin.FORK]
    return f" ({_listed(forks)}, perhaps for a fork, which does not count)" if forks else ""


def _listed(builds: Iterable[Build]) -> str:
    return ", ".join(dict.fromkeys(f"{one.name} {one.state}" for one in builds))
