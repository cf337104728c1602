"""What CI does to one commit, drawn by dice: payloads as the senders document them, and what came of it in truth.

Written from the senders' documents, and not from the bot's code:

- GitHub: a workflow is known by id and path. A new run has a higher `id` and `run_number`; running it again keeps both
  and counts `run_attempt`. `head_repository` is another one for a fork, or null where that is gone. A check run made
  again has a higher id; an app has one suite for a commit, whatever branches it is on. "Pushes to a branch in a forked
  repository" give "a null value for `head_branch`". Of a commit's statuses the latest of a context counts; `branches`
  are those of this repository that hold the commit.
- GitLab: a new pipeline has a higher id; a retried one keeps it and goes on. `merge_request` tells source and target
  project. A child pipeline (`parent_pipeline`) is a matter of its parent.
- Jenkins: builds of a job are numbered; a phase is QUEUED, STARTED, COMPLETED, FINALIZED; the end has a status.
- `event`: docs/webhooks.md.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from deploybot.domain import Event
from deploybot.webhooks.body_reading import Tree
from deploybot.webhooks.sender_base import BaseSender
from deploybot.webhooks.sender_port import Received
from deploybot.webhooks.senders import sender
from tests.events.channel import NOON

COMMIT = f"{7:040x}"
REPOSITORY = "acme/shop"
REFS = ("main", "develop")
YEARS = 1000 * 365 * 86400.0
ENDS = ("passed", "failed", "cancelled", "skipped")
_CHECKS = {"github-actions": "unit", "scanner": "scan"}
_GITHUB = {"passed": "success", "failed": "failure", "cancelled": "cancelled", "skipped": "skipped"}
_GITLAB = {"passed": "success", "failed": "failed", "cancelled": "canceled", "skipped": "skipped"}
_JENKINS = {"passed": "SUCCESS", "failed": "FAILURE", "cancelled": "ABORTED", "skipped": "NOT_BUILT"}


@dataclass(frozen=True, slots=True)
class Ran:
    """A run as it is in truth: of what, the how manieth, for which branch, how it stands.

    `thing` is what the sender's document makes one thing. `part` is True where a run that is told stands for it.
    """

    sender: str
    thing: tuple[object, ...]
    names: tuple[str, ...]
    number: int
    ref: str
    state: str
    fork: bool = False
    part: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery: whose, which kind, the body. Those of one `queue` come in order: nothing in them tells it."""

    sender: str
    kind: str
    body: dict[str, Any]
    queue: str = ""

    def events(self) -> tuple[Event, ...]:
        """What the sender's file makes of it."""
        caller = sender(self.sender)
        assert isinstance(caller, BaseSender)
        headers = {caller.kind_header or "x-kind": (self.kind,)}
        return caller.events_in(Received(headers=headers, body=b"{}", query={}), Tree(self.body))


