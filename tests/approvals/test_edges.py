"""What hardly ever happens: plug-ins that call the services themselves, rows that are gone, everything at once."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.card import Button, Card, Tone
from deploybot.deployments.approvals import Approvals
from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.fingerprint import config_of
from deploybot.deployments.fingerprint_check import FingerprintCheck
from deploybot.domain import Action, Changes, CommitAuthor, Identity, Kind, Plan, Release, RequestVerdict, State
from deploybot.errors import Cancelled, Denied, StoreError, Unreachable, UserError
from deploybot.policy import ONLY_AUTHORS, Decision
from deploybot.settings import App, FileRef
from deploybot.testing import FakeClock, Outcome
from tests.approvals.conftest import Town, make_town
from tests.deployments.conftest import V1, V2, V3, settings_of


def engine(town: Town) -> Approvals:
    return town.shop.deployments._approvals


def bonds(town: Town) -> FingerprintCheck:
    return town.shop.deployments.queue._beginning._fingerprints


async def test_a_command_of_ones_own_is_asked_the_same(town: Town) -> None:
    """It passes dispatch by its own `needs`; the service asks for what it does."""
    number = await town.ask()
    with pytest.raises(Denied, match="needs the role approver"):
        await town.shop.deployments.approve(town.ctx("eve"), number)
    with pytest.raises(Denied, match="not on the allowlist"):
        await town.shop.deployments.approve(town.ctx("stranger"), number)
    with pytest.raises(Denied, match="not on the allowlist"):
        await town.shop.deployments.reject(town.ctx("stranger", "x"), number)
    with pytest.raises(UserError, match=r"^A rejection needs a reason\.$") as caught:
        await town.shop.deployments.reject(town.ctx("ben"), number)
    assert caught.value.hint == f"Like this: `reject #{number} because …`."
    with pytest.raises(Denied, match=r"^`reject` needs the role approver"):
        await town.shop.deployments.reject(town.ctx("eve", "x"), number)
    with pytest.raises(UserError, match="There is no deployment #99"):
        await town.shop.deployments.approve(town.ctx("ben"), 99)
    with pytest.raises(Denied, match="not on the allowlist"):
        await town.access.totp(town.ctx("stranger"), "")
    own = await town.ask("deploy shop@v1 to production", "dia")
    with pytest.raises(Denied, match=r"^You can't approve your own request"):
        await town.shop.deployments.approve(town.ctx("dia"), own)
    late = Identity("telegram", "4242")
    await town.store.write(lambda tables: tables.people.link(town.people["ben"].id, late))
    by_ben = town.ctx("ben")
    with pytest.raises(Denied, match=r"^You got this account after #\d was requested"):
        await town.shop.deployments.approve(replace(by_ben, incoming=replace(by_ben.incoming, identity=late)), own)
    assert (await town.deployment(own)).awaits_approval
    with pytest.raises(Denied, match="`cancel` needs the role deployer on shop/production; you have no role there"):
        await town.shop.deployments.cancel(town.ctx("fay"), number)
    with pytest.raises(Denied, match="not on the allowlist"):
        await town.shop.deployments.cancel(town.ctx("stranger"), number)
    assert (await town.deployment(number)).awaits_approval
    assert (await town.deployment(number)).cancel_by == ""
    assert (await town.shop.deployments.cancel(town.ctx("eve"), number)).title.startswith(f"Stopping #{number}")


async def test_a_store_that_fails_is_no_reason_to_write_again(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    number = await town.ask()

    async def full(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(town.store, "write", full)
    with pytest.raises(StoreError, match="the disk is full"):
        await town.shop.deployments.approve(town.ctx("ben"), number)


async def test_a_row_that_is_gone_is_told(town: Town) -> None:
    staging = await town.ask("deploy shop@v1 to staging")
    ended = await town.end_of(staging)
    with pytest.raises(StoreError, match=f"the request for #{staging} is no longer in the database"):
        await town.store.write(lambda tables: engine(town).send_back(tables, ended))


async def test_void_comes_too_late_for_what_has_ended(town: Town) -> None:
    number = await town.ask()
    await town.say(f"reject #{number} because no", "ben")
    card = await engine(town).void(number, ("release: it moved",))
    assert (card.title, card.buttons) == (f"#{number} has already ended.", ())
    assert (await town.request(number)).verdict is RequestVerdict.REJECTED


async def test_rejected_while_it_was_looked_at(town: Town) -> None:
    """The waiting task finds in its transaction that somebody was faster."""
    number = await town.ask()
    assert await town.store.write(lambda tables: engine(town)._do_what_is_due(tables, number)) > 0
    await town.say(f"reject #{number} because no", "ben")
    assert await town.store.write(lambda tables: engine(town)._do_what_is_due(tables, number)) == 0.0
    approved = await town.ask()
    async with town.busy():
        await town.say(f"approve #{approved}", "ben")
        assert await town.store.write(lambda tables: engine(town)._do_what_is_due(tables, approved)) == 0.0
    await town.end_of(approved)


async def test_what_cannot_be_done_any_more_is_told_as_what_changed(town: Town) -> None:
    """Where bot.toml is another one, that is why; where it is not, the reason is told and nothing ends."""
    number = await town.ask("deploy shop@main to production")
    facts = town.shop.hosts["web1"].server_facts
    town.shop.hosts["web1"].server_facts = replace(facts, disk_free=1)
    card = await town.say(f"approve #{number}", "ben")
    assert "web1" in card.title
    assert (await town.deployment(number)).awaits_approval
    town.shop.refs.known["main"] = V3.id
    card = await town.say(f"approve #{number}", "ben")
    assert card.text == "release: `main` was 2222222222 and is 3333333333"


async def test_what_does_not_answer_is_asked_again_for_a_minute(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploybot.deployments.fingerprint_check.PAUSE", 0.001)
    number = await town.ask()
    deployment, request = await town.deployment(number), await town.request(number)
    stop = CancellationWatch()
    town.shop.hosts["web1"].down = "no answer"
    waits = asyncio.ensure_future(bonds(town).insist(deployment, request, stop))
    await asyncio.sleep(0.01)
    town.shop.hosts["web1"].down = ""
    async with asyncio.timeout(10):
        await waits
    town.shop.hosts["web1"].down = "no answer"
    # The clock goes on whenever it is looked at.
    with pytest.raises(Unreachable, match="web1 cannot be reached"):
        await bonds(town).insist(deployment, request, stop)
    stop.set(Cancelled("ana"))
    with pytest.raises(Cancelled):
        await bonds(town).insist(deployment, request, stop)


async def test_what_moves_in_the_last_moment_is_seen(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last look, before the plan: what runs is bound to the plan itself."""
    number = await town.ask()

    async def blind(*_: object) -> None:
        host = town.shop.hosts["web1"]
        host.server_facts = replace(host.server_facts, current=V3.id)

    monkeypatch.setattr(FingerprintCheck, "insist", blind)
    await town.say(f"approve #{number}", "ben")
    ended = await town.end_of(number)
    assert ended.outcome == "Void: what it replaces: web1 was nothing and is 3333333333. Nothing was deployed."


