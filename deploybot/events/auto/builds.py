"""Whether a commit's builds let it be deployed: pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deploybot.domain import BuildState, Built
from deploybot.settings import Auto


class Light(enum.StrEnum):
    """How the builds stand: all that is asked for passed; something has still to come; something failed."""

    GREEN = "green"
    WAITS = "waits"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How they stand, and why, for people."""

    light: Light
    why: str = ""


GREEN = Verdict(Light.GREEN)
_BAD = frozenset({BuildState.FAILED, BuildState.CANCELLED})


def judge(auto: Auto, builds: Sequence[Built]) -> Verdict:
    """What the builds known for a commit say: every one (`after`), or each that is named (`checks`)."""
    if auto.checks:
        return _named(auto.checks, builds)
    return _all(builds) if auto.after else GREEN


def _all(builds: Sequence[Built]) -> Verdict:
    if bad := [one for one in builds if one.state in _BAD]:
        return Verdict(Light.RED, f"Its builds are not green: {_told(bad)}")
    if busy := [one for one in builds if not one.state.ended]:
        return Verdict(Light.WAITS, f"Its builds have not ended: {_told(busy)}")
    if not any(one.state is BuildState.PASSED for one in builds):
        said = f" ({_told(builds)})" if builds else ""
        return Verdict(Light.WAITS, f"No build of it is known to have passed{said}")
    return GREEN


def _named(names: Iterable[str], builds: Sequence[Built]) -> Verdict:
    latest = {name: _latest(name, builds) for name in names}
    if bad := [one for one in latest.values() if one is not None and one.state in {*_BAD, BuildState.SKIPPED}]:
        return Verdict(Light.RED, f"What is asked for is not green: {_told(bad)}")
    if missing := [name for name, one in latest.items() if one is None]:
        return Verdict(Light.WAITS, f"Nothing is known yet of {', '.join(missing)}")
    if busy := [one for one in latest.values() if one is not None and not one.state.ended]:
        return Verdict(Light.WAITS, f"What is asked for has not ended: {_told(busy)}")
    return GREEN


def _latest(name: str, builds: Iterable[Built]) -> Built | None:
    """The last of a name: a workflow may run more than once for a commit."""
    return max((one for one in builds if one.name == name), key=lambda one: (one.at, one.attempt), default=None)


def _told(builds: Iterable[Built]) -> str:
    return ", ".join(f"{one.name} {one.state}" for one in builds)
