"""Holds what the bot says of a deployment to what its servers, their files and its own database say."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from deploybot.card import Card
from deploybot.chat.console.console_protocol import Show
from deploybot.deployments.deployment_card import key
from deploybot.domain import Deployment, Kind, Phase, Running, ServerPlan, State, StepRow, StepState
from deploybot.masking import Redactor
from deploybot.store.all_tables import Rows
from deploybot.store.audit_chain import ChainCheck, ChainVerdict, HeadFile
from deploybot.store.codec import decode
from tests.chaos import app
from tests.chaos.app import Mark, There
from tests.chaos.findings import Findings
from tests.chaos.scenario import Action, Fault, Scenario

_NOW = re.compile(r"Now running: (.+)\.$", re.MULTILINE)
_FROZEN = {Kind.DEPLOY, Kind.TASK}
"""What a freeze stops."""
_RELEASING = {Kind.DEPLOY, Kind.ROLLBACK}
_BUSY_SECONDS = 10.0
_PAGE = 1000
_UNTOUCHED = ("was not touched.", "nothing was started.", "Nothing was done.")
_JOB = re.compile(r"(.*)-[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Told:
    """What the bot's database says of a deployment."""

    deployment: Deployment
    steps: tuple[StepRow, ...]
    running: Mapping[str, Running]
    card: Card | None
    unsent: int
    audit: ChainVerdict


@dataclass(frozen=True, slots=True)
class Server:
    """What was found on one server: before and after a deployment, its marks, jobs and logs, and what still runs.

    `after` is None where a later deployment has changed it since. `serves` is False where it was rebooted meanwhile.
    """

    before: There
    after: There | None
    marks: Sequence[Mark]
    jobs: frozenset[str]
    logs: Mapping[str, bytes]
    still: Sequence[str] = ()
    serves: bool = True


def newest(data: Path) -> int:
    """The number of the last deployment, 0 for none."""
    with closing(_open(data)) as connection:
        row = connection.execute("SELECT max(number) FROM deployments").fetchone()
    return int(row[0] or 0)


def told(data: Path, number: int) -> Told | None:
    """What the database says of a deployment; None where it does not know it."""
    head = HeadFile(data / "audit.head").read()
    with closing(_open(data)) as connection:
        rows = Rows(connection, Redactor())
        deployment = rows.deployments.get(number)
        if deployment is None:
            return None
        chain = ChainCheck(head)
        while (page := rows.audit.page(chain.head.number, _PAGE)) and chain.follow(page):
            pass
        plan = deployment.plan
        card = connection.execute("SELECT card FROM outbox WHERE key = ?", (key(number),)).fetchone()
        unsent = connection.execute("SELECT count(*) FROM outbox WHERE state <> 'sent'").fetchone()
        return Told(
            deployment=deployment,
            steps=rows.deployments.steps(number),
            running={row.server: row for row in rows.running.get(plan.app, plan.environment)},
            card=decode(Card, card[0]) if card else None,
            unsent=int(unsent[0]),
            audit=chain.verdict(),
        )


def clean_ups(data: Path) -> frozenset[str]:
    """The jobs of all clean-ups in the database: they come after their deployment's end, maybe in the next run."""
    with closing(_open(data)) as connection:
        return frozenset(job for (job,) in connection.execute("SELECT job FROM steps WHERE phase = 'cleanup'"))


