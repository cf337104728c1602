"""What was found on a server, as words with a tone. Pure; `deploybot.observed_state` judges it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deploybot.card import Tone
from deploybot.domain import Container, Deployment, Lock, Manifest, Running, ServerFacts, State, Usage, short_id
from deploybot.errors import BadAnswer, DeploybotError
from deploybot.observed_state import DifferenceKind, Judgement, Serving, ailment
from deploybot.status.server_look import ServerLook
from deploybot.units import show_duration, show_size

_WORST = (Tone.BAD, Tone.WARN, Tone.UNKNOWN, Tone.BUSY, Tone.GOOD, Tone.PLAIN)
_NAMED = frozenset({DifferenceKind.IMAGE})
"""Differences that are already part of the text for what runs, if that is not the release."""


@dataclass(frozen=True, slots=True)
class Word:
    """A text to show, and its tone."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the bot's database has about an app on a server of an environment. `frozen` is until when and why."""

    running: Running | None = None
    manifest: Manifest | None = None
    by: str = ""
    lock: Lock | None = None
    frozen: str = ""
    open: tuple[Deployment, ...] = ()


def worst(tones: Iterable[Tone]) -> Tone:
    """Return the most serious tone."""
    found = set(tones)
    return next((tone for tone in _WORST if tone in found), Tone.PLAIN)


def joined(words: Iterable[Word]) -> str:
    """Return the texts on one line."""
    return " · ".join(word.text for word in words if word.text)


def trouble(problem: DeploybotError, server: str) -> str:
    """Return why a server, or a part of it, does not answer, for a line that begins with the server's name."""
    return str(problem).removeprefix(f"{server} ").removeprefix(f"{server}: ")


def advice(problems: Iterable[object]) -> str:
    """Return the first hint among these errors."""
    hints = (getattr(problem, "hint", "") for problem in problems if isinstance(problem, DeploybotError))
    return next(filter(None, hints), "")


def ago(then: float, now: float) -> str:
    """Return `3 min ago`."""
    return f"{show_duration(max(now - then, 0.0))} ago"


def release(look: ServerLook, record: Record, judged: Judgement | None) -> list[Word]:
    """Return what runs, as observed; if that is not what the bot recorded, how it differs."""
    running = record.running
    if judged is None or isinstance(look.facts, DeploybotError):
        return [Word(f"{running.release} (last known)" if running else "unknown", Tone.UNKNOWN)]
    state = _runs(look.facts, running, judged) if running else _found(look, judged)
    named = () if judged.serving is Serving.RECORDED else _NAMED
    rest = [one for one in judged.differences if one not in judged.ailments and one.kind not in named]
    edited = running is not None and look.facts.files_changed
    changed = [Word("its Compose files changed since the last deployment", Tone.WARN)] if edited else []
    return [state, *(Word(one.text, Tone.BAD) for one in rest), *changed]


def _runs(facts: ServerFacts, running: Running, judged: Judgement) -> Word:
    """Return what runs on a server where the bot has deployed something."""
    number, put = running.deployment, running.release
    if judged.serving is Serving.FOREIGN:
        images = ", ".join(one.text for one in judged.of(DifferenceKind.IMAGE))
        if images:
            return Word(f"runs something other than #{number} deployed: {images}", Tone.BAD)
        return Word(f"runs {short_id(facts.current)}, but #{number} deployed {put}", Tone.BAD)
    if judged.serving is Serving.NOTHING:
        if judged.of(DifferenceKind.MISSING):
            return Word(f"#{number} deployed {put}, but nothing of it runs", Tone.BAD)
        return Word(f"#{number} deployed {put}, but it is gone from {facts.directory}", Tone.BAD)
    return Word(str(put))


def _found(look: ServerLook, judged: Judgement) -> Word:
    """Return what runs on a server where the bot has deployed nothing: its containers; the link if there are none.

    A first deployment that failed may have left the link on its release, although what ran before runs again.
    """
    if judged.serving is not Serving.FOREIGN:
        return Word("nothing deployed yet")
    current = look.facts.current if isinstance(look.facts, ServerFacts) else ""
    images = {f"{one.service or one.name} (image {one.image})" for one in _containers(look)}
    what = ", ".join(sorted(images)) or short_id(current)
    return Word(f"runs {what}, which deploybot did not deploy", Tone.WARN)


def since(record: Record, now: float) -> list[Word]:
    """Return since when it runs, by which deployment, and who requested that."""
    running = record.running
    if running is None:
        return []
    by = f" by {record.by}" if record.by else ""
    return [Word(f"{ago(running.since, now)} (#{running.deployment}{by})")]


def is_empty(look: ServerLook, record: Record) -> bool:
    """Return whether nothing was deployed there and nothing is there: then a missing answer is not an error."""
    return record.running is None and isinstance(look.facts, ServerFacts) and not look.facts.current


