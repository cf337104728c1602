"""What was found on a server, in words with a tone: health, drift, load. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from deploybot.card import Tone
from deploybot.domain import Container, Deployment, Lock, Release, Running, ServerFacts, State, Usage, short_id
from deploybot.errors import BadAnswer, DeploybotError
from deploybot.observe.look import Look
from deploybot.units import show_duration, show_size

_WORST = (Tone.BAD, Tone.WARN, Tone.UNKNOWN, Tone.BUSY, Tone.GOOD, Tone.PLAIN)
_IMAGE = "deploybot.image"
_DEPENDS_ON = "com.docker.compose.depends_on"
"""Compose writes `service:condition:restart` there, with commas between."""
DISK_SHORT = 0.1
"""The share of free disk below which a server is warned about."""


@dataclass(frozen=True, slots=True)
class Word:
    """Something to say, and how good it is."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the bot's database holds of an app on a server of an environment."""

    running: Running | None = None
    by: str = ""
    lock: Lock | None = None
    open: tuple[Deployment, ...] = ()


def worst(tones: Iterable[Tone]) -> Tone:
    """The tone that matters most."""
    found = set(tones)
    return next((tone for tone in _WORST if tone in found), Tone.PLAIN)


def joined(words: Iterable[Word]) -> str:
    """The words in one line."""
    return " · ".join(word.text for word in words if word.text)


def trouble(problem: DeploybotError, server: str) -> str:
    """Why a server, or something on it, does not answer, for a line that has the server's name before it."""
    return str(problem).removeprefix(f"{server} ").removeprefix(f"{server}: ")


def advice(problems: Iterable[object]) -> str:
    """The first hint that an error among these has."""
    hints = (getattr(problem, "hint", "") for problem in problems if isinstance(problem, DeploybotError))
    return next(filter(None, hints), "")


def ago(then: float, now: float) -> str:
    """`3 min ago`."""
    return f"{show_duration(max(now - then, 0.0))} ago"


def release(look: Look, record: Record) -> list[Word]:
    """What runs, by what is there; where that is not what the bot put there, both are said."""
    running = record.running
    if isinstance(look.facts, DeploybotError):
        return [Word(f"{running.release}, as far as I know" if running else "unknown", Tone.UNKNOWN)]
    here, half = look.facts.current, look.facts.switching
    words = []
    if half and half != here:
        words.append(Word(f"half switched from {short_id(here) or 'nothing'} to {short_id(half)}", Tone.BAD))
    if running is None:
        told = f"runs {short_id(here)}, which I did not put there" if here else "nothing deployed yet"
        words.insert(0, Word(told, Tone.WARN if here else Tone.PLAIN))
    elif here == running.release.id:
        words.insert(0, Word(str(running.release)))
        words += _strangers(look, running.release)
    elif here:
        told = f"runs {short_id(here)}, but #{running.deployment} put {running.release} there"
        words.insert(0, Word(told, Tone.BAD))
    else:
        told = f"#{running.deployment} put {running.release} there, but nothing is in {look.facts.directory} now"
        words.insert(0, Word(told, Tone.BAD))
    return words


def _strangers(look: Look, running: Release) -> Iterator[Word]:
    """Services whose containers came from another image than the release's: somebody, or something, else made them."""
    for pin in running.images:
        labels = (dict(one.labels).get(_IMAGE, "") for one in _containers(look) if one.service == pin.service)
        if not all(label.endswith(pin.digest) for label in labels):
            yield Word(f"{pin.service} runs another image than {pin.version}", Tone.BAD)


def since(record: Record, now: float) -> list[Word]:
    """Since when, by which deployment and whose."""
    running = record.running
    if running is None:
        return []
    by = f" by {record.by}" if record.by else ""
    return [Word(f"{ago(running.since, now)} (#{running.deployment}{by})")]


def is_empty(look: Look, record: Record) -> bool:
    """Whether nothing was put there, and nothing is there: then nothing is wrong if nothing answers."""
    return record.running is None and isinstance(look.facts, ServerFacts) and not look.facts.current


def health(look: Look, record: Record, *, checked: bool) -> Word:
    """How it is now, by its containers and the health check that bot.toml gives if it is `checked`."""
    expected = record.running is not None
    seen = None if is_empty(look, record) else _checked(look)
    known = _containers_health(look, expected=expected) or seen or _alive(look)
    if known is None and expected:
        return Word("health unknown", Tone.UNKNOWN) if checked else Word("no health check")
    return known or Word("")