async def test_cancelled_while_it_is_looked_at(town: Town) -> None:
    number = await town.ask()
    async with town.busy():
        await town.say(f"approve #{number}", "ben")
        await town.say(f"cancel #{number}")
    assert (await town.end_of(number)).outcome == "Cancelled by ana. It had not started."


async def test_cancelled_right_before_the_bot_died(town: Town) -> None:
    number = await town.ask()
    await town.shop.deployments.queue.close()
    await town.store.write(lambda tables: tables.deployments.ask_cancel(number, "ana"))
    card = await town.say(f"approve #{number}", "ben")
    assert card.title == f"ana already cancelled #{number}."
    await town.restart()
    assert (await town.end_of(number)).state is State.CANCELLED


async def test_approving_and_rejecting_at_once_ends_in_one_way(tmp_path: Path) -> None:
    async with make_town(tmp_path) as town:
        for _ in range(20):
            number = await town.ask()
            said = await asyncio.gather(
                town.say(f"approve #{number}", "ben"), town.say(f"reject #{number} because no", "cem")
            )
            ended = await town.end_of(number)
            request = await town.request(number)
            assert (ended.state is State.SUCCEEDED) is (request.verdict is RequestVerdict.NONE)
            assert any(card.ok for card in said)


def test_files_are_bound_by_their_paths(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    app = settings.apps["shop"]
    app.__dict__["repo_key"] = FileRef(file=Path("/etc/key"))
    plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V3, servers=())
    assert dict(config_of(plan, settings))["apps.shop.repo_key"] == '{"file": "/etc/key"}'
    app.__dict__["repo"] = object()
    with pytest.raises(TypeError, match="object has no place in a binding"):
        config_of(plan, settings)


