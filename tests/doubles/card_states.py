"""A card of each state, as the bot makes it, for the pictures of docs/cards.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from commands import history
from deploybot import Card, Table
from deploybot.card import Mention
from deploybot.deployments.deployment_card import deployment_card, end_card
from deploybot.deployments.server_lines import Progress
from deploybot.domain import (
    Approval,
    BuildState,
    Changes,
    Commit,
    Deployment,
    Identity,
    Release,
    Request,
    RequestVerdict,
    State,
    StepRow,
    StepState,
)
from deploybot.testing import memory_store
from tests.deployments.test_phone import deployment_of, plan_of, request_of, rows_done
from tests.events.channel import build, open_channel
from tests.events.test_storms import alert, hear_at_once
from tests.parity.ways import Way
from tests.status.conftest import StatusBot

V1, V2 = Release.of_commit("1" * 40, "v1.3", "Show the stock"), Release.of_commit("8" * 40, "v1.4", "Faster checkout")
CHANGES = Changes(
    commits=(
        Commit("8" * 40, "Ann", "Faster checkout", 0.0),
        Commit("7" * 40, "Ben", "Round prices as the tax office does", 0.0),
        Commit("6" * 40, "Ann", "Remember the cart for a week", 0.0),
    ),
    total=3,
    files=12,
    warnings=("migrations/0007_price.sql",),
)  # fmt: skip
BEGUN = 1_795_269_900.0
BEFORE = "#41 (shop/production: v1.3, by cem, running)"
PLAN = plan_of(2, release=V2, changes=CHANGES)
PLAN = replace(PLAN, servers=tuple(replace(part, replaces=V1) for part in PLAN.servers))
ASKED = request_of(expires=BEGUN + 14_400)
TITLES = {
    "request": "Request: waits for an approval",
    "approved": "Approved: waits for its turn",
    "running": "Running",
    "succeeded": "Succeeded",
    "restored": "Failed, and rolled back",
    "failed": "Failed, and nothing serves",
    "needs-person": "The message that mentions who asked",
    "cancelled": "Cancelled",
    "rejected": "Rejected",
    "void": "Void: something changed after the request",
    "expired": "Expired",
    "unknown": "The end is unknown",
    "break-glass": "Break glass",
    "build-failed": "A failed build",
    "storm": "Many alerts at once",
    "status": "`status shop`",
    "history": "`history shop`",
    "picker": "`/deploy` without an app",
}
"""The states, each with its heading on the page."""


def made(state: State, number: int, **more: object) -> Deployment:
    """A deployment of the shop in a state."""
    given = {"created": BEGUN, "started": BEGUN, "reason": "the new prices begin today", **more}
    return replace(deployment_of(PLAN, state), number=number, **given)  # type: ignore[arg-type]  # fields of a deployment


def ended(state: State, number: int, outcome: str = "", **more: object) -> Deployment:
    """One that has ended after a minute and a half."""
    return made(state, number, finished=BEGUN + 93, outcome=outcome, **more)


def requested(number: int, verdict: RequestVerdict, outcome: str) -> Card:
    """A request that ended without a deployment."""
    gone = made(
        State.CANCELLED, number, finished=BEGUN + 93, outcome=outcome, needs_approval=True, started=0.0, verdict=verdict
    )
    return deployment_card(gone, (), request=replace(ASKED, verdict=verdict))


def deployments(identity: Callable[[str], Identity]) -> dict[str, Card | None]:
    """The states of deployments and requests; `identity` is the account of a person in the chat."""
    ana, ben = (Mention(identity(name), name) for name in ("ana", "ben"))
    rows = rows_done(PLAN)
    building = [*rows[:1], replace(rows[1], state=StepState.STARTED, job="b"), *rows[3:4]]
    broken: Sequence[StepRow] = [*rows[:2], replace(rows[2], state=StepState.DONE)]
    waits = made(State.WAITING, 42, needs_approval=True, started=0.0)
    sick = "web1 was not healthy within 60 s: GET http://127.0.0.1:8000/healthz said 500."
    back = ended(State.RESTORED, 45, f"{sick}\nweb1: v1.3 was restored and is healthy.", tail=("KeyError: 'PRICE'",))
    dead = ended(
        State.FAILED,
        46,
        f"Nothing serves shop/production on web1.\n{sick}\n"
        "web1: v1.3 could not be restored after 9 attempts: the port 8000 is taken.\nNow running: web1 nothing.",
    )
    lost = ended(State.UNKNOWN, 49, "web2 was restarted during the step switch. Nothing was run again.")
    approved: Request = replace(ASKED, approvals=(Approval(2, "ben", BEGUN + 60),))
    return {
        "request": deployment_card(waits, (), request=ASKED, wakes=(ben,)),
        "approved": deployment_card(
            replace(waits, approved=BEGUN + 60), (), request=approved, waits_for=BEFORE
        ),
        "running": deployment_card(
            made(State.RUNNING, 43), building, progress={"b": Progress(80.0, "npm warn deprecated inflight@1.0.6")}
        ),
        "succeeded": deployment_card(ended(State.SUCCEEDED, 44), rows),
        "restored": deployment_card(back, broken),
        "failed": deployment_card(dead, broken),
        "needs-person": end_card(dead, (ana,)),
        "cancelled": deployment_card(ended(State.CANCELLED, 47, "Cancelled by ben. It had not started."), ()),
        "rejected": requested(48, RequestVerdict.REJECTED, "Rejected by ben: the tax office is closed today."),
        "void": requested(50, RequestVerdict.VOID, "v1.4 is another commit now: 9999999999. Nothing was done."),
        "expired": requested(51, RequestVerdict.EXPIRED, "Nobody approved it within 4 h. Nothing was done."),
        "unknown": deployment_card(lost, broken),
        "break-glass": deployment_card(made(State.RUNNING, 52, glass="1 approval, the lock of cem"), rows[:1]),
    }  # fmt: skip


async def notifications() -> dict[str, Card]:
    """Messages about events."""
    async with open_channel() as channel:
        await channel.hear(build(BuildState.FAILED))
        failed = await channel.message()
    async with open_channel() as channel:
        await hear_at_once(channel, map(alert, range(24)))
        return {"build-failed": failed, "storm": await channel.message()}


async def answers(way: Way, folder: Path) -> dict[str, Card]:
    """Answers to commands."""
    past = [
        ended(State.SUCCEEDED, 44),
        ended(State.RESTORED, 43),
        replace(ended(State.SUCCEEDED, 42, requester_name="ben"), started=BEGUN - 86_400),
        replace(ended(State.FAILED, 41), started=BEGUN - 90_000),
    ]
    rows = Table(
        history.COLUMNS,
        tuple(map(history.row, past)),
        tuple(history.TONES[one.state] for one in past),
        history.narrow(past),
    )
    async with memory_store() as store:
        bot = StatusBot(store, folder)
        await bot.deployed(V2)
        detail = await bot.tell()
    card = await way.bot.say("deploy ?")
    return {
        "status": detail,
        "history": Card(title="The last 4 deployments of shop/production", table=rows),
        "picker": replace(card, private=False, ok=True),
    }


async def all_cards(way: Way, folder: Path) -> dict[str, Card]:
    """A card for each of `TITLES`."""
    found = {**deployments(way.identity), **await notifications(), **await answers(way, folder)}
    cards = {name: card for name in TITLES if (card := found[name]) is not None}
    assert [*cards] == [*TITLES]
    return cards
