"""What hardly ever happens: plug-ins that call the services themselves, rows that are gone, everything at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.card import Button, Card, Tone
from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.fingerprint import config_of
from deploybot.deployments.fingerprint_check import FingerprintCheck
from deploybot.deployments.timeouts import TIMEOUTS
from deploybot.domain import (
    Action,
    Changes,
    CommitAuthor,
    Deployment,
    Identity,
    Kind,
    Plan,
    Release,
    Request,
    RequestVerdict,
    State,
)
from deploybot.errors import Cancelled, Denied, StoreError, Unreachable, UserError
from deploybot.policy import ONLY_AUTHORS, Decision
from deploybot.settings import App, FileRef
from deploybot.testing import FakeClock, Outcome
from tests.approvals.conftest import engine, open_approval_bot
from tests.kit.bot import V1, V2, V3, BotUnderTest, shop_settings


def bonds(bot: BotUnderTest) -> FingerprintCheck:
    return bot.deployments.queue._beginning._fingerprints


async def test_a_command_of_ones_own_is_asked_the_same(bot: BotUnderTest) -> None:
    """It passes dispatch by its own `needs`; the service asks for what it does."""
    number = await bot.ask()
    with pytest.raises(Denied, match="needs the role approver"):
        await bot.deployments.approve(bot.ctx(who="eve"), number)
    with pytest.raises(Denied, match="not on the allowlist"):
        await bot.deployments.approve(bot.ctx(who="stranger"), number)
    with pytest.raises(Denied, match="not on the allowlist"):
        await bot.deployments.reject(bot.ctx("x", who="stranger"), number)
    with pytest.raises(UserError, match=r"^A rejection needs a reason\.$") as caught:
        await bot.deployments.reject(bot.ctx(who="ben"), number)
    assert caught.value.hint == f"Like this: `reject #{number} because …`."
    with pytest.raises(Denied, match=r"^`reject` needs the role approver"):
        await bot.deployments.reject(bot.ctx("x", who="eve"), number)
    with pytest.raises(UserError, match="There is no deployment #99"):
        await bot.deployments.approve(bot.ctx(who="ben"), 99)
    with pytest.raises(Denied, match="not on the allowlist"):
        await bot.access.totp(bot.ctx(who="stranger"), "")
    own = await bot.ask("deploy shop@v1 to production", "dia")
    with pytest.raises(Denied, match=r"^You can't approve your own request"):
        await bot.deployments.approve(bot.ctx(who="dia"), own)
    late = Identity("telegram", "4242")
    await bot.store.write(lambda tables: tables.people.link(bot.people["ben"].id, late))
    by_ben = bot.ctx(who="ben")
    with pytest.raises(Denied, match=r"^You got this account after #\d was requested"):
        await bot.deployments.approve(replace(by_ben, incoming=replace(by_ben.incoming, identity=late)), own)
    assert (await bot.deployment(own)).awaits_approval
    with pytest.raises(Denied, match="`cancel` needs the role deployer on shop/production; you have no role there"):
        await bot.deployments.cancel(bot.ctx(who="fay"), number)
    with pytest.raises(Denied, match="not on the allowlist"):
        await bot.deployments.cancel(bot.ctx(who="stranger"), number)
    assert (await bot.deployment(number)).awaits_approval
    assert (await bot.deployment(number)).cancel_by == ""
    assert (await bot.deployments.cancel(bot.ctx(who="eve"), number)).title.startswith(f"Stopping #{number}")


async def test_a_store_that_fails_is_no_reason_to_write_again(bot: BotUnderTest) -> None:
    number = await bot.ask()
    bot.store.full = "the disk is full"
    with pytest.raises(StoreError, match="the disk is full"):
        await bot.deployments.approve(bot.ctx(who="ben"), number)


async def test_a_row_that_is_gone_is_reported(bot: BotUnderTest) -> None:
    staging = await bot.ask("deploy shop@v1 to staging")
    ended = await bot.end_of(staging)
    with pytest.raises(StoreError, match=f"the request for #{staging} is no longer in the database"):
        await bot.store.write(lambda tables: engine(bot).send_back(tables, ended))


async def test_void_comes_too_late_for_what_has_ended(bot: BotUnderTest) -> None:
    number = await bot.ask()
    await bot.say(f"reject #{number} because no", "ben")
    card = await engine(bot).void(number, ("release: it moved",))
    assert (card.title, card.buttons) == (f"#{number} has already ended.", ())
    assert (await bot.request_of(number)).verdict is RequestVerdict.REJECTED


async def test_rejected_while_it_was_looked_at(bot: BotUnderTest) -> None:
    """The waiting task finds in its transaction that somebody was faster."""
    number = await bot.ask()
    assert await bot.store.write(lambda tables: engine(bot)._do_what_is_due(tables, number)) > 0
    await bot.say(f"reject #{number} because no", "ben")
    assert await bot.store.write(lambda tables: engine(bot)._do_what_is_due(tables, number)) == 0.0
    approved = await bot.ask()
    async with bot.busy():
        await bot.say(f"approve #{approved}", "ben")
        assert await bot.store.write(lambda tables: engine(bot)._do_what_is_due(tables, approved)) == 0.0
    await bot.end_of(approved)


async def test_what_cannot_be_done_any_more_is_reported_as_what_changed(bot: BotUnderTest) -> None:
    """Where bot.toml is another one, that is why; where it is not, the reason is told and nothing ends."""
    number = await bot.ask("deploy shop@main to production")
    facts = bot.hosts["web1"].server_facts
    bot.hosts["web1"].server_facts = replace(facts, disk_free=1)
    card = await bot.say(f"approve #{number}", "ben")
    assert "web1" in card.title
    assert (await bot.deployment(number)).awaits_approval
    bot.refs.known["main"] = V3.id
    card = await bot.say(f"approve #{number}", "ben")
    assert card.text == "release: `main` was 2222222222, now 3333333333"


async def test_what_does_not_answer_is_asked_again_for_a_minute(bot: BotUnderTest) -> None:
    bot.wait(recheck_pause=0.001)
    number = await bot.ask()
    deployment, request = await bot.deployment(number), await bot.request_of(number)
    stop = CancellationWatch()
    bot.hosts["web1"].down = "no answer"
    waits = asyncio.ensure_future(bonds(bot).insist(deployment, request, stop))
    await asyncio.sleep(0.01)
    bot.hosts["web1"].down = ""
    async with asyncio.timeout(10):
        await waits
    bot.hosts["web1"].down = "no answer"
    # The clock goes on whenever it is looked at.
    with pytest.raises(Unreachable, match="web1 cannot be reached"):
        await bonds(bot).insist(deployment, request, stop)
    stop.set(Cancelled("ana"))
    with pytest.raises(Cancelled):
        await bonds(bot).insist(deployment, request, stop)


async def test_what_moves_in_the_last_moment_is_seen(bot: BotUnderTest) -> None:
    """After the last look, before the plan: what runs is bound to the plan itself."""
    number = await bot.ask()

    class BlindCheck(FingerprintCheck):
        async def insist(self, deployment: Deployment, request: Request, stop: CancellationWatch) -> None:
            del deployment, request, stop
            host = bot.hosts["web1"]
            host.server_facts = replace(host.server_facts, current=V3.id)

    bot.deployments.queue._beginning._fingerprints = BlindCheck(bot.settings, bonds(bot)._planner, bot.clock)
    await bot.say(f"approve #{number}", "ben")
    ended = await bot.end_of(number)
    assert ended.outcome == "Void: what it replaces: web1 was nothing, now 3333333333. Nothing was deployed."


async def test_cancelled_while_it_is_looked_at(bot: BotUnderTest) -> None:
    number = await bot.ask()
    async with bot.busy():
        await bot.say(f"approve #{number}", "ben")
        await bot.say(f"cancel #{number}")
    assert (await bot.end_of(number)).outcome == "Cancelled by ana. It had not started."


async def test_cancelled_right_before_the_bot_died(bot: BotUnderTest) -> None:
    number = await bot.ask()
    await bot.deployments.queue.close()
    await bot.store.write(lambda tables: tables.deployments.ask_cancel(number, "ana"))
    card = await bot.say(f"approve #{number}", "ben")
    assert card.title == f"ana already cancelled #{number}."
    await bot.restart()
    assert (await bot.end_of(number)).state is State.CANCELLED


async def test_approving_and_rejecting_at_once_ends_in_one_way(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path) as bot:
        for _ in range(20):
            number = await bot.ask()
            said = await asyncio.gather(
                bot.say(f"approve #{number}", "ben"), bot.say(f"reject #{number} because no", "cem")
            )
            ended = await bot.end_of(number)
            request = await bot.request_of(number)
            assert (ended.state is State.SUCCEEDED) is (request.verdict is RequestVerdict.NONE)
            assert any(card.ok for card in said)


def test_files_are_bound_by_their_paths(tmp_path: Path) -> None:
    settings = shop_settings(tmp_path)
    app = settings.apps["shop"]
    app.__dict__["repo_key"] = FileRef(file=Path("/etc/key"))
    plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V3, servers=())
    assert dict(config_of(plan, settings))["apps.shop.repo_key"] == '{"file": "/etc/key"}'
    app.__dict__["repo"] = object()
    with pytest.raises(TypeError, match="object is not allowed in a fingerprint"):
        config_of(plan, settings)


async def test_a_look_that_takes_too_long_is_reported(bot: BotUnderTest) -> None:
    number = await bot.ask()

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    resolve, bot.refs.resolve = bot.refs.resolve, never  # type: ignore[method-assign,assignment]
    bot.wait(recheck=0.05)
    card = await bot.say(f"approve #{number}", "ben")
    bot.refs.resolve = resolve  # type: ignore[method-assign]
    assert card.title.startswith("The repository or a server cannot be reached: no answer within ")
    assert "ben: the repository or a server" in str((await bot.card(number)).details)
    bot.wait(recheck=TIMEOUTS.recheck)  # a real look takes longer than the one that hangs was given
    assert (await bot.say(f"approve #{number}", "ben")).ok


async def test_the_first_question_of_a_command_knows_all_that_the_last_one_does(tmp_path: Path) -> None:
    """So a refusal comes before anything is looked up: of a request, of a release and of broken glass."""
    async with open_approval_bot(tmp_path, after="staging") as bot:
        number = await bot.ask("deploy shop@v1 to staging")
        await bot.end_of(number)
        await bot.say("lock shop production because I measure", "cem")

        async def reasons(who: str, action: Action, command: str, **more: object) -> tuple[str, ...]:
            place = {"app": "shop", "environment": "production"}
            asked = await bot.access.ask(bot.identity(who), action=action, command=command, **(place | more))  # type: ignore[arg-type]
            assert (asked.person, asked.lock and asked.lock.holder) == (bot.people[who], "cem")
            return asked.decision.reasons

        locked = "shop/production is locked by cem."
        assert await reasons("ana", Action.DEPLOY, "deploy") == (locked,)
        v2 = await reasons("ana", Action.DEPLOY, "deploy", release=V2)
        assert v2 == (locked, f"{V2} must be healthy in staging first. There now: web1: {V1}.")
        assert await reasons("dia", Action.DEPLOY, "deploy", release=V2, glass=True) == (
            "You are admin on shop/production.",
        )
        assert await reasons("ana", Action.DEPLOY, "deploy", glass=True) == (
            "Only an admin of shop/production can use break glass.",
        )
        await bot.say("unlock shop production", "cem")
        await bot.say("lock shop staging because I measure", "dia")
        on_staging = await bot.access.ask(
            bot.people["ana"].id, action=Action.DEPLOY, command="deploy", app="shop", environment="staging"
        )
        assert (on_staging.decision.allowed, on_staging.decision.held) == (False, True)


async def test_the_first_question_about_an_approval_knows_the_request(bot: BotUnderTest) -> None:
    number = await bot.ask("deploy shop@v2 to production", "dia")

    async def asked(who: Identity | int) -> Decision:
        answer = await bot.access.ask(
            who, action=Action.APPROVE, command="approve", app="shop", environment="production", number=number
        )
        return answer.decision

    own = await asked(bot.identity("dia"))
    assert own.reasons == ("You can't approve your own request: someone else must approve it.",)
    assert own.who_may == ("ben", "cem")
    assert (await asked(bot.people["ben"].id)).allowed


@pytest.mark.parametrize(
    ("end", "begins"), [("approve", True), ("reject", False), ("void", False), ("replaced", False)]
)
async def test_what_waits_for_approvals_is_woken_by_every_decision(
    bot: BotUnderTest, end: str, *, begins: bool
) -> None:
    bot.wait(clock_check=1000.0)
    number = await bot.ask()
    await bot.deployments.queue.close()
    waits = asyncio.create_task(engine(bot).wait(number, CancellationWatch()))
    for _ in range(5):
        await bot.deployment(number)  # in line behind what it looks at first
    assert not waits.done()
    if end == "approve":
        assert (await bot.deployments.approve(bot.ctx(who="ben"), number)).aside
    elif end == "reject":
        assert (await bot.deployments.reject(bot.ctx("no", who="ben"), number)).aside
    elif end == "void":
        await engine(bot).void(number, ["config: x was y, now z"])
    else:
        await bot.store.write(lambda tables: tables.deployments.move(number, State.CANCELLED, now=2.0, outcome=end))
        engine(bot).wake((number,))
    async with asyncio.timeout(20):
        assert await waits is begins


async def test_what_is_void_says_what_changed_and_offers_to_ask_again(bot: BotUnderTest) -> None:
    number = await bot.ask("deploy shop@v2 to production because it is time")
    card = await engine(bot).void(number, ["config: x was y, now z", "steps: other ones"])
    assert card == Card(
        title=f"#{number} is void, and was not deployed.",
        text="config: x was y, now z\nsteps: other ones",
        tone=Tone.WARN,
        ok=False,
        aside=True,
        buttons=(Button("Ask again", "deploy shop@v2 to production/web1,web2 because it is time"),),
    )
    again = await engine(bot).void(number, ["config: x was y, now z"])
    assert again == Card(title=f"#{number} has already ended.", tone=Tone.WARN, ok=False, aside=True)
    ended = await bot.deployment(number)
    (row,) = [row for row in await bot.audit() if row.action == "deploy void"]
    assert (row.actor, row.subject, row.detail) == ("deploybot", f"#{number} shop/production", ended.outcome)


async def test_a_long_reason_can_be_asked_with_again(bot: BotUnderTest) -> None:
    number = await bot.ask(f"deploy shop@v2 to production because {'long ' * 791}")
    card = await engine(bot).void(number, ["config: x was y, now z"])
    again = await bot.ask(card.buttons[0].command)
    assert (await bot.deployment(again)).reason.startswith("long long")


async def test_who_rejected_is_in_the_audit(bot: BotUnderTest) -> None:
    number = await bot.ask()
    await bot.say(f"reject #{number} because it is over MAX.", "ben")
    (row,) = [row for row in await bot.audit() if row.action == "deploy rejected"]
    assert (row.actor, row.subject) == ("ben", f"#{number} shop/production")
    assert row.detail == "Rejected by ben: it is over MAX. Nothing was deployed."


async def test_what_lacks_approvals_at_its_turn_is_reported_on_its_card_and_in_the_audit(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=2) as bot:
        async with bot.busy():
            number = await bot.ask()
            for who in ("ben", "cem"):
                assert (await bot.say(f"approve #{number}", who)).ok
            await bot.say("deny @cem on shop", "dia")
        await bot.until(number, lambda one: one.awaits_approval)
        assert (await bot.card(number)).title.endswith("waiting for 1 approval")
        queued = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now() + 9e9, 1000))
        assert any(item.card.title.endswith("waiting for 1 approval") for item in queued)
        (row,) = [row for row in await bot.audit() if row.action == "deploy lacks approvals"]
        assert (row.actor, row.subject, row.detail) == (
            "deploybot",
            f"#{number} shop/production",
            "1 of 2 approvals count now",
        )


async def test_only_requests_are_void(bot: BotUnderTest) -> None:
    bot.hosts["web1"].script("fetch", Outcome(hold=True))
    running = await bot.ask("deploy shop@v1 to staging")
    await bot.started(running, "fetch")
    for number in (running, 99):
        card = await engine(bot).void(number, ["config: x was y, now z"])
        assert (card.title, card.buttons) == (f"#{number} has already ended.", ())
    assert (await bot.deployment(running)).state is State.RUNNING


async def test_a_vain_try_is_noted_only_on_what_still_waits(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path) as bot, bot.busy():
        number = await bot.ask()
        with pytest.raises(Denied):
            await bot.deployments.approve(bot.ctx(who="ana"), number)
        assert (await bot.request_of(number)).note.startswith("ana: `approve` needs the role approver")
        queued = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now() + 9e9, 1000))
        assert "ana: `approve` needs the role approver" in repr(queued[-1].card), "its card is posted again"
        assert (await bot.say(f"approve #{number}", "ben")).ok
        assert (await bot.request_of(number)).note == ""
        with pytest.raises(UserError, match="already approved"):
            await bot.deployments.approve(bot.ctx(who="cem"), number)
        assert (await bot.request_of(number)).note == "", "its card has no button any more"
        (row,) = [row for row in await bot.audit() if row.action == "approve"]
        digest = (await bot.request_of(number)).binding.digest
        assert (row.actor, row.detail) == ("ben", f"1 of 1, bound to {digest[:12]}")


async def test_a_look_that_hangs_keeps_no_other_request_waiting(bot: BotUnderTest) -> None:
    async with bot.busy():
        first, second = await bot.ask("deploy shop@v2 to production"), await bot.ask("deploy shop@v1 to production")
        resolve, asked, go_on = bot.refs.resolve, asyncio.Event(), asyncio.Event()

        async def slow(app: App, ref: str) -> Release:
            if ref == "v2":
                asked.set()
                await go_on.wait()
            return await resolve(app, ref)

        bot.refs.resolve = slow  # type: ignore[method-assign]
        hanging = asyncio.create_task(bot.say(f"approve #{first}", "ben"))
        await asked.wait()
        async with asyncio.timeout(20):
            assert (await bot.say(f"approve #{second}", "ben")).ok
        assert not hanging.done()
        go_on.set()
        assert (await hanging).ok


async def test_the_card_counts_an_approval_at_once(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=2) as bot:
        number = await bot.ask()
        await bot.deployments.queue.close()
        first = await bot.deployments.approve(bot.ctx(who="ben"), number)
        assert first == Card(title=f"#{number} has 1 of 2 approvals now.", tone=Tone.GOOD, aside=True)
        queued = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now() + 9e9, 1000))
        assert "approved 1 of 2: ben" in queued[-1].card.footer
        last = await bot.deployments.approve(bot.ctx(who="cem"), number)
        assert last == Card(title=f"#{number} is approved.", tone=Tone.GOOD, aside=True)


async def test_a_lone_author_learns_that_somebody_else_has_to_approve(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals_exclude="authors") as bot:
        ben = bot.people["ben"].id
        await bot.store.write(lambda tables: tables.people.link(ben, Identity("git", "ben@example.com")))
        first = await bot.ask("deploy shop@v1 to production")
        for who in ("ben", "cem"):  # of a first deployment the authors are unknown, so it needs two
            await bot.say(f"approve #{first}", who)
        assert (await bot.end_of(first)).state is State.SUCCEEDED
        wrote = Changes(total=1, authors=(CommitAuthor("Ben", "ben@example.com"),))
        bot.refs.between[V1.id, V2.id] = wrote
        number = await bot.ask("deploy shop@v2 to production")
        assert await bot.deployments.approve(bot.ctx(who="ben"), number) == Card(
            title=f"#{number} has 1 of 1 approvals now.", text=ONLY_AUTHORS, tone=Tone.GOOD, aside=True
        )
        assert (await bot.say(f"approve #{number}", "cem")).ok


async def _look_often(bot: BotUnderTest, number: int) -> None:
    """Let the task that waits for a request look at it several times."""
    for _ in range(10):
        await bot.deployment(number)
        await asyncio.sleep(0.006)  # its pauses are shorter in these tests


async def test_a_request_is_reminded_of_once_and_expires_in_its_second(bot: BotUnderTest) -> None:
    bot.clock = clock = FakeClock()
    await bot.restart()
    number = await bot.ask()
    request = await bot.request_of(number)

    async def reminders() -> int:
        return len([row for row in await bot.audit() if row.action == "deploy reminded"])

    await _look_often(bot, number)
    assert await reminders() == 0
    clock.advance(request.remind_at - clock.now())
    async with asyncio.timeout(20):
        while await reminders() == 0:  # noqa: ASYNC110 - a row, without an event
            await asyncio.sleep(0.001)
    await _look_often(bot, number)
    assert await reminders() == 1
    clock.advance(request.expires - clock.now() - 1)
    await _look_often(bot, number)
    assert (await bot.deployment(number)).awaits_approval
    clock.advance(1)
    assert (await bot.end_of(number)).verdict is RequestVerdict.EXPIRED


async def test_what_has_its_approvals_without_a_click_is_found_while_it_waits(bot: BotUnderTest) -> None:
    """A webhook that comes late may make one approval enough."""
    async with bot.busy():
        number = await bot.ask()
        assert (await bot.say(f"approve #{number}", "ben")).ok
        await bot.deployments.queue.close()
        await bot.store.write(lambda tables: tables.deployments.approve(number, 0.0))
        async with asyncio.timeout(20):
            assert await engine(bot).wait(number, CancellationWatch())
        assert (await bot.deployment(number)).approved
