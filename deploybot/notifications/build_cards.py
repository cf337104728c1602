"""Cards of CI: one message for a commit on a branch, with a line for each build, from queued to green or red."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from deploybot.card import Card, Line, Link, Tone
from deploybot.domain import Build, BuildState
from deploybot.events.build_verdicts import Light, counted, is_foreign, stands
from deploybot.events.watched_refs import environments_of, watched
from deploybot.notifications.event_buttons import code_buttons
from deploybot.notifications.event_cards import TONES, CardContext, CardState, Mood, Worth
from deploybot.notifications.event_subjects import build_thing
from deploybot.notifications.event_text import NAME, REF, count, full_sha, moment, nth, one_line, page, short, who
from deploybot.notifications.failure_folding import LOOK_BACK, before, ended, overtaken
from deploybot.ports import EventPart
from deploybot.units import show_duration

_SHOWN: Final = 9
_MAY_FAIL: Final = (BuildState.FAILED, BuildState.RUNNING)
_FAILED_SHOWN: Final = 4
_JOB: Final = 40
_LINKS: Final = 3
_TONES: Final = {
    BuildState.QUEUED: Tone.BUSY,
    BuildState.RUNNING: Tone.BUSY,
    BuildState.PASSED: Tone.GOOD,
    BuildState.FAILED: Tone.BAD,
    BuildState.CANCELLED: Tone.WARN,
    BuildState.SKIPPED: Tone.PLAIN,
}
_ORDER: Final = (
    BuildState.FAILED,
    BuildState.RUNNING,
    BuildState.QUEUED,
    BuildState.CANCELLED,
    BuildState.PASSED,
    BuildState.SKIPPED,
)


@dataclass(frozen=True, slots=True)
class _BuiltCommit:
    """A commit on a branch or tag, its known builds, and the builds that count there.

    `counts` is False if no known build counts. `builds` are then all that were reported.
    """

    latest: Build
    ref: str
    known: Mapping[tuple[str, str], EventPart]
    builds: Sequence[Build]
    counts: bool

    @property
    def lines(self) -> list[tuple[EventPart, Build]]:
        """Return the builds to show. A check suite is shown only if its state is not also that of other builds."""
        suites = [one for one in self.builds if one.whole and not one.number]
        others = [one for one in self.builds if one not in suites]
        seen = {BuildState.PASSED, BuildState.SKIPPED, *(one.state for one in others)} if others else set()
        shown = (*others, *(one for one in suites if one.state not in seen))
        return [(self.known[one.sender, one.key], one) for one in shown]


def build_story(context: CardContext, parts: Sequence[EventPart]) -> CardState:
    """Return the card of the builds of one commit on a branch or tag.

    It is green exactly when a deployment of the commit would wait for no build.
    """
    commit = _commit(context, parts)
    latest, shown = commit.latest, commit.lines
    builds = [event for _, event in shown]
    mood, word = _mood(commit, builds)
    where = one_line(commit.ref or latest.name, REF)
    ordered = sorted(shown, key=lambda one: (_ORDER.index(one[1].state), one[1].name, one[0].part))
    lines = [_line(context, part, build, commit.ref) for part, build in ordered[:_SHOWN]]
    if len(ordered) > _SHOWN:
        lines.append(Line(f"… and {len(ordered) - _SHOWN} more", _counts(build for _, build in ordered[_SHOWN:])))
    behind = overtaken(context, latest.branch, latest.commit, min(part.arrived_at for part in parts))
    good = mood is Mood.GOOD and not behind and not is_foreign(commit.ref)
    ref = {"branch": latest.branch, "tag": latest.tag}
    card = Card(
        title=f"{where}{f' ({short(latest.commit)})' if latest.commit else ''} — {word}",
        tone=TONES[mood],
        lines=tuple(lines),
        links=tuple(Link(_name(one), one.url) for one in builds if one.url and one.state is BuildState.FAILED)[:_LINKS],
        buttons=code_buttons(context, latest, latest.commit, built=True, **ref) if good else (),
        footer=", ".join(filter(None, (_by(context, builds), "overtaken by a newer push" if behind else ""))),
        final=mood is not Mood.BUSY,
    )
    usual = not latest.branch or watched(context.app, latest.branch)
    return CardState(
        card=card,
        mood=mood,
        worth=Worth.USUAL if usual else Worth.ASKED,
        turns=mood.settled and any(_turns(context, part, build) for part, build in shown),
        kinds=frozenset({"build"}),
        branches=frozenset({latest.branch} - {""}),
        environments=environments_of(context.app, latest.branch, latest.tag),
    )


def _commit(context: CardContext, parts: Sequence[EventPart]) -> _BuiltCommit:
    """Return all that is known of the commit. A fork's branch, or a build without a commit, is shown on its own."""
    latest = _latest(parts)
    ref, sha = latest.branch or latest.tag, full_sha(latest.commit)
    alone = not sha or is_foreign(ref)
    every = parts if alone else context.builds(sha)
    known = {(one.sender, one.key): part for part, one in _builds(every)}
    builds = [one for _, one in _builds(every)]
    found = () if alone else counted(builds, ref)
    here = [replace(one, branch="", tag="", fork=False) for _, one in _builds(parts)]
    return _BuiltCommit(latest, ref, known, found or counted(here, ""), counts=alone or bool(found))


