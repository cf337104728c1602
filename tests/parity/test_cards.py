"""Every card that the bot can say is there to be read on every platform, word for word, label for label."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from deploybot.card import Button, Card, File, Line, Link, Table, Tone
from deploybot.deployments.approval_card import reminder_card
from deploybot.deployments.deployment_card import deployment_card, plan_card
from deploybot.domain import (
    Approval,
    Binding,
    Changes,
    Commit,
    Deployment,
    Gate,
    Kind,
    Phase,
    Plan,
    Release,
    Request,
    RequestVerdict,
    ServerPlan,
    State,
    Step,
    StepRow,
    StepState,
)
from tests.chat import cards
from tests.parity.ways import Way

V1, V2 = (
    Release.of_commit("1" * 40, "v1.3", "Older", "Ben"),
    Release.of_commit("2" * 40, "v1.4", "Faster checkout", "Ann Example"),
)
CHANGES = Changes(
    commits=tuple(
        Commit(f"{number:040}", "Çelik Öz", f"Change <{number}> of *everything* & more", 0.0) for number in range(5)
    ),
    total=9,
    removed=2,
    files=31,
    warnings=("migrations/0007_price.sql", "docker-compose.yml"),
)
APPROVE = Button("Approve", "approve #7", asks="Your one-time code?", asks_code=True)
MARKUP = (
    "<b>bold</b> &amp; *bold* _it_ ~no~ `code` <!channel> <@U1000> <https://x.example|click> [click](https://x.example)",
    "@here @channel @everyone #general example.com /etc/passwd \u202eevil\u202c \u200bzero",
    "a_b-c.d|e {f} \\ ```fence``` :smile: 10 % ' \" ",
)
BAD_PAGES = (
    "javascript:alert(1)", "tg://user?id=1000", "https://git.example.com@evil.example/", "https://a.example/<!channel>",
    'https://a.example/">x', "https://a.example/x|y", "https://a.example/ x", "//a.example", "https://ex\u202eample.com",
    f"https://a.example/{'x' * 2_000}", "https://a.example/\x1b]8;;", "",
)  # fmt: skip


def deployments() -> Iterator[Card]:
    """A deployment of each kind in each state, with servers and steps in each of theirs."""
    step = Step(name="switch", script="switch", switches=True)
    gate = Gate(kind="http", target="http://127.0.0.1:8000/healthz")
    servers = tuple(
        ServerPlan(server=f"web{number}", steps=(step,), gate=gate, replaces=V1, restore=(step,)) for number in range(6)
    )
    rows = [
        StepRow(
            deployment=42, phase=Phase.FORWARD, server=f"web{number}", position=0, name="switch", job="j", state=state
        )
        for number, state in enumerate(StepState)
    ]
    for kind, state in itertools.product(Kind, State):
        plan = Plan(
            kind=kind, app="shop", environment="production", release=V2, servers=servers, task="migrate",
            changes=CHANGES, warnings=("no backup today",),
        )  # fmt: skip
        ended = state.ended
        deployment = Deployment(
            number=42, plan=plan, state=state, requester=1, requester_name="ana", reason="of *stars* & <b>",
            created=1.0, started=2.0, finished=93.0 if ended else 0.0, cancel_by="ben",
            outcome="web1 said 500: v1.3 runs there again." if ended else "",
            tail=("Traceback <most recent call last>:", "  KeyError: 'PRICE' & more") if ended else (),
        )  # fmt: skip
        yield deployment_card(deployment, rows, waits_for="#41 deploy v1 by ben")
        yield plan_card(plan, begins="18:00")


def requests() -> Iterator[Card]:
    """A request for approvals in each of its states, with and without a one-time code; and its reminder."""
    step = Step(name="switch", script="switch", switches=True)
    servers = (ServerPlan(server="web1", steps=(step,), replaces=V1, restore=(step,)),)
    plan = Plan(
        kind=Kind.DEPLOY, app="shop", environment="production", release=V2, servers=servers, changes=CHANGES
    )  # fmt: skip
    binding = Binding(ref="v1.4", release=V2.bare(), config=(), replaces=(), steps=())
    ben, cem = Approval(1, "ben", 5.0), Approval(2, "cem", 6.0, counts=False)
    for verdict, code, approved in itertools.product(RequestVerdict, (False, True), ((), (ben, cem))):
        ended = State.WAITING if verdict is RequestVerdict.NONE else State.CANCELLED
        deployment = Deployment(
            number=42, plan=plan, state=ended, requester=1, requester_name="ana", created=1.0, reason="the *logo*",
            needs_approval=True,
        )  # fmt: skip
        request = Request(
            deployment=42, binding=binding, wanted=2, approvers=("approver", "@dia"), expires=9e8, remind_at=8e8,
            code=code, compare="https://git.example.com/acme/shop/compare/v1.3...v1.4", verdict=verdict,
            note="@eve is no approver any more <since today>", approvals=approved,
        )  # fmt: skip
        yield deployment_card(deployment, (), request=request)
        yield reminder_card(deployment, request, "shop/production: v1.3 → v1.4")


def others() -> Iterator[Card]:
    """One of each shape that commands answer with."""
    yield from (cards.RUNNING, cards.RESTORED, cards.STATUS, cards.TYPO, cards.HELP, replace(cards.LOG, files=()))
    for tone in Tone:
        yield Card(title=f"A {tone} card", tone=tone, lines=(Line("name", f"says {tone}", tone),))
    for number, text in enumerate(MARKUP):
        yield Card(
            title=text, key=f"markup:{number}", text=text, lines=(Line(text, text),), code=(text,), hint=text,
            footer=text, table=Table(("name", "says"), ((f"row{number}", text),)),
        )  # fmt: skip
    many = tuple(
        Button(f"Environment {number}", f"deploy shop to e{number}", danger=number == 1) for number in range(8)
    )
    yield Card(title="Buttons", buttons=many)
    yield Card(title="Asks", buttons=(Button("Reject", "reject #1", asks="Why?"), APPROVE))
    yield Card(title="x")


async def test_every_state_of_a_deployment_is_seen(way: Way) -> None:
    shown = [*dict.fromkeys(deployments())]
    for card in shown:
        await way.show(card)
    assert len(shown) >= len(Kind) * len(State)


async def test_every_state_of_a_request_is_seen(way: Way) -> None:
    shown = [*dict.fromkeys(requests())]
    for card in shown:
        await way.show(card)
    assert len(shown) >= len(RequestVerdict) * 2


async def test_every_other_shape_of_card_is_seen(way: Way) -> None:
    for card in others():
        await way.show(card)


async def test_pages_are_linked_where_their_addresses_are_sound_and_nothing_else_is(way: Way) -> None:
    sound = ("https://git.example.com/acme/shop/commit/1?a=b&c=d#e", "http://10.0.0.1:8080/x")
    message = await way.show(
        Card(
            title="https://evil.example/a and [b](https://evil.example)",
            lines=(
                Line("0123456789", "Fix <it> — Ana", url=sound[0]),
                *(Line("bad", "x", url=bad) for bad in BAD_PAGES),
            ),
            links=(Link("*compare*", sound[1]), *(Link("bad", bad) for bad in BAD_PAGES)),
        )
    )
    assert message.sight.pages == {*sound}


async def test_what_is_too_long_is_cut_and_comes_whole_as_a_file(way: Way) -> None:
    code = tuple(f"line-{number} {'x' * 70}" for number in range(400))
    await way.show(Card(title="A long log", key="deployment:9", code=code))
    rows = tuple((f"app{number}", f"web{number}", "v1 (0123456789)", "healthy") for number in range(200))
    await way.show(
        Card(title="A long table", key="deployment:10", table=Table(("app", "server", "release", "health"), rows))
    )
    text = "\n".join(f"Sentence {number} of a very long story." for number in range(900))
    await way.show(Card(title="A long text", key="deployment:11", text=text))


async def test_the_file_of_a_log_is_handed_over(way: Way, tmp_path: Path) -> None:
    path = tmp_path / "42.log"
    path.write_text("everything that happened\n")
    message = await way.show(Card(title="#42 done", key="deployment:42", files=(File(str(path), "42.log"),)))
    seen = message.sight.text
    assert ("everything that happened" in seen) or str(path) in seen