def _open(data: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{(data / 'deploybot.db').as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)


def check(
    ends: AbstractSet[State], said: Told, servers: Mapping[str, Server], shows: Sequence[Show], logs: Path
) -> Findings:
    """Everything that does not fit.

    `ends` are the states in which such a deployment may end, `shows` what a person saw, `logs` is where the bot
    keeps the logs of its deployments.
    """
    found = Findings()
    deployment = said.deployment
    if not deployment.state.ended:
        found.lost.append(f"#{deployment.number} has no end, it is {deployment.state}")
        return found
    if deployment.state not in ends and not (deployment.cancel_by and deployment.state is State.CANCELLED):
        found.untrue.append(f"it is {deployment.state}: {deployment.outcome!r}, tail {deployment.tail[-3:]}")
    for part in deployment.plan.servers:
        server = servers[part.server]
        if server.after is not None:
            _check_there(said, part, server, server.after, found)
        _check_jobs(said, part.server, server, found)
        _check_logs(said, part.server, server, logs, found)
    _check_words(said, servers, found)
    if deployment.state is State.CANCELLED and not deployment.outcome.startswith(
        f"Cancelled by {deployment.cancel_by}."
    ):
        found.untrue.append(f"{deployment.cancel_by or 'nobody'} cancelled it, but it says: {deployment.outcome!r}")
    _check_cards(said, shows, found)
    if said.unsent:
        found.lost.append(f"{said.unsent} messages were never delivered")
    if not said.audit.ok:
        found.untrue.append(f"the audit is broken: {said.audit.why}")
    return found


def started_in_freeze(deployment: Deployment, frozen: tuple[float, float] | None) -> bool:
    """Whether a freeze, from when to when in seconds, did not stop what it should have stopped."""
    return frozen is not None and deployment.plan.kind in _FROZEN and frozen[0] < deployment.started < frozen[1]


def ends_of(scenario: Scenario) -> AbstractSet[State]:
    """The states in which the deployment of a scenario may end, cancelling aside."""
    faults = {trouble.fault for trouble in scenario.troubles}
    usual = _usual_ends(scenario, faults)
    if Fault.REBOOT in faults or Fault.RUNNER in faults:
        return usual | {State.UNKNOWN, State.FAILED, State.RESTORED}
    return usual


def _usual_ends(scenario: Scenario, faults: AbstractSet[Fault]) -> AbstractSet[State]:
    if scenario.action in {Action.RESTART, Action.RUN}:
        return {State.SUCCEEDED, State.FAILED} if faults else {State.SUCCEEDED}
    if scenario.kind is app.Kind.GOOD:
        # A release whose health cannot be asked in time is taken back, however well it is.
        return {State.SUCCEEDED, State.RESTORED} if faults else {State.SUCCEEDED}
    if scenario.kind is app.Kind.BROKEN and scenario.site.strategy == "files":
        return {State.FAILED}
    return {State.RESTORED}


def _check_there(said: Told, part: ServerPlan, server: Server, after: There, found: Findings) -> None:
    """The link, what is served and the bot's own record, after an end that claims to know them."""
    state, plan = said.deployment.state, said.deployment.plan
    if state in {State.UNKNOWN, State.FAILED} and not said.deployment.outcome.endswith(_UNTOUCHED):
        return
    if plan.kind in {Kind.RESTART, Kind.TASK} and state is not State.SUCCEEDED:
        return
    name, touched = part.server, _is_touched(said, part)
    new = state is State.SUCCEEDED and plan.kind is not Kind.TASK
    current = plan.release.id if new else server.before.current
    if after.current != current or after.switching != ("" if new or touched else server.before.switching):
        found.untrue.append(f"{state}, but {name} has {after}, not {current}")
    _check_record(said, name, after, found)
    if not server.serves:
        return
    served = current if new or touched else server.before.served
    if after.served != served:
        found.untrue.append(f"{state}, but {name} serves {after.served or 'nothing'}, not {served}")
    if (new or touched) and not after.healthy:
        found.untrue.append(f"{state}, but {name} is not healthy")


def _check_record(said: Told, name: str, after: There, found: Findings) -> None:
    """What the bot takes to run there."""
    state, row = said.deployment.state, said.running.get(name)
    if row is None or (row.healthy and row.release.id != after.current):
        found.untrue.append(f"{state}, and the bot takes {name} to run {row}, but there is {after.current}")
    elif (
        said.deployment.plan.kind in _RELEASING
        and state is State.SUCCEEDED
        and (row.deployment, row.healthy) != (said.deployment.number, True)
    ):
        found.untrue.append(f"done, but the record of {name} is {row}")


def _is_touched(said: Told, part: ServerPlan) -> bool:
    begun = {row.position for row in said.steps if row.server == part.server and row.phase is Phase.FORWARD}
    return any(step.switches and at in begun for at, step in enumerate(part.steps))


def _check_words(said: Told, servers: Mapping[str, Server], found: Findings) -> None:
    """`Now running: web1 0123456789; web2 nothing.` against the servers' files."""
    match = _NOW.search(said.deployment.outcome)
    for words in match[1].split("; ") if match else ():
        name, _, claim = words.partition(" ")
        after = servers[name].after
        if after is None:
            continue
        truths = {_in_words(after.current)}
        if said.deployment.state is State.UNKNOWN:
            # A job whose end is not known may have changed things after they were told.
            truths.add(_in_words(servers[name].before.current))
        if claim not in truths and not claim.startswith("unknown"):
            found.untrue.append(f"the card says that {name} has {claim}, but it has {after}")


def _in_words(current: str) -> str:
    return current[:10] or "nothing"


def _check_jobs(said: Told, name: str, server: Server, found: Findings) -> None:
    """Each step was started at most once, is known, and ended as the bot says."""
    number = said.deployment.number
    rows = {row.job: row for row in said.steps if row.server == name}
    starts = Counter((mark.script, _step_of(mark.job)) for mark in server.marks if mark.word == "begin")
    found.doubled.extend(f"{script} of {step} ran {n} times on {name}" for (script, step), n in starts.items() if n > 1)
    jobs = Counter(map(_step_of, server.jobs))
    found.doubled.extend(f"step {step} had {count} jobs on {name}" for step, count in jobs.items() if count > 1)
    found.untrue.extend(f"{name} ran job {job}, which #{number} does not know" for job in server.jobs - rows.keys())
    ended = {mark.job for mark in server.marks if mark.word == "end"}
    for row in rows.values():
        begun = {mark.job for mark in server.marks}
        # A clean-up that a killed bot leaves is left to the next one.
        if row.state in {StepState.PENDING, StepState.STARTED} and row.phase is not Phase.CLEANUP:
            found.lost.append(f"step {row.name} on {name} has no end, it is {row.state}")
        if row.state is StepState.DONE and row.job in begun and row.job not in ended:
            found.untrue.append(f"step {row.name} on {name} is called done, but did not come to its end")
        if row.state is StepState.FAILED and row.job in ended:
            found.untrue.append(f"step {row.name} on {name} is called failed, but came to its end")
    known = {job for job, row in rows.items() if row.state is not StepState.UNKNOWN}
    found.untrue.extend(f"job {job} still runs on {name}" for job in server.still if job in known)


def _step_of(job: str) -> str:
    """A job's name without its random end: the step that it does."""
    match = _JOB.fullmatch(job)
    return match[1] if match else job


def _check_logs(said: Told, name: str, server: Server, logs: Path, found: Findings) -> None:
    """What the bot kept of each job's log, line by line against the server's own."""
    path = logs / str(said.deployment.number) / f"deployment-{said.deployment.number}.txt"
    whole = path.read_bytes() if path.exists() else b""
    for row in said.steps:
        truth = server.logs.get(row.job)
        if row.server != name or truth is None:
            continue
        kept = _kept(logs, row)
        if row.phase is not Phase.CLEANUP and kept not in whole:
            found.lost.append(f"the log of {row.name} on {name} is not in the deployment's")
        if kept == truth or (row.state is StepState.UNKNOWN and truth.startswith(kept)):
            continue
        here, there = Counter(kept.splitlines()), Counter(truth.splitlines())
        lost, doubled = (there - here).total(), (here - there).total()
        what = f"log of {row.name} on {name} ({row.job}): {len(kept)} bytes kept of {len(truth)}"
        if lost or not doubled:
            found.lost.append(f"{what}, {lost} lines are missing")
        if doubled:
            found.doubled.append(f"{what}, {doubled} lines too many")


def _kept(logs: Path, row: StepRow) -> bytes:
    """The bot's file of one step."""
    phase = {Phase.FORWARD: 1, Phase.RESTORE: 2, Phase.CLEANUP: 3}[row.phase]
    path = logs / str(row.deployment) / f"{phase}-{row.server}-{row.position:02d}-{row.name}.log"
    return path.read_bytes() if path.exists() else b""


def _tells_end(card: Card, deployment: Deployment) -> bool:
    """Whether a card says how a deployment ended, in its title, and of any end but a success, why."""
    why = (card.text, *(one.text for one in card.details))
    said = deployment.state is State.SUCCEEDED or any(deployment.outcome in text for text in why)
    return card.final and card.title.endswith(f"· {deployment.word}") and said


def _check_cards(said: Told, shows: Sequence[Show], found: Findings) -> None:
    """The card that people saw: one, with one end, which is the database's."""
    number = said.deployment.number
    mine = [show for show in shows if show.card.key == key(number)]
    finals = [show for show in mine if show.card.final]
    if not finals:
        found.lost.append(f"nobody was shown the end of #{number}")
    if len({show.message for show in mine}) > 1:
        found.doubled.append(f"#{number} has more than one card")
    ends = {(show.card.title, show.card.text, show.card.code) for show in finals}
    if len(ends) > 1:
        found.untrue.append(f"#{number} was said to end in {len(ends)} ways: {ends}")
    if finals and any(not show.card.final for show in mine[mine.index(finals[0]) :]):
        found.untrue.append(f"the card of #{number} went on after its end")
    for card in (said.card, finals[-1].card if finals else None):
        if card is not None and not _tells_end(card, said.deployment):
            found.untrue.append(f"the last card of #{number} says {card.title!r}, {card.text!r}")