def _builds(parts: Iterable[EventPart]) -> list[tuple[EventPart, Build]]:
    return [(one, one.event) for one in parts if isinstance(one.event, Build)]


def _latest(parts: Sequence[EventPart]) -> Build:
    """Return the latest build that belongs to this branch: a part may have moved to another one since."""
    builds = [one for _, one in _builds(parts)]
    here = [one for one in builds if build_thing(one.commit, one.branch or one.tag) == parts[0].thing]
    return (here or builds)[-1]


def _mood(commit: _BuiltCommit, shown: Sequence[Build]) -> tuple[Mood, str]:
    """Return the combined state of the builds and the word for it."""
    mood, word = _stand(commit, shown)
    if commit.counts:
        return mood, word
    return Mood.PLAIN if mood.settled else mood, f"{word}, may be from a fork: does not count"


def _stand(commit: _BuiltCommit, shown: Sequence[Build]) -> tuple[Mood, str]:
    failed = [one for one in shown if one.state is BuildState.FAILED]
    going = [one for one in commit.builds if not one.state.ended]
    if failed:
        names = ", ".join(dict.fromkeys(one_line(one.name, NAME) for one in failed[:2]))
        more = f" and {len(failed) - 2} more" if len(failed) > 2 else ""  # noqa: PLR2004  two are shown
        return Mood.BAD, f"red: {names}{more}{', others are running' if going else ''}"
    if going:
        return Mood.BUSY, "building" if any(one.state is BuildState.RUNNING for one in going) else "queued"
    if stands(commit.builds).light is Light.GREEN:
        return Mood.GOOD, f"green{_took(commit.builds)}"
    return Mood.PLAIN, "cancelled" if any(one.state is BuildState.CANCELLED for one in commit.builds) else "skipped"


def _took(builds: Sequence[Build]) -> str:
    """Return the time from the first start to the last end, measured by one sender's clock."""
    spans: dict[str, tuple[float, float]] = {}
    for one in builds:
        if one.started and one.finished:
            first, last = spans.get(one.sender, (one.started, one.finished))
            spans[one.sender] = min(first, one.started), max(last, one.finished)
    return f" after {show_duration(max(last - first for first, last in spans.values()))}" if spans else ""


def _line(context: CardContext, part: EventPart, build: Build, ref: str) -> Line:
    words = [_words(build)]
    if build.failed and build.state in _MAY_FAIL:
        shown = ", ".join(one_line(name, _JOB) for name in build.failed[:_FAILED_SHOWN])
        words[0] += "" if build.state is BuildState.FAILED else ", red already"
        words[0] += f": {shown}" + (", …" if len(build.failed) > _FAILED_SHOWN else "")
    if build.attempt > 1:
        words.append(f"attempt {build.attempt}")
    if streak := _streak(context, part, build):
        words.append(streak)
    if (elsewhere := build.branch or build.tag) not in {"", ref}:
        words.append(f"on {one_line(elsewhere, REF)}")
    return Line(_name(build), "; ".join(words), _TONES[build.state], page(build.url))


def _name(build: Build) -> str:
    name = one_line(build.name, NAME) or "build"
    return f"{name} #{build.number}" if build.number else name


def _words(build: Build) -> str:
    took = show_duration(build.finished - build.started) if 0 < build.started <= build.finished else ""
    match build.state:
        case BuildState.PASSED:
            return f"green, {took}" if took else "green"
        case BuildState.FAILED:
            return f"red after {took}" if took else "red"
        case BuildState.QUEUED | BuildState.RUNNING:
            return str(build.state)
    return f"{build.state} after {took}" if took else str(build.state)


def _streak(context: CardContext, part: EventPart, build: Build) -> str:
    """Return text such as `still failing, 4th time since …` or `green again after 4 failures, 2 h`, or nothing."""
    streak = before(part, context.series(part.series, LOOK_BACK))
    if not streak.failures:
        return ""
    many = streak.failures >= LOOK_BACK - 1
    if build.state is BuildState.FAILED:
        times = f"{LOOK_BACK} times or more" if many else f"{nth(streak.failures + 1)} time"
        return f"still failing, {times}, since {moment(streak.since, context.zone)}"
    if build.state is BuildState.PASSED:
        lasted = show_duration(max(ended(build, part.arrived_at) - streak.since, 0.0))
        return f"green again after {count(streak.failures, 'failure')}, {lasted}"
    return ""


def _turns(context: CardContext, part: EventPart, build: Build) -> bool:
    """Return whether it is the first failure, or the first pass after failures."""
    if build.state not in {BuildState.FAILED, BuildState.PASSED}:
        return False
    failing = before(part, context.series(part.series, LOOK_BACK)).failures > 0
    return failing == (build.state is BuildState.PASSED)


def _by(context: CardContext, builds: Sequence[Build]) -> str:
    names = dict.fromkeys(filter(None, (who(one.by, context.persons) for one in builds)))
    return f"by {', '.join([*names][:3])}" if names else ""


def _counts(builds: Iterable[Build]) -> str:
    states = [one.state for one in builds]
    return ", ".join(f"{states.count(state)} {state}" for state in _ORDER if state in states)