def health(look: ServerLook, record: Record, judged: Judgement | None, *, checked: bool) -> Word:
    """Return the present health, from the containers and, if `checked`, the health check of bot.toml."""
    expected = record.running is not None
    seen = None if is_empty(look, record) else _checked(look)
    known = _containers_health(look, judged, expected=expected) or seen or _alive(look)
    if known is None and expected:
        return Word("health unknown", Tone.UNKNOWN) if checked else Word("no health check")
    return known or Word("")


def _containers_health(look: ServerLook, judged: Judgement | None, *, expected: bool) -> Word | None:
    """Return what is wrong with the containers."""
    if isinstance(look.containers, DeploybotError):
        answer = "gives no usable answer" if isinstance(look.containers, BadAnswer) else "does not answer"
        return Word(f"health unknown: Docker {answer}", Tone.BAD)
    ailments = sorted(judged.ailments if judged else (), key=lambda one: one.mild)
    if ailments:
        tone = Tone.WARN if all(one.mild for one in ailments) else Tone.BAD
        return Word(", ".join(one.text for one in ailments), tone)
    return Word("no containers", Tone.BAD) if expected and look.containers == () else None


def _checked(look: ServerLook) -> Word | None:
    """Return what the health check saw, unless it passed."""
    if isinstance(look.health, DeploybotError):
        return Word("does not answer", Tone.BAD)
    return Word(look.health, Tone.BAD) if look.health else None


def _alive(look: ServerLook) -> Word | None:
    """Return the text for something without known problems; None if nothing can be asked."""
    states = {one.health for one in _containers(look)}
    if "starting" in states:
        return Word("starting", Tone.BUSY)
    if look.health == "" or "healthy" in states:
        return Word("healthy", Tone.GOOD)
    if states:
        return Word("running", Tone.GOOD)
    return None


def state_of(one: Container, containers: Sequence[Container], now: float) -> Word:
    """Return a container's state and health."""
    found = ailment(one, containers, now=now)
    if one.state == "exited":
        tone = Tone.PLAIN if found is None else Tone.BAD if one.exit_code else Tone.WARN
        return Word(f"exited with {one.exit_code}", tone)
    if found:
        loops = found[0] is DifferenceKind.LOOP
        unwell = "without network" if one.cut_off else one.health or one.state
        return Word("keeps restarting" if loops else unwell, Tone.BAD)
    return Word(one.health or one.state, Tone.BUSY if one.health == "starting" else Tone.GOOD)


def restarts(look: ServerLook, judged: Judgement | None) -> list[Word]:
    """Return how often containers were restarted since they were created, unless that is already shown."""
    count = sum(one.restarts for one in _containers(look))
    if not count or (judged and judged.of(DifferenceKind.LOOP)):
        return []
    return [Word(f"{count} restart{'s' if count > 1 else ''}", Tone.WARN)]


def load(look: ServerLook) -> list[Word]:
    """Return CPU and memory of all containers together, as far as they are known."""
    running = [one.id for one in _containers(look) if one.state == "running"]
    usages = [look.usage.get(one, Usage()) for one in running]
    words = []
    if usages and all(one.cpu >= 0 for one in usages):
        words.append(Word(f"CPU {sum(one.cpu for one in usages):.0f} %"))
    if usages and all(one.memory >= 0 for one in usages):
        words.append(Word(show_size(sum(one.memory for one in usages))))
    return words


def disk(facts: ServerFacts) -> Word:
    """Return the free disk of a server."""
    if facts.disk_free < 0:
        return Word("disk unknown", Tone.UNKNOWN)
    return Word(f"disk {show_size(facts.disk_free)} free", Tone.WARN if facts.disk_is_short else Tone.PLAIN)


def going_on(record: Record, now: float) -> list[Word]:
    """Return the unfinished deployments, who holds a lock, and a freeze."""
    words = [Word(_open(one, now), Tone.BUSY) for one in record.open]
    if record.lock:
        words.append(Word(locked(record.lock, now)))
    if record.frozen:
        words.append(Word(f"frozen {record.frozen}"))
    return words


def _open(one: Deployment, now: float) -> str:
    state = {State.WAITING: "waiting", State.RESTORING: "being rolled back"}.get(one.state, "running")
    return f"#{one.number} {one.plan.release} {state} for {show_duration(now - (one.started or one.created))}"


def locked(lock: Lock, now: float) -> str:
    """Return who holds a lock, since when, until when, and why."""
    until = f", {show_duration(lock.until - now)} left" if lock.until else ""
    why = f": {lock.reason}" if lock.reason else ""
    return f"locked by {lock.holder} {ago(lock.since, now)}{until}{why}"


def _containers(look: ServerLook) -> Sequence[Container]:
    return look.containers if isinstance(look.containers, tuple) else ()