async def test_a_look_that_takes_too_long_is_told(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    number = await town.ask()

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr("deploybot.deployments.approvals.LOOK_WITHIN", 0.05)
        patched.setattr(town.shop.refs, "resolve", never)
        card = await town.say(f"approve #{number}", "ben")
    assert card.title.startswith("The repository or a server cannot be reached: no answer within ")
    assert "ben: the repository or a server" in str((await town.card(number)).details)
    assert (await town.say(f"approve #{number}", "ben")).ok


async def test_the_first_question_of_a_command_knows_all_that_the_last_one_does(tmp_path: Path) -> None:
    """So a refusal comes before anything is looked up: of a request, of a release and of broken glass."""
    async with make_town(tmp_path, after="staging") as town:
        number = await town.ask("deploy shop@v1 to staging")
        await town.end_of(number)
        await town.say("lock shop production because I measure", "cem")

        async def reasons(who: str, action: Action, command: str, **more: object) -> tuple[str, ...]:
            place = {"app": "shop", "environment": "production"}
            asked = await town.access.ask(town.identity(who), action=action, command=command, **(place | more))  # type: ignore[arg-type]
            assert (asked.person, asked.lock and asked.lock.holder) == (town.people[who], "cem")
            return asked.decision.reasons

        locked = "shop/production is locked by cem."
        assert await reasons("ana", Action.DEPLOY, "deploy") == (locked,)
        v2 = await reasons("ana", Action.DEPLOY, "deploy", release=V2)
        assert v2 == (locked, f"{V2} has to be healthy in staging first. There now: web1: {V1}.")
        assert await reasons("dia", Action.DEPLOY, "deploy", release=V2, glass=True) == (
            "You are admin on shop/production.",
        )
        assert await reasons("ana", Action.DEPLOY, "deploy", glass=True) == (
            "Only an admin of shop/production can use break glass.",
        )
        await town.say("unlock shop production", "cem")
        await town.say("lock shop staging because I measure", "dia")
        on_staging = await town.access.ask(
            town.people["ana"].id, action=Action.DEPLOY, command="deploy", app="shop", environment="staging"
        )
        assert (on_staging.decision.allowed, on_staging.decision.held) == (False, True)


async def test_the_first_question_about_an_approval_knows_the_request(town: Town) -> None:
    number = await town.ask("deploy shop@v2 to production", "dia")

    async def asked(who: Identity | int) -> Decision:
        answer = await town.access.ask(
            who, action=Action.APPROVE, command="approve", app="shop", environment="production", number=number
        )
        return answer.decision

    own = await asked(town.identity("dia"))
    assert own.reasons == ("You can't approve your own request: someone else has to approve it.",)
    assert own.who_may == ("ben", "cem")
    assert (await asked(town.people["ben"].id)).allowed


@pytest.mark.parametrize(
    ("end", "begins"), [("approve", True), ("reject", False), ("void", False), ("replaced", False)]
)
async def test_what_waits_for_approvals_is_woken_by_every_decision(
    town: Town, monkeypatch: pytest.MonkeyPatch, end: str, *, begins: bool
) -> None:
    monkeypatch.setattr("deploybot.deployments.approvals.CLOCK_LOOKS", 1000.0)
    number = await town.ask()
    await town.shop.deployments.queue.close()
    waits = asyncio.create_task(engine(town).wait(number, CancellationWatch()))
    for _ in range(5):
        await town.deployment(number)  # in line behind what it looks at first
    assert not waits.done()
    if end == "approve":
        assert (await town.shop.deployments.approve(town.ctx("ben"), number)).aside
    elif end == "reject":
        assert (await town.shop.deployments.reject(town.ctx("ben", "no"), number)).aside
    elif end == "void":
        await engine(town).void(number, ["config: x was y and is z"])
    else:
        await town.store.write(lambda tables: tables.deployments.move(number, State.CANCELLED, now=2.0, outcome=end))
        engine(town).wake((number,))
    async with asyncio.timeout(20):
        assert await waits is begins


async def test_what_is_void_says_what_changed_and_offers_to_ask_again(town: Town) -> None:
    number = await town.ask("deploy shop@v2 to production because it is time")
    card = await engine(town).void(number, ["config: x was y and is z", "steps: other ones"])
    assert card == Card(
        title=f"#{number} is void, and was not deployed.",
        text="config: x was y and is z\nsteps: other ones",
        tone=Tone.WARN,
        ok=False,
        aside=True,
        buttons=(Button("Ask again", "deploy shop@v2 to production/web1,web2 because it is time"),),
    )
    again = await engine(town).void(number, ["config: x was y and is z"])
    assert again == Card(title=f"#{number} has already ended.", tone=Tone.WARN, ok=False, aside=True)
    ended = await town.deployment(number)
    (row,) = [row for row in await town.audit() if row.action == "deploy void"]
    assert (row.actor, row.subject, row.detail) == ("deploybot", f"#{number} shop/production", ended.outcome)


async def test_who_rejected_is_in_the_audit(town: Town) -> None:
    number = await town.ask()
    await town.say(f"reject #{number} because it is over MAX.", "ben")
    (row,) = [row for row in await town.audit() if row.action == "deploy rejected"]
    assert (row.actor, row.subject) == ("ben", f"#{number} shop/production")
    assert row.detail == "Rejected by ben: it is over MAX. Nothing was deployed."


async def test_what_lacks_approvals_at_its_turn_is_told_on_its_card_and_in_the_audit(tmp_path: Path) -> None:
    async with make_town(tmp_path, approvals=2) as town:
        async with town.busy():
            number = await town.ask()
            for who in ("ben", "cem"):
                assert (await town.say(f"approve #{number}", who)).ok
            await town.say("deny @cem on shop", "dia")
        await town.until(number, lambda one: one.awaits_approval)
        assert (await town.card(number)).title.endswith("waiting for 1 approval")
        queued = await town.store.read(lambda tables: tables.outbox.due(town.shop.clock.now() + 9e9, 1000))
        assert any(item.card.title.endswith("waiting for 1 approval") for item in queued)
        (row,) = [row for row in await town.audit() if row.action == "deploy lacks approvals"]
        assert (row.actor, row.subject, row.detail) == (
            "deploybot",
            f"#{number} shop/production",
            "1 of 2 approvals count now",
        )


async def test_after_a_start_only_open_requests_say_that_the_bot_was_away(town: Town) -> None:
    async with town.busy():
        ready, open_one, cancelled = [await town.ask() for _ in range(3)]
        await town.say(f"approve #{ready}", "ben")
        await town.shop.deployments.queue.close()
        await town.store.write(lambda tables: tables.deployments.ask_cancel(cancelled, "ana"))
        every = [await town.deployment(number) for number in (ready, open_one, cancelled)]
        assert [one.state for one in every] == [State.WAITING] * 3
        await engine(town).refresh(every)
        notes = [(await town.request(number)).note for number in (ready, open_one, cancelled)]
        assert (notes[0], notes[2]) == ("", "")
        assert re.fullmatch(
            r"deploybot restarted; press again if your answer is missing here \(\d\d:\d\d:\d\d UTC\)", notes[1]
        )
        queued = await town.store.read(lambda tables: tables.outbox.due(town.shop.clock.now() + 9e9, 1000))
        assert any("deploybot restarted" in repr(item.card) for item in queued)


async def test_what_bot_toml_no_longer_requires_stays_required_of_a_request(tmp_path: Path) -> None:
    async with make_town(tmp_path, approvals=1, approvers=["@ben"], approval_code="totp") as town:
        number = await town.ask()
        await town.restart(settings_of(town.shop.settings.bot.data))
        request = await town.request(number)
        assert (request.wanted, request.approvers, request.code) == (1, ("@ben",), True)
        await town.restart(settings_of(town.shop.settings.bot.data, approvals=2))
        request = await town.request(number)
        assert (request.wanted, request.code) == (2, True), "more is required, and the code still"


async def test_a_start_counts_the_approvals_again(tmp_path: Path) -> None:
    async with make_town(tmp_path, approvals=2) as town:
        number, other = await town.ask(), await town.ask()
        for one in (number, other):
            assert (await town.say(f"approve #{one}", "ben")).ok
        await town.shop.deployments.queue.close()
        await town.say("deny @ben on shop", "dia")
        await engine(town).refresh([await town.deployment(number)])
        assert [one.counts for one in (await town.request(number)).approvals] == [False]
        assert [one.counts for one in (await town.request(other)).approvals] == [True], "nobody looked at that one"


async def test_a_start_finds_what_has_its_approvals(town: Town) -> None:
    async with town.busy():
        number = await town.ask()
        assert (await town.say(f"approve #{number}", "ben")).ok
        await town.shop.deployments.queue.close()
        await town.store.write(lambda tables: tables.deployments.approve(number, 0.0))
        assert (await town.deployment(number)).awaits_approval
        before = town.shop.clock.now()
        await engine(town).refresh([await town.deployment(number)])
        assert before <= (await town.deployment(number)).approved <= town.shop.clock.now()


async def test_only_requests_are_void(town: Town) -> None:
    town.shop.hosts["web1"].script("fetch", Outcome(hold=True))
    running = await town.ask("deploy shop@v1 to staging")
    await town.shop.started(running, "fetch")
    for number in (running, 99):
        card = await engine(town).void(number, ["config: x was y and is z"])
        assert (card.title, card.buttons) == (f"#{number} has already ended.", ())
    assert (await town.deployment(running)).state is State.RUNNING


async def test_a_vain_try_is_noted_only_on_what_still_waits(tmp_path: Path) -> None:
    async with make_town(tmp_path) as town, town.busy():
        number = await town.ask()
        with pytest.raises(Denied):
            await town.shop.deployments.approve(town.ctx("ana"), number)
        assert (await town.request(number)).note.startswith("ana: `approve` needs the role approver")
        queued = await town.store.read(lambda tables: tables.outbox.due(town.shop.clock.now() + 9e9, 1000))
        assert "ana: `approve` needs the role approver" in repr(queued[-1].card), "its card is posted again"
        assert (await town.say(f"approve #{number}", "ben")).ok
        assert (await town.request(number)).note == ""
        with pytest.raises(UserError, match="already approved"):
            await town.shop.deployments.approve(town.ctx("cem"), number)
        assert (await town.request(number)).note == "", "its card has no button any more"
        (row,) = [row for row in await town.audit() if row.action == "approve"]
        digest = (await town.request(number)).binding.digest
        assert (row.actor, row.detail) == ("ben", f"1 of 1, bound to {digest[:12]}")


async def test_a_look_that_hangs_keeps_no_other_request_waiting(town: Town) -> None:
    async with town.busy():
        first, second = await town.ask("deploy shop@v2 to production"), await town.ask("deploy shop@v1 to production")
        resolve, asked, go_on = town.shop.refs.resolve, asyncio.Event(), asyncio.Event()

        async def slow(app: App, ref: str) -> Release:
            if ref == "v2":
                asked.set()
                await go_on.wait()
            return await resolve(app, ref)

        town.shop.refs.resolve = slow  # type: ignore[method-assign]
        hanging = asyncio.create_task(town.say(f"approve #{first}", "ben"))
        await asked.wait()
        async with asyncio.timeout(20):
            assert (await town.say(f"approve #{second}", "ben")).ok
        assert not hanging.done()
        go_on.set()
        assert (await hanging).ok


async def test_the_card_counts_an_approval_at_once(tmp_path: Path) -> None:
    async with make_town(tmp_path, approvals=2) as town:
        number = await town.ask()
        await town.shop.deployments.queue.close()
        first = await town.shop.deployments.approve(town.ctx("ben"), number)
        assert first == Card(title=f"#{number} has 1 of 2 approvals now.", tone=Tone.GOOD, aside=True)
        queued = await town.store.read(lambda tables: tables.outbox.due(town.shop.clock.now() + 9e9, 1000))
        assert "approved 1 of 2: ben" in queued[-1].card.footer
        last = await town.shop.deployments.approve(town.ctx("cem"), number)
        assert last == Card(title=f"#{number} is approved.", tone=Tone.GOOD, aside=True)


async def test_who_wrote_it_alone_is_told_that_somebody_else_has_to_approve(tmp_path: Path) -> None:
    async with make_town(tmp_path, approvals_exclude="authors") as town:
        ben = town.people["ben"].id
        await town.store.write(lambda tables: tables.people.link(ben, Identity("git", "ben@example.com")))
        first = await town.ask("deploy shop@v1 to production")
        for who in ("ben", "cem"):  # of a first deployment the authors are unknown, so it needs two
            await town.say(f"approve #{first}", who)
        assert (await town.end_of(first)).state is State.SUCCEEDED
        wrote = Changes(total=1, authors=(CommitAuthor("Ben", "ben@example.com"),))
        town.shop.refs.between[V1.id, V2.id] = wrote
        number = await town.ask("deploy shop@v2 to production")
        assert await town.shop.deployments.approve(town.ctx("ben"), number) == Card(
            title=f"#{number} has 1 of 1 approvals now.", text=ONLY_AUTHORS, tone=Tone.GOOD, aside=True
        )
        assert (await town.say(f"approve #{number}", "cem")).ok


async def _look_often(town: Town, number: int) -> None:
    """Let the task that waits for a request look at it several times."""
    for _ in range(10):
        await town.deployment(number)
        await asyncio.sleep(0.006)  # its pauses are shorter: `CLOCK_LOOKS` of these tests


async def test_a_request_is_reminded_of_once_and_expires_in_its_second(town: Town) -> None:
    town.shop.clock = clock = FakeClock()
    await town.restart()
    number = await town.ask()
    request = await town.request(number)

    async def reminders() -> int:
        return len([row for row in await town.audit() if row.action == "deploy reminded"])

    await _look_often(town, number)
    assert await reminders() == 0
    clock.advance(request.remind_at - clock.now())
    async with asyncio.timeout(20):
        while await reminders() == 0:  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(0.001)
    await _look_often(town, number)
    assert await reminders() == 1
    clock.advance(request.expires - clock.now() - 1)
    await _look_often(town, number)
    assert (await town.deployment(number)).awaits_approval
    clock.advance(1)
    assert (await town.end_of(number)).verdict is RequestVerdict.EXPIRED


async def test_what_has_its_approvals_without_a_click_is_found_while_it_waits(town: Town) -> None:
    """A webhook that comes late may make one approval enough."""
    async with town.busy():
        number = await town.ask()
        assert (await town.say(f"approve #{number}", "ben")).ok
        await town.shop.deployments.queue.close()
        await town.store.write(lambda tables: tables.deployments.approve(number, 0.0))
        async with asyncio.timeout(20):
            assert await engine(town).wait(number, CancellationWatch())
        assert (await town.deployment(number)).approved