def _containers_health(look: Look, *, expected: bool) -> Word | None:
    """What is wrong with the containers."""
    if isinstance(look.containers, DeploybotError):
        said = "gives no usable answer" if isinstance(look.containers, BadAnswer) else "does not answer"
        return Word(f"health unknown: Docker {said}", Tone.BAD)
    containers = _containers(look)
    ill = ", ".join(filter(None, map(_ailing, containers)))
    ended = ", ".join(f"{one.service or one.name} has ended" for one in containers if has_stopped(one, containers))
    if ill:
        return Word(", ".join(filter(None, (ill, ended))), Tone.BAD)
    if ended:
        runs = any(one.state == "running" for one in containers)
        return Word(ended, Tone.WARN if runs else Tone.BAD)
    return Word("no containers", Tone.BAD) if expected and look.containers == () else None


def has_stopped(one: Container, containers: Sequence[Container]) -> bool:
    """Whether a container ended with code 0 though no other was started on the condition that it ends."""
    if one.state != "exited" or one.exit_code:
        return False
    awaited = f"{one.service}:service_completed_successfully"
    waiting = (dict(other.labels).get(_DEPENDS_ON, "") for other in containers)
    return not any(part.startswith(awaited) for text in waiting for part in text.split(","))


def _checked(look: Look) -> Word | None:
    """What the health check saw, unless it passed."""
    if isinstance(look.health, DeploybotError):
        return Word("does not answer", Tone.BAD)
    return Word(look.health, Tone.BAD) if look.health else None


def _alive(look: Look) -> Word | None:
    """The word for something of which nothing bad is known; None where nothing can be asked."""
    states = {one.health for one in _containers(look)}
    if "starting" in states:
        return Word("starting", Tone.BUSY)
    if look.health == "" or "healthy" in states:
        return Word("healthy", Tone.GOOD)
    if states:
        return Word("running", Tone.GOOD)
    return None


def _ailing(one: Container) -> str:
    """What is wrong with a container; empty when it runs, or ended with code 0."""
    name = one.service or one.name
    if one.state == "running":
        return f"{name} unhealthy" if one.health == "unhealthy" else ""
    if one.state == "exited":
        return f"{name} exited with {one.exit_code}" if one.exit_code else ""
    return f"{name} {one.state}"


def state_of(one: Container, containers: Sequence[Container]) -> Word:
    """A container's state and health."""
    if one.state == "exited":
        tone = Tone.BAD if one.exit_code else Tone.WARN if has_stopped(one, containers) else Tone.PLAIN
        return Word(f"exited with {one.exit_code}", tone)
    if _ailing(one):
        return Word(one.health or one.state, Tone.BAD)
    return Word(one.health or one.state, Tone.BUSY if one.health == "starting" else Tone.GOOD)


def restarts(look: Look) -> list[Word]:
    """How often containers were restarted since they were made."""
    count = sum(one.restarts for one in _containers(look))
    return [Word(f"{count} restart{'s' if count > 1 else ''}", Tone.WARN)] if count else []


def load(look: Look) -> list[Word]:
    """CPU and memory of all containers together, as far as they are known."""
    running = [one.id for one in _containers(look) if one.state == "running"]
    usages = [look.usage.get(one, Usage()) for one in running]
    words = []
    if usages and all(one.cpu >= 0 for one in usages):
        words.append(Word(f"CPU {sum(one.cpu for one in usages):.0f} %"))
    if usages and all(one.memory >= 0 for one in usages):
        words.append(Word(show_size(sum(one.memory for one in usages))))
    return words


def disk(facts: ServerFacts) -> Word:
    """The free disk of a server."""
    if facts.disk_free < 0:
        return Word("disk unknown", Tone.UNKNOWN)
    short = 0 < facts.disk_total * DISK_SHORT > facts.disk_free
    return Word(f"disk {show_size(facts.disk_free)} free", Tone.WARN if short else Tone.PLAIN)


def going_on(record: Record, now: float) -> list[Word]:
    """A deployment that has not ended, and who holds a lock."""
    words = [Word(_open(one, now), Tone.BUSY) for one in record.open]
    if record.lock:
        words.append(Word(locked(record.lock, now)))
    return words


def _open(one: Deployment, now: float) -> str:
    told = {State.WAITING: "waiting", State.RESTORING: "being taken back"}.get(one.state, "running")
    return f"#{one.number} {one.plan.release} {told} for {show_duration(now - (one.started or one.created))}"


def locked(lock: Lock, now: float) -> str:
    """Who holds it, since when, until when, why."""
    until = f", {show_duration(lock.until - now)} left" if lock.until else ""
    why = f": {lock.reason}" if lock.reason else ""
    return f"locked by {lock.holder} {ago(lock.since, now)}{until}{why}"


def _containers(look: Look) -> Sequence[Container]:
    return look.containers if isinstance(look.containers, tuple) else ()
