"""CI in one message: every build of a commit on a branch a line, from queued to green or red."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from deploybot.card import Card, Line, Link, Tone
from deploybot.domain import Build, BuildState
from deploybot.events.patterns import environments_of, watched
from deploybot.events.telling.buttons import code_buttons
from deploybot.events.telling.folding import LOOK_BACK, before, ended, overtaken
from deploybot.events.telling.story import TONES, Mood, Scene, Story, Worth
from deploybot.events.telling.things import rank
from deploybot.events.telling.words import NAME, REF, count, moment, nth, one_line, page, short, who
from deploybot.ports import ToldPart
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


def build_story(scene: Scene, parts: Sequence[ToldPart]) -> Story:
    """The builds of one commit and branch, or tag."""
    shown = _newest(parts)
    builds = [event for _, event in shown]
    latest = max(builds, key=rank)
    mood, word = _mood(builds)
    where = one_line(latest.branch or latest.tag or latest.name, REF)
    told = sorted(shown, key=lambda one: (_ORDER.index(one[1].state), one[1].name, one[0].part))
    lines = [_line(scene, part, build) for part, build in told[:_SHOWN]]
    if len(told) > _SHOWN:
        lines.append(Line(f"… and {len(told) - _SHOWN} more", _counts(build for _, build in told[_SHOWN:])))
    behind = overtaken(scene, latest.branch, latest.commit, min(part.heard for part in parts))
    good = mood is Mood.GOOD and not behind
    place = {"branch": latest.branch, "tag": latest.tag}
    card = Card(
        title=f"{where}{f' ({short(latest.commit)})' if latest.commit else ''} — {word}",
        tone=TONES[mood],
        lines=tuple(lines),
        links=tuple(Link(_name(one), one.url) for one in builds if one.url and one.state is BuildState.FAILED)[:_LINKS],
        buttons=code_buttons(scene, latest, latest.commit, built=True, **place) if good else (),
        footer=", ".join(filter(None, (_by(scene, builds), "overtaken by a newer push" if behind else ""))),
        final=mood is not Mood.BUSY,
    )
    usual = not latest.branch or watched(scene.app, latest.branch)
    return Story(
        card=card,
        mood=mood,
        worth=Worth.USUAL if usual else Worth.ASKED,
        turns=mood.settled and any(_turns(scene, part, build) for part, build in shown),
        kinds=frozenset({"build"}),
        branches=frozenset({latest.branch} - {""}),
        environments=environments_of(scene.app, latest.branch, latest.tag),
    )


def _newest(parts: Iterable[ToldPart]) -> list[tuple[ToldPart, Build]]:
    """The last run of each workflow. Runs without a number cannot be put in order: each is one of its own."""
    last: dict[tuple[str, str, str], tuple[ToldPart, Build]] = {}
    for part in parts:
        if isinstance(build := part.event, Build):
            key = build.sender, build.name, "" if build.number else part.part
            if key not in last or _place(part, build) > _place(*last[key]):
                last[key] = part, build
    return [pair for pair in last.values() if _is_line(pair[1], [build for _, build in last.values()])]


def _place(part: ToldPart, build: Build) -> tuple[object, ...]:
    return part.position, rank(build)


def _is_line(build: Build, builds: Iterable[Build]) -> bool:
    """Whether a build is told.

    A pipeline, which has a number and is the whole, stands for all that its sender tells. A suite, which has none, is
    told where it says more than the builds in it.
    """
    others = [one for one in builds if one.sender == build.sender and one is not build]
    if not build.whole:
        return not any(one.whole and one.number for one in others)
    inside = [one for one in others if not one.whole]
    failed = build.state is BuildState.FAILED and not any(one.state is BuildState.FAILED for one in inside)
    return bool(build.number) or not inside or failed


def _mood(builds: Sequence[Build]) -> tuple[Mood, str]:
    """How they stand together, and the word for it."""
    failed = [one for one in builds if one.state is BuildState.FAILED]
    going = [one for one in builds if not one.state.ended]
    if failed:
        names = ", ".join(one_line(one.name, NAME) for one in failed[:2])
        more = f" and {len(failed) - 2} more" if len(failed) > 2 else ""  # noqa: PLR2004  those shown
        return Mood.BAD, f"red: {names}{more}{', others are running' if going else ''}"
    if going:
        return Mood.BUSY, "building" if any(one.state is BuildState.RUNNING for one in going) else "queued"
    if any(one.state is BuildState.PASSED for one in builds):
        return Mood.GOOD, f"green{_took(builds)}"
    return Mood.PLAIN, "cancelled" if any(one.state is BuildState.CANCELLED for one in builds) else "skipped"


def _took(builds: Sequence[Build]) -> str:
    """How long it was from the first one's start to the last one's end."""
    timed = [one for one in builds if one.started and one.finished]
    if not timed:
        return ""
    return f" after {show_duration(max(one.finished for one in timed) - min(one.started for one in timed))}"


def _line(scene: Scene, part: ToldPart, build: Build) -> Line:
    words = [_words(build)]
    if build.failed and build.state in _MAY_FAIL:
        shown = ", ".join(one_line(name, _JOB) for name in build.failed[:_FAILED_SHOWN])
        words[0] += "" if build.state is BuildState.FAILED else ", red already"
        words[0] += f": {shown}" + (", …" if len(build.failed) > _FAILED_SHOWN else "")
    if build.attempt > 1:
        words.append(f"attempt {build.attempt}")
    if told := _streak(scene, part, build):
        words.append(told)
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


def _streak(scene: Scene, part: ToldPart, build: Build) -> str:
    """`still failing, 4th time since …`, `green again after 4 failures, 2 h`; empty where there is nothing to it."""
    streak = before(part, scene.series(part.series, LOOK_BACK))
    if not streak.failures:
        return ""
    many = streak.failures >= LOOK_BACK - 1
    if build.state is BuildState.FAILED:
        times = f"{LOOK_BACK} times or more" if many else f"{nth(streak.failures + 1)} time"
        return f"still failing, {times}, since {moment(streak.since, scene.zone)}"
    if build.state is BuildState.PASSED:
        lasted = show_duration(max(ended(build, part.heard) - streak.since, 0.0))
        return f"green again after {count(streak.failures, 'failure')}, {lasted}"
    return ""


def _turns(scene: Scene, part: ToldPart, build: Build) -> bool:
    """Whether it is the first failure, or the first that is green again."""
    if build.state not in {BuildState.FAILED, BuildState.PASSED}:
        return False
    failing = before(part, scene.series(part.series, LOOK_BACK)).failures > 0
    return failing == (build.state is BuildState.PASSED)


def _by(scene: Scene, builds: Sequence[Build]) -> str:
    names = dict.fromkeys(filter(None, (who(one.by, scene.persons) for one in builds)))
    return f"by {', '.join([*names][:3])}" if names else ""


def _counts(builds: Iterable[Build]) -> str:
    states = [one.state for one in builds]
    return ", ".join(f"{states.count(state)} {state}" for state in _ORDER if state in states)