@dataclass(slots=True)
class CiHistory:
    """Draws a history. `clock` is by how much each sender's clock is wrong."""

    dice: random.Random
    ran: list[Ran] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1000))
    time: float = NOON - 7200.0
    clocks: dict[str, float] = field(default_factory=dict)
    tied: bool = False

    def tick(self) -> None:
        """Time goes on, unless all happens within one second."""
        self.time += 0.0 if self.tied else self.dice.randint(1, 40)

    def at(self, who: str) -> float:
        """What the sender's clock says."""
        return self.time + self.clocks[who]

    def stamp(self, who: str) -> str:
        """The same as RFC 3339 has it."""
        return datetime.fromtimestamp(self.at(who), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def end(self) -> str:
        """How something ended, or that it has not; it passes more often than not."""
        return self.dice.choices((*ENDS, "running", "queued"), (9, 4, 2, 2, 2, 1))[0]

    def way(self, last: str) -> list[str]:
        """The states up to a last one; some are never told."""
        before = {"queued": [], "running": ["queued"]}.get(last, ["queued", "running"])
        return [*(state for state in before if self.dice.random() < 0.7), last]

    def send(self, who: str, kind: str, body: dict[str, Any], queue: str = "") -> None:
        self.sent.append(Sent(who, kind, body, queue))

    def ref(self) -> str:
        return self.dice.choices(REFS, (2, 1))[0]

    def chance(self, part: float) -> bool:
        return self.dice.random() < part


def draw(dice: random.Random) -> CiHistory:
    """A history: several senders, their runs one after the other, and the deliveries in the order of their arrival."""
    history = CiHistory(dice, tied=dice.random() < 0.2)
    for who in ("github", "gitlab", "jenkins", "event"):
        history.clocks[who] = dice.choice((0.0, 0.0, -5000.0, 40_000.0, YEARS))
    for play in dice.sample(PLAYS, dice.randint(1, 3)):
        play(history)
    history.sent = _delivered(dice, history.sent)
    return history


def _delivered(dice: random.Random, sent: list[Sent]) -> list[Sent]:
    """Shuffled, some of them twice; what has a queue stays in order."""
    free = [one for one in sent if not one.queue]
    mixed = [*sent, *(dice.sample(free, len(free) // 4) if dice.random() < 0.5 else ())]
    if dice.random() < 0.8:
        dice.shuffle(mixed)
    queues = {name: iter([one for one in sent if one.queue == name]) for name in {one.queue for one in sent}}
    return [next(queues[one.queue]) if one.queue else one for one in mixed]


def workflows(history: CiHistory) -> None:
    """GitHub Actions: up to three workflows, of which two may have one name; runs, attempts, forks, jobs."""
    dice, private = history.dice, history.chance(0.5)
    for number in range(1, dice.randint(1, 3) + 1):
        name = dice.choice(("CI", "lint"))
        for count in range(1, dice.choice((1, 1, 2, 3)) + 1):
            _workflow_run(history, number, name, count, private=private)


def _workflow_run(history: CiHistory, number: int, name: str, count: int, *, private: bool) -> None:
    dice, ident, suite = history.dice, next(history.ids), next(history.ids)
    fork, ref, event = history.chance(0.2), history.ref(), dice.choice(("push", "push", "push", "pull_request"))
    attempts, path = dice.choice((1, 1, 2, 3)), f".github/workflows/w{number}.yml"
    here = {"full_name": REPOSITORY, "private": private, "html_url": "https://github.com/acme/shop"}
    there = dice.choice(({"full_name": "mallory/shop"}, None)) if fork else {"full_name": REPOSITORY}
    state = unit = ""
    jobs, suites = history.chance(0.4), history.chance(0.3)
    for attempt in range(1, attempts + 1):
        state = history.end() if attempt == attempts else dice.choice(("failed", "cancelled", "passed"))
        for one in history.way(state):
            history.tick()
            run = {
                "id": ident, "name": name, "path": path, "run_number": count, "run_attempt": attempt, "event": event,
                "head_branch": ref, "head_sha": COMMIT, "head_repository": there, "check_suite_id": suite,
                "status": {"queued": "queued", "running": "in_progress"}.get(one, "completed"),
                "conclusion": _GITHUB.get(one), "updated_at": history.stamp("github"),
            }  # fmt: skip
            body = {"repository": here, "workflow_run": run, "workflow": {"id": number, "path": path, "name": name}}
            history.send("github", "workflow_run", body)
        if state == "failed" and private and not fork:
            job = {
                "id": next(history.ids), "run_id": ident, "run_attempt": attempt, "workflow_name": name, "name": "unit",
                "status": "completed", "conclusion": "failure", "head_branch": ref, "head_sha": COMMIT,
                "completed_at": history.stamp("github"),
            }  # fmt: skip
            history.send("github", "workflow_job", {"repository": here, "workflow_job": job})
        if suites:
            done = {"queued": "queued", "running": "in_progress"}.get(state, "completed")
            told = {
                "id": suite, "status": done, "conclusion": _GITHUB.get(state), "head_branch": ref, "head_sha": COMMIT,
                "app": {"slug": "github-actions", "name": "GitHub Actions"}, "updated_at": history.stamp("github"),
            }  # fmt: skip
            history.send("github", "check_suite", {"repository": here, "check_suite": told})
        if jobs:
            unit = dice.choice(("passed", "failed"))
            _check(history, "github-actions", suite, unit, ref, private=private)
    kind = "pull_request" if event == "pull_request" else ""
    thing = ("workflow", number, kind)
    history.ran.append(Ran("github", thing, (name, path), ident, ref, state, fork))
    if jobs:
        history.ran.append(Ran("github", (*thing, "unit"), ("unit",), ident, ref, unit, fork, part=True))


def _check(history: CiHistory, app: str, suite: int, state: str, branch: str | None, *, private: bool) -> int:
    """One check run from its beginning to an end; its id."""
    name = _CHECKS[app]
    ident = next(history.ids)
    begun = history.stamp("github")
    for one in history.way(state):
        history.tick()
        check = {
            "id": ident, "name": name, "head_sha": COMMIT, "started_at": begun, "app": {"slug": app, "name": app},
            "status": {"queued": "queued", "running": "in_progress"}.get(one, "completed"),
            "conclusion": _GITHUB.get(one), "completed_at": history.stamp("github") if one in ENDS else None,
            "check_suite": {"id": suite, "head_branch": branch},
        }  # fmt: skip
        here = {"full_name": REPOSITORY, "private": private}
        history.send("github", "check_run", {"repository": here, "check_run": check})
    return ident


def checks(history: CiHistory) -> None:
    """Checks of another app than Actions, made again and again; a fork's have no branch."""
    suites, ref = {False: next(history.ids), True: next(history.ids)}, history.ref()
    for _ in range(history.dice.randint(1, 3)):
        fork, state = history.chance(0.25), history.end()
        ident = _check(history, "scanner", suites[fork], state, None if fork else ref, private=history.chance(0.5))
        history.ran.append(Ran("github", ("check", "scan"), ("scan",), ident, "" if fork else ref, state, fork))


def statuses(history: CiHistory) -> None:
    """Statuses of a context, the latest of which counts; some are for requests, or lie on no branch here."""
    contexts = ("ci/mill", "ci/mill/pr-merge", "e2e (pull_request)")
    for context in history.dice.sample(contexts, history.dice.randint(1, 2)):
        for _ in range(history.dice.randint(1, 4)):
            history.tick()
            ident, stray = next(history.ids), history.chance(0.2)
            word, state = history.dice.choice((("success", "passed"), ("failure", "failed"), ("pending", "running")))
            body = {
                "id": ident, "sha": COMMIT, "context": context, "state": word, "updated_at": history.stamp("github"),
                "branches": [] if stray else [{"name": "main"}],
                "repository": {"full_name": REPOSITORY, "default_branch": "main"},
            }  # fmt: skip
            history.send("github", "status", body)
            fork = stray or context != "ci/mill"
            ref = "" if stray else "main"
            history.ran.append(Ran("github", ("status", context), (context,), ident, ref, state, fork))


def pipelines(history: CiHistory) -> None:
    """GitLab: pipelines by push, schedule, request and parent; a retried one goes on under its id."""
    for _ in range(history.dice.randint(1, 3)):
        _pipeline(history)


def _pipeline(history: CiHistory) -> None:
    dice, ident, ref = history.dice, next(history.ids), history.ref()
    source = dice.choice(("push", "push", "web", "schedule", "merge_request_event", "parent_pipeline"))
    fork = source == "merge_request_event" and history.chance(0.5)
    request = None
    if source == "merge_request_event" and not (fork and history.chance(0.3)):
        request = {"source_project_id": 9 if fork else 1, "target_project_id": 1}
    retried = history.chance(0.3)
    state = dice.choice(("passed", "failed")) if retried else history.end()
    ways = [*history.way("failed"), *history.way(state)] if retried else history.way(state)
    # Where its clock tells nothing, only the order of arrival tells a retry from what was before.
    told = not history.tied and history.clocks["gitlab"] < YEARS
    begun = history.stamp("gitlab")
    for number, one in enumerate(ways):
        history.tick()
        run = {
            "id": ident, "iid": ident, "ref": ref, "sha": COMMIT, "source": source, "created_at": begun,
            "status": {"queued": "pending", "running": "running"}.get(one) or _GITLAB[one],
            "finished_at": history.stamp("gitlab") if one in ENDS else None,
        }  # fmt: skip
        job = {"name": "unit", "status": "running", "started_at": history.stamp("gitlab") if number else None}
        body = {
            "object_kind": "pipeline", "object_attributes": run, "merge_request": request, "builds": [job],
            "project": {"path_with_namespace": REPOSITORY, "web_url": "https://gitlab.com/acme/shop"},
        }  # fmt: skip
        history.send("gitlab", "Pipeline Hook", body, "" if told or not retried else str(ident))
    if source != "parent_pipeline":
        kind = source if source in {"schedule", "merge_request_event"} else "push"
        history.ran.append(Ran("gitlab", ("pipeline", kind), ("pipeline",), ident, ref, state, fork))


def jenkins(history: CiHistory) -> None:
    """Jenkins: numbered builds of jobs, some of them for pull requests."""
    for job in history.dice.sample(("shop", "shop/main", "shop/PR-7"), history.dice.randint(1, 2)):
        for number in range(41, 41 + history.dice.randint(1, 3)):
            ref, state = history.ref(), history.end()
            for one in history.way(state):
                history.tick()
                phase = {"queued": "QUEUED", "running": "STARTED"}.get(one, "COMPLETED")
                build = {
                    "number": number, "phase": phase, "status": _JENKINS.get(one),
                    "timestamp": history.at("jenkins") * 1000,
                    "scm": {"url": "git@github.com:acme/shop.git", "branch": f"origin/{ref}", "commit": COMMIT},
                }  # fmt: skip
                url = "/".join(f"job/{part}" for part in job.split("/"))
                history.send("jenkins", "", {"name": job.rpartition("/")[2], "url": url, "build": build})
            fork = job == "shop/PR-7"
            history.ran.append(Ran("jenkins", (job,), (job,), number, ref, state, fork))


def scripts(history: CiHistory) -> None:
    """A script: names as CI has them elsewhere, numbers, attempts, no times or wrong ones, a branch or none."""
    for name in history.dice.sample(("CI", "unit", "scan"), history.dice.randint(1, 2)):
        for number in range(1, history.dice.randint(1, 3) + 1):
            ref, attempts, timed = history.dice.choice((*REFS, "")), history.dice.choice((1, 1, 2)), history.chance(0.5)
            state = ""
            for attempt in range(1, attempts + 1):
                state = history.end() if attempt == attempts else "failed"
                for one in history.way(state):
                    history.tick()
                    build = {"name": name, "number": number, "attempt": attempt, "state": one}
                    body = {"repository": REPOSITORY, "commit": COMMIT, "branch": ref, "build": build}
                    history.send("event", "", body | ({"at": history.at("event")} if timed else {}))
            history.ran.append(Ran("event", (name,), (name,), number, ref, state))


PLAYS: tuple[Callable[[CiHistory], None], ...] = (workflows, workflows, checks, statuses, pipelines, jenkins, scripts)


def latest(ran: list[Ran], ref: str) -> list[Ran]:
    """Of each thing what counts where the commit is deployed from a branch, as docs/auto.md says it."""
    things: dict[tuple[object, ...], list[Ran]] = {}
    for one in ran:
        if not one.fork:
            things.setdefault((one.sender, *one.thing), []).append(one)
    found = []
    for runs in things.values():
        told = [one for one in runs if one.state != "skipped"] or runs
        told = [one for one in told if one.ref in {"", ref}] or [one for one in told if one.state != "cancelled"]
        found += sorted(told, key=lambda one: one.number)[-1:]
    return found


def all_green(ran: list[Ran], ref: str) -> str:
    """What `after = "ci"` is to say."""
    states = {one.state for one in latest(ran, ref) if not one.part}
    if states & {"failed", "cancelled"}:
        return "red"
    return "green" if "passed" in states and not states & {"queued", "running"} else "waits"


def named_green(ran: list[Ran], ref: str, checks: tuple[tuple[str, str], ...]) -> str:
    """What `checks` is to say, each of a sender and a name."""
    answers = set()
    for who, name in checks:
        states = {one.state for one in latest(ran, ref) if one.sender == who and name in one.names}
        states = states - {"skipped"} or states
        bad = states & {"failed", "cancelled", "skipped"}
        answers.add("red" if bad else "green" if states == {"passed"} else "waits")
    return next(word for word in ("red", "waits", "green") if word in answers)
