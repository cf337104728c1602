"""Cards of deployments on a phone: few rows in Slack and Telegram, and nothing is lost behind Details."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from deploybot.card import Card, Mention
from deploybot.chat.console.terminal_cards import plain
from deploybot.chat.slack.slack_rendering import render
from deploybot.chat.telegram.telegram_escaping import JOINER
from deploybot.chat.telegram.telegram_rendering import page_of
from deploybot.deployments.deployment_card import deployment_card, end_card, plan_card
from deploybot.deployments.phone_rows import rows_of
from deploybot.domain import (
    ArtifactSource,
    Binding,
    Changes,
    Commit,
    Deployment,
    Effect,
    EffectKind,
    Gate,
    Identity,
    ImagesSource,
    Kind,
    Phase,
    Pin,
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
from tests.doubles.slack.mrkdwn import read_blocks
from tests.doubles.telegram.markup import read

V1, V2 = Release.of_commit("1" * 40, "v1", "Older", "Ben"), Release.of_commit("2" * 40, "v2", "Faster checkout", "Ann")
DIGEST = f"sha256:{'d' * 64}"
STEPS = tuple(Step(name=name, script=name) for name in ("fetch", "build"))
SWITCH = Step(name="switch", script="switch", switches=True)
EFFECTS = (Effect("web", EffectKind.RECREATED, "image"), Effect("db", EffectKind.KEPT))
CHANGES = Changes(
    commits=tuple(
        Commit(f"{number:040x}", "Çelik Öz", "Round all prices the way the tax office does", 0.0) for number in range(9)
    ),
    total=9,
    files=31,
    warnings=("migrations/0007_price.sql", "docker-compose.yml"),
)
PEOPLE = tuple(
    Mention(Identity(platform, user), name)
    for name, user in (("ben", "1001"), ("cem", "1002"), ("dia", "1003"))
    for platform in ("slack", "telegram")
)
REASON = "people camp, and the old page does not show them where, so that they call us every day in the evening"


def plan_of(count: int = 2, kind: Kind = Kind.DEPLOY, **changed: Any) -> Plan:  # noqa: ANN401  keys of a plan
    part = ServerPlan(
        server="web1",
        steps=(*STEPS, SWITCH),
        gate=Gate(kind="http", target="http://127.0.0.1:8000/healthz"),
        replaces=V1,
        restore=(SWITCH,),
        effects=EFFECTS,
    )
    parts = tuple(replace(part, server=f"web{number}") for number in range(1, count + 1))
    made = Plan(
        kind=kind, app="shop", environment="production", release=V2, servers=parts, changes=CHANGES, digest="abc" * 9,
    )  # fmt: skip
    return replace(made, **changed)


def deployment_of(plan: Plan, state: State, **more: Any) -> Deployment:  # noqa: ANN401  keys of a deployment
    made = Deployment(
        number=1234, plan=plan, state=state, requester=1, requester_name="ana", reason="people camp", created=1.0
    )
    return replace(made, **more)


def request_of(**more: Any) -> Request:  # noqa: ANN401  keys of a request
    binding = Binding(ref="v2", release=V2.bare(), config=(), replaces=(), steps=())
    made = Request(
        deployment=1234, binding=binding, wanted=1, approvers=("approver",), expires=7200.0, remind_at=9.0,
        compare="https://git.example.com/acme/shop/compare/v1...v2",
    )  # fmt: skip
    return replace(made, **more)


def rows_done(plan: Plan, state: StepState = StepState.DONE) -> list[StepRow]:
    return [
        StepRow(
            deployment=1234, phase=Phase.FORWARD, server=part.server, position=at, name=step.name, job="j", state=state,
            started=1.0, finished=34.5,
        )
        for part in plan.servers
        for at, step in enumerate(part.steps)
    ]  # fmt: skip


def on_slack(card: Card) -> str:
    """What Slack shows before anybody opens the details: the sign, all blocks but the folded one and the buttons."""
    here = replace(card, wakes=tuple(one for one in card.wakes if one.identity.platform == "slack"))
    blocks = [one for one in render(here).blocks if one["type"] not in {"container", "actions"}]
    return read_blocks(blocks).text


def on_telegram(card: Card) -> str:
    """What Telegram shows above the folded quote."""
    here = replace(card, wakes=tuple(one for one in card.wakes if one.identity.platform == "telegram"))
    html = page_of(here).html.partition("<blockquote expandable>")[0]
    return read(html, "HTML").text.replace(JOINER, "")


def rows(card: Card) -> int:
    """Rows at 390 px, in the chat where it takes more of them."""
    return max(rows_of(shown(card).strip("\n")) for shown in (on_slack, on_telegram))


@pytest.mark.parametrize("servers", [1, 2, 12])
@pytest.mark.parametrize("wakes", [(), PEOPLE[:2], PEOPLE])
@pytest.mark.parametrize("reason", ["", "people camp", REASON, "x" * 1_900])
def test_a_request_takes_nine_rows(servers: int, wakes: Sequence[Mention], reason: str) -> None:
    hard = request_of(wanted=2, note="ben: web1 cannot be reached: no answer in 10 s (08:00:00 UTC)")
    for request in (request_of(), hard):
        deployment = deployment_of(plan_of(servers), State.WAITING, needs_approval=True, reason=reason)
        card = deployment_card(deployment, (), request=request, wakes=tuple(wakes))
        assert rows(card) <= 9, on_slack(card)


def test_a_request_shows_who_why_what_and_how_many() -> None:
    deployment = deployment_of(plan_of(1), State.WAITING, needs_approval=True)
    card = deployment_card(deployment, (), request=request_of())
    assert plain(replace(card, details=(), buttons=())).splitlines() == [
        "◆ #1234 shop/production: v1 → v2 · waiting for 1 approval",
        "  ana asks: because people camp",
        "  ! touches migrations/0007_price.sql, docker-compose.yml",
        "  9 commits, 31 files changed",
        "  web1  web recreated (image), db kept",
        "  approved 0 of 1 · expires 02:00 UTC · an approver other than ana",
    ]


def test_commits_are_shown_where_there_is_room() -> None:
    plan = plan_of(1, changes=replace(CHANGES, warnings=()))
    card = deployment_card(deployment_of(plan, State.WAITING, needs_approval=True), (), request=request_of())
    assert card.text.count("Round all prices the way the tax") == 2
    assert rows(card) == 9


@pytest.mark.parametrize("servers", [1, 2, 5])
def test_a_running_card_takes_seven_rows_and_two_a_server(servers: int) -> None:
    plan = plan_of(servers)
    for count in range(1 + 3 * servers):
        card = deployment_card(deployment_of(plan, State.RUNNING), rows_done(plan)[:count])
        assert rows(card) <= 7 + 2 * servers, on_slack(card)


def test_many_steps_of_a_server_take_two_rows() -> None:
    steps = tuple(Step(name=f"step-number-{number}", script="x") for number in range(20))
    plan = plan_of(1, servers=(replace(plan_of(1).servers[0], steps=steps),))
    (line,) = deployment_card(deployment_of(plan, State.RUNNING), rows_done(plan)).lines
    assert line.text == "19 steps before, step-number-19 34 s, checking health"


@pytest.mark.parametrize("verdict", [RequestVerdict.REJECTED, RequestVerdict.VOID, RequestVerdict.EXPIRED])
def test_what_was_not_approved_shrinks(verdict: RequestVerdict) -> None:
    words = "Rejected by cem: too risky. Nothing was deployed."
    deployment = deployment_of(plan_of(), State.CANCELLED, verdict=verdict, outcome=words, needs_approval=True)
    card = deployment_card(deployment, (), request=request_of(verdict=verdict))
    assert (card.lines, card.title.endswith(f"· {verdict}")) == ((), True)
    assert card.text.splitlines() == [words, "because people camp"]
    assert rows(card) <= 6


def test_a_success_names_its_servers_once_and_no_steps() -> None:
    plan = plan_of(4)
    card = deployment_card(deployment_of(plan, State.SUCCEEDED, outcome="Everything is healthy."), rows_done(plan))
    assert [(one.name, one.text) for one in card.lines] == [("web1, web2, web3, web4", "healthy")]
    assert "Everything" not in card.text
    assert rows(card) <= 7
    assert [one.text for one in card.details if one.name == "web4"] == ["fetch 34 s, build 34 s, switch 34 s"]


def test_a_failure_says_its_cause_first() -> None:
    plan = plan_of(1)
    outcome = "Not healthy on web1: answers 500.\nweb1: v1 was restored and is healthy.\nNow running: web1 1111111111."
    failed = deployment_of(plan, State.RESTORED, outcome=outcome)
    card = deployment_card(failed, rows_done(plan))
    assert card.title == "#1234 shop/production: v1 → v2 · failed, rolled back to v1"
    assert card.text.startswith(f"{outcome}\nbecause")
    call = end_card(failed, PEOPLE[:1])
    assert call is not None
    cause_and_now = "Not healthy on web1: answers 500.\nweb1: v1 was restored and is healthy."
    assert (call.text, call.wakes, call.title) == (cause_and_now, PEOPLE[:1], card.title)
    assert rows(call) <= 5


def test_a_long_reason_does_not_hide_how_it_ended() -> None:
    """G5: a reason of 1,900 characters, given when it was asked for and when it was rejected."""
    words = f"Rejected by cem: {'n' * 1_900}. Nothing was deployed."
    deployment = deployment_of(
        plan_of(), State.CANCELLED, verdict=RequestVerdict.REJECTED, outcome=words, reason="x" * 1_900
    )
    card = deployment_card(deployment, (), request=request_of(verdict=RequestVerdict.REJECTED))
    assert card.text.startswith("Rejected by cem: nnn")
    assert len(card.text) < 800
    assert {("outcome", words), ("reason", "x" * 1_900)} <= {(one.name, one.text) for one in card.details}


@pytest.mark.parametrize("before", range(0, 60, 7))
def test_what_is_cut_was_masked_before(before: int) -> None:
    secret = "correct horse battery"
    text = f"{'x' * before} {secret} {'y' * 700} {secret}"
    changes = replace(CHANGES, commits=(replace(CHANGES.commits[0], subject=text),), warnings=(text,))
    plan = plan_of(1, changes=changes, release=replace(V2, subject=text))
    waits = deployment_of(plan, State.WAITING, reason=text, needs_approval=True)
    failed = deployment_of(plan, State.FAILED, reason=text, outcome=text)

    def mask(one: str) -> str:
        return one.replace(secret, "•••")

    cards = [
        deployment_card(waits, (), request=request_of(note=text, more=text), mask=mask),
        deployment_card(failed, (), mask=mask),
        plan_card(plan, mask=mask),
        end_card(failed, (), mask),
    ]
    for card in filter(None, cards):
        assert "corr" not in f"{card.text}{card.footer}{card.title}{card.lines}{card.details}"


@pytest.mark.parametrize("state", [*State])
@pytest.mark.parametrize("kind", [*Kind])
def test_what_a_card_leaves_out_is_in_its_details(kind: Kind, state: State) -> None:
    release = V2.with_images([Pin("web", "registry.example.com/acme/shop", "1.4", DIGEST)])
    plan = plan_of(2, kind=kind, release=release, warnings=tuple(f"warning {number}" for number in range(8)))
    deployment = deployment_of(plan, state, reason=REASON, needs_approval=True)
    card = deployment_card(deployment, (), request=request_of())
    shown = f"{card.text}\n{card.details}"
    for fact in (V2.id, DIGEST, "Faster checkout — Ann", "abcabcabcabc", "switch (at most 15 min)", REASON):
        assert fact in shown
    for fact in ("health: http http://127.0.0.1:8000/healthz within 1 min; if it fails: switch", "4 more", "Çelik Öz"):
        assert fact in shown
    for fact in (*plan.warnings, "docker-compose.yml", "https://git.example.com/acme/shop/compare/v1...v2"):
        assert fact in shown
    for text in (read_blocks(render(card).blocks).text, read(page_of(card).html, "HTML").text.replace(JOINER, "")):
        assert not [one for one in card.details if one.text not in text]
    assert all(one.text in plain(card) for one in card.details)


def test_titles() -> None:
    def title(plan: Plan) -> str:
        return plan_card(plan).title.removesuffix(" · dry run")

    one = plan_of(1).servers[0]
    main = [Release.of_commit(sha * 40, "main") for sha in "ab"]
    assert title(plan_of(kind=Kind.ROLLBACK)) == "shop/production: v1 → v2 (rollback)"
    assert title(plan_of(kind=Kind.RESTART)) == "shop/production: restart"
    assert title(plan_of(kind=Kind.TASK, task="migrate")) == "shop/production: run migrate"
    assert title(plan_of(servers=(replace(one, replaces=None),))) == "shop/production: v2 · first deployment"
    assert title(plan_of(servers=(replace(one, replaces=V2),))) == "shop/production: v2 again"
    moved = plan_of(release=main[1], servers=(replace(one, replaces=main[0]),))
    assert title(moved) == "shop/production: aaaaaaaaaa → bbbbbbbbbb"
    bare = plan_of(release=Release.of_commit("c" * 40), servers=(replace(one, replaces=Release.of_commit("d" * 40)),))
    assert title(bare) == "shop/production: dddddddddd → cccccccccc"
    several = tuple(
        replace(one, server=name, replaces=Release.of_commit(name[-1] * 40, name)) for name in ("v3", "v4", "v5")
    )
    assert title(plan_of(servers=several)) == "shop/production: v3, v4, … → v2"


WEB = Pin("web", "registry.example.com/acme/shop", "1.4", DIGEST)
NEW_WEB = replace(WEB, tag="1.5", digest=f"sha256:{'e' * 64}")
FILE = Release(ArtifactSource("a" * 64), "v3")


def test_a_release_without_a_commit_is_shown_as_exactly() -> None:
    (one,) = plan_of(1, changes=Changes(known=False)).servers
    old, new = Release(ImagesSource((WEB,))), Release(ImagesSource((NEW_WEB,)))
    plan = plan_of(1, release=new, changes=Changes(known=False), servers=(replace(one, replaces=old),))
    card = deployment_card(deployment_of(plan, State.FAILED), ())
    details = {line.name: line.text for line in card.details}
    assert card.title.startswith("#1234 shop/production: web 1.4 → 1.5 ")
    assert (details["release"], details["image web"]) == (new.id, f"1.5, {NEW_WEB.reference}")
    assert [button.command for button in card.buttons if button.label == "Try again"] == [
        "deploy shop@#1234 to production"
    ]
    file = plan_of(1, release=FILE, changes=Changes(known=False), servers=(replace(one, replaces=old),))
    card = deployment_card(deployment_of(file, State.SUCCEEDED), ())
    assert card.title.startswith(f"#1234 shop/production: {old.short} → v3 ")
    assert {line.name: line.text for line in card.details}["release"] == f"v3, {FILE.id}"


def test_the_way_back_to_what_no_ref_means_names_none() -> None:
    (one,) = plan_of(1).servers
    begun = rows_done(plan_of(1))[2]
    for before, command in (
        (V1, f"rollback shop from production to {V1.id}"),
        (V1.with_images([WEB]), "rollback shop from production"),
        (Release.by_id(V1.with_images([WEB]).id), "rollback shop from production"),
        (FILE, "rollback shop from production"),
    ):
        plan = plan_of(1, servers=(replace(one, replaces=before),))
        buttons = deployment_card(deployment_of(plan, State.FAILED), [begun]).buttons
        assert [button.command for button in buttons if button.label == "Roll back"] == [command]


def test_one_word_for_each_end() -> None:
    words = {state: deployment_of(plan_of(), state).word for state in State if state.ended}
    assert words == {
        State.SUCCEEDED: "succeeded",
        State.FAILED: "failed",
        State.RESTORED: "failed, rolled back to v1",
        State.CANCELLED: "cancelled",
        State.UNKNOWN: "end unknown",
    }
    for state, word in words.items():
        assert deployment_card(deployment_of(plan_of(), state), ()).title.endswith(f"· {word}")
    one = plan_of(1).servers[0]
    for other in (Release.of_commit("9" * 40, "v0"), None):
        mixed = plan_of(servers=(one, replace(one, server="web2", replaces=other)))
        assert deployment_of(mixed, State.RESTORED).word == "failed, rolled back to what ran before"


def test_every_state_fits_both_chats() -> None:
    for kind, state in itertools.product(Kind, State):
        plan = plan_of(200, kind=kind)
        card = deployment_card(deployment_of(plan, state), rows_done(plan))
        assert page_of(card).html
        assert render(card).blocks
