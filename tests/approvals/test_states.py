"""The state of a request, told from its rows: open, decided, expired; and questions that the rows answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.deployments.policy_lookup import PolicyQuestions, wanted_of
from deploybot.deployments.request_state import expired_text, waiting, wanting
from deploybot.domain import (
    Action,
    Approval,
    Binding,
    Deployment,
    Grant,
    Identity,
    Kind,
    Lock,
    Person,
    Plan,
    Request,
    RequestVerdict,
    Role,
    Running,
    State,
)
from deploybot.errors import Denied, Locked, UserError
from deploybot.policy import Before, Decision, PolicyQuestion, WantedAction
from deploybot.ports import Tables
from deploybot.testing import FakeClock, memory_store
from tests.kit.bot import V1, V2, shop_settings

DAY, AT = 86_400.0, 1_800_000_000.0  # 2027-01-15 08:00 UTC
PLAN = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V2, servers=())
BINDING = Binding(ref="v2", release=V2.bare(), config=(), replaces=(), steps=())
REQUEST = Request(
    deployment=1, binding=BINDING, wanted=2, approvers=("approver",), expires=AT + DAY, remind_at=AT + DAY / 2
)


def _people(tables: Tables) -> tuple[Person, Person]:
    return tables.people.add("ana", Identity("console", "1")), tables.people.add("ben", Identity("console", "2"))


def _asked(tables: Tables, plan: Plan = PLAN) -> int:
    """Ana asks for a deployment that needs two approvals; its number."""
    ana, _ = _people(tables)
    made = tables.deployments.add(plan, requester=ana, reason="", channel=None, now=AT, needs_approval=True)
    tables.requests.add(replace(REQUEST, deployment=made.number))
    return made.number


def said(look: Callable[[], object]) -> tuple[str, str]:
    """The sentence and the hint of a refusal."""
    with pytest.raises(UserError) as caught:
        look()
    return caught.value.sentence, caught.value.hint


async def test_an_open_request_waits_until_it_expires() -> None:
    async with memory_store() as store:

        def look(tables: Tables) -> None:
            number = _asked(tables)
            for found in (waiting(tables, number), wanting(tables, number, AT + DAY - 1)):
                assert (found[0].number, found[1].deployment) == (number, number)
            assert said(lambda: wanting(tables, number, AT + DAY)) == (
                f"#{number} expired at 2027-01-16 08:00 UTC.",
                "",
            )
            assert waiting(tables, number)[1].expires == AT + DAY, "until the bot ends it, it may be rejected"

        await store.write(look)


async def test_what_cannot_be_approved_says_why() -> None:
    async with memory_store() as store:

        def look(tables: Tables) -> None:
            number = _asked(tables)
            assert said(lambda: waiting(tables, 99)) == ("There is no deployment #99.", "See them with: history APP")
            ana = tables.people.everybody()[0]
            plain = tables.deployments.add(PLAN, requester=ana, reason="", channel=None, now=AT).number
            assert said(lambda: waiting(tables, plain)) == (f"#{plain} needs no approval.", "It is waiting.")
            tables.deployments.move(plain, State.CANCELLED, now=AT, outcome="no")
            assert said(lambda: waiting(tables, plain)) == (f"#{plain} needs no approval.", "It has ended: cancelled.")
            tables.deployments.ask_cancel(number, "ana")
            assert said(lambda: waiting(tables, number)) == (f"ana already cancelled #{number}.", "")

        await store.write(look)


async def test_what_was_approved_or_has_begun_says_so() -> None:
    async with memory_store() as store:

        def look(tables: Tables) -> None:
            number = _asked(tables)
            for person in tables.people.everybody():
                tables.requests.approve(number, Approval(person.id, person.name, AT))
            tables.deployments.approve(number, AT)
            assert said(lambda: wanting(tables, number, AT)) == (f"#{number} is already approved, by ana, ben.", "")
            tables.requests.count_only(number, (tables.people.everybody()[1].id,))
            assert said(lambda: wanting(tables, number, AT))[0].endswith("by ben."), "only those that count"
            assert waiting(tables, number)[0].number == number, "until it begins, it can be rejected"
            tables.deployments.move(number, State.RUNNING, now=AT)
            started = (f"#{number} has already started.", f"`cancel #{number}` stops it.")
            assert said(lambda: waiting(tables, number)) == started
            tables.deployments.move(number, State.SUCCEEDED, now=AT, outcome="Well done.")
            assert said(lambda: waiting(tables, number)) == (f"#{number} has already ended: succeeded.", "Well done.")

        await store.write(look)


def _deployment(not_before: float = 0.0) -> Deployment:
    return Deployment(
        number=1,
        plan=PLAN,
        state=State.WAITING,
        requester=1,
        requester_name="ana",
        created=AT,
        not_before=not_before,
        needs_approval=True,
    )


def test_an_expired_request_says_what_it_lacked() -> None:
    given = (Approval(2, "ben", AT), Approval(3, "cem", AT, counts=False))
    none = "It expired after 1 d with none of the 2 approvals it needs. Nothing was deployed."
    assert expired_text(_deployment(), REQUEST) == none
    assert expired_text(_deployment(), replace(REQUEST, approvals=given[1:])) == none
    assert expired_text(_deployment(), replace(REQUEST, approvals=given, more="nobody knows who pushed it")) == (
        "It expired after 1 d with 1 of the 3 approvals it needs. Nothing was deployed."
    )
    assert expired_text(_deployment(AT + DAY), replace(REQUEST, approvals=given)) == (
        "It was scheduled for 2027-01-16 08:00 UTC and had 1 of the 2 approvals it needs by then. Nothing was deployed."
    )


# What bot.toml requires


@pytest.mark.parametrize(
    ("now", "request_of", "wanted"),
    [
        ({}, None, None),
        ({"approvals": 1}, None, WantedAction(count=1)),
        ({"approvals": 1}, REQUEST, WantedAction(count=2)),
        ({"approvals": 3}, REQUEST, WantedAction(count=3)),
        ({}, REQUEST, WantedAction(count=2)),
        ({"approvals": 2, "approvers": ["admin"]}, REQUEST, WantedAction(count=2, role=Role.ADMIN)),
        (
            {"approvals": 1, "approvers": ["@ben", "@ana"]},
            None,
            WantedAction(count=1, names=("ben", "ana")),
        ),
        ({}, replace(REQUEST, approvers=("@cem",)), WantedAction(count=2, names=("cem",))),
    ],
)
def test_a_request_keeps_its_rules_unless_more_is_required_now(
    now: dict[str, object], request_of: Request | None, wanted: WantedAction | None
) -> None:
    environment = shop_settings(Path("/nonexistent"), **now).apps["shop"].environments["production"]
    assert wanted_of(environment, request_of) == wanted


def test_a_request_for_a_target_that_is_gone_keeps_its_rules() -> None:
    assert wanted_of(None, REQUEST) == WantedAction(count=2)
    assert wanted_of(None) is None


# Questions to the policy


async def answer(work: Callable[[Tables, PolicyQuestions], None], **environment: object) -> None:
    """Ask within a transaction, with these keys of production."""
    questions = PolicyQuestions(shop_settings(Path("/nonexistent"), **environment), FakeClock(AT))
    async with memory_store() as store:
        await store.write(lambda tables: work(tables, questions))


def ask(tables: Tables, questions: PolicyQuestions, who: Identity | int = 1, **more: object) -> PolicyQuestion:
    """Ask about a deployment to shop/production."""
    place = {"action": Action.DEPLOY, "command": "deploy", "app": "shop", "environment": "production"}
    return questions.ask(tables, who, **(place | more))  # type: ignore[arg-type]


async def test_a_person_is_known_by_id_or_account() -> None:
    def look(tables: Tables, questions: PolicyQuestions) -> None:
        ana, ben = _people(tables)
        assert ask(tables, questions, ben.id).person == ben
        assert ask(tables, questions, Identity("console", "2")).person == ben
        assert ask(tables, questions, 99).person is None
        assert ask(tables, questions, Identity("console", "9")).person is None
        assert ask(tables, questions).people == (ana, ben)

    await answer(look)


async def test_an_account_is_as_old_as_the_deployment_before_it() -> None:
    def look(tables: Tables, questions: PolicyQuestions) -> None:
        number = _asked(tables)
        late, old = Identity("telegram", "5"), Identity("console", "2")
        tables.people.link(2, late)
        assert ask(tables, questions, late).account == number
        assert ask(tables, questions, old).account == 0
        assert ask(tables, questions, 2, speaks_by=late).account == number
        assert ask(tables, questions, 2, speaks_by=old).account == 0
        assert ask(tables, questions, 2).account == 0
        assert ask(tables, questions, Identity("console", "9")).account == 0

    await answer(look)


def _lock(app: str, environment: str, person: Person) -> Lock:
    return Lock(app, environment, person.id, person.name, "measuring", AT, AT + 10)


async def test_the_lock_of_another_person_comes_before_ones_own() -> None:
    def look(tables: Tables, questions: PolicyQuestions) -> None:
        ana, ben = _people(tables)
        own, other = _lock("shop", "production", ana), _lock("shop", "staging", ben)
        assert ask(tables, questions).lock is None
        for lock in (own, other):
            tables.locks.take(lock)
        assert ask(tables, questions).lock == own
        assert ask(tables, questions, environment="staging").lock == other
        for several in ({"environment": "*"}, {"environment": None}, {"app": "*", "environment": "*"}):
            assert ask(tables, questions, **several).lock == other
            assert ask(tables, questions, ben.id, **several).lock == own
        assert ask(tables, questions, 99, environment="*").lock in {own, other}, "a stranger holds none"
        assert ask(tables, questions, app="blog").lock is None
        assert ask(tables, questions, app="blog", environment="*").lock is None

    await answer(look)


async def test_a_lock_that_is_over_is_none() -> None:
    def look(tables: Tables, questions: PolicyQuestions) -> None:
        _, ben = _people(tables)
        tables.locks.take(replace(_lock("shop", "production", ben), until=AT))
        assert ask(tables, questions).lock is None

    await answer(look)


async def test_what_runs_in_the_environment_before_is_asked_of_each_of_its_servers() -> None:
    def look(tables: Tables, questions: PolicyQuestions) -> None:
        ana, _ = _people(tables)
        assert ask(tables, questions).before == Before(environment="staging")
        nothing = Before(environment="staging", release="v2 (2222222222)", id=V2.id, there=(("web1", "", "", False),))
        assert ask(tables, questions, release=V2).before == nothing
        good = tables.deployments.add(PLAN, requester=ana, reason="", channel=None, now=AT).number
        tables.running.put(Running("shop", "staging", "web1", V1, good, AT, healthy=True))
        well = (("web1", "v1 (1111111111)", V1.id, True),)
        assert ask(tables, questions, release=V2).before == replace(nothing, there=well)
        tables.running.put(Running("shop", "staging", "web1", V1, good, AT, healthy=False))
        there = (("web1", "v1 (1111111111)", V1.id, False),)
        assert ask(tables, questions, release=V2).before == replace(nothing, there=there)
        tables.deployments.move(good, State.RUNNING, now=AT)
        assert ask(tables, questions, release=V2).before == replace(nothing, there=there)
        tables.deployments.move(good, State.SUCCEEDED, now=AT)
        assert ask(tables, questions, release=V2).before == replace(nothing, there=there, been_here=True)
        assert ask(tables, questions, release=V1).before == replace(
            nothing, release="v1 (1111111111)", id=V1.id, there=there
        )
        assert ask(tables, questions, environment="staging").before is None

    await answer(look, after="staging")


async def test_a_question_about_a_request_has_its_approvals_that_count_while_it_is_open() -> None:
    def look(tables: Tables, questions: PolicyQuestions) -> None:
        number = _asked(tables)
        for person in (1, 2):
            tables.requests.approve(number, Approval(person, "x", AT))
        tables.requests.count_only(number, (2,))
        asked = ask(tables, questions, number=number).request
        assert asked
        assert (asked.requester, asked.approved, asked.number) == (1, (2,), number)
        assert (asked.originators, asked.unknown, asked.authors) == ((), "", ())
        assert ask(tables, questions).request is None
        tables.deployments.move(number, State.CANCELLED, now=AT)
        tables.requests.close(number, RequestVerdict.REJECTED)
        assert ask(tables, questions, number=number).request is None

    await answer(look, approvals=1)


async def test_where_authors_are_excluded_unknown_authors_cost_an_approval() -> None:
    unknown = "the authors of the change are unknown"

    def look(tables: Tables, questions: PolicyQuestions) -> None:
        number = _asked(tables, replace(PLAN, changes=replace(PLAN.changes, known=False)))
        asked = ask(tables, questions, number=number).request
        assert asked
        assert asked.unknown == (unknown if questions is not loose else "")

    loose = PolicyQuestions(shop_settings(Path("/nonexistent"), approvals=1), FakeClock(AT))
    await answer(look, approvals=1, approvals_exclude="authors")
    async with memory_store() as store:
        await store.write(lambda tables: look(tables, loose))


async def test_the_limits_of_a_target_are_those_of_bot_toml() -> None:
    def look(tables: Tables, questions: PolicyQuestions) -> None:
        allowed = ask(tables, questions).allowed
        assert allowed
        assert (allowed.refs, allowed.signed, allowed.origin) == (("main", "tag v*"), False, None)
        assert ask(tables, questions, environment="staging").allowed is None
        assert ask(tables, questions, environment="*").allowed is None
        assert ask(tables, questions, app="gone").allowed is None
        plan = questions.may_request(tables, 1, PLAN)
        assert plan.allowed
        assert plan.allowed.origin
        assert plan.allowed.origin.found == "no ref that was checked", "what nobody asked the repository is not allowed"
        assert plan.allowed.origin.unsigned == "its signature was not checked"

    await answer(look, refs=["main", {"tag": "v*"}])


async def test_questions_about_a_plan_say_whether_it_is_about_to_begin() -> None:
    def look(tables: Tables, questions: PolicyQuestions) -> None:
        number = _asked(tables, replace(PLAN, kind=Kind.ROLLBACK))
        deployment = tables.deployments.get(number)
        assert deployment
        begin = questions.may_begin(tables, deployment)
        assert (begin.command, begin.action, begin.begins, begin.glass) == ("rollback", Action.DEPLOY, True, False)
        assert (begin.app, begin.environment, begin.now) == ("shop", "production", AT)
        assert begin.request
        assert questions.may_begin(tables, replace(deployment, glass="nothing")).glass
        request = questions.may_request(tables, 1, PLAN, glass=True)
        assert (request.begins, request.glass, request.request) == (False, True, None)
        assert not questions.may_request(tables, 1, PLAN).glass
        decide = questions.may_decide(tables, 2, deployment, "reject")
        assert (decide.action, decide.command, decide.begins) == (Action.APPROVE, "reject", False)
        assert decide.request
        assert decide.person
        assert decide.person.name == "ben"

    await answer(look, approvals=1)


async def test_a_refusal_names_who_may_and_a_lock_describes_itself() -> None:
    def look(tables: Tables, questions: PolicyQuestions) -> None:
        ana, ben = _people(tables)
        with pytest.raises(Denied, match="you have no role there") as caught:
            questions.insist(ask(tables, questions))
        assert caught.value.who_may == "no one on the allowlist"
        tables.people.grant(ben.id, Role.DEPLOYER)
        with pytest.raises(Denied) as caught:
            questions.insist(ask(tables, questions))
        assert caught.value.who_may == "ben"
        tables.people.grant(ana.id, Role.ADMIN)
        questions.insist(ask(tables, questions))
        tables.locks.take(_lock("shop", "production", ben))
        with pytest.raises(Locked, match=r"^shop/production is locked by ben since 2027-01-15 08:00 UTC"):
            questions.insist(ask(tables, questions))
        questions.refuse(ask(tables, questions), Decision(allowed=True, reasons=()))

    await answer(look)


async def test_the_bot_has_what_bot_toml_gives_it_and_is_nobody_who_may_approve() -> None:
    def look(tables: Tables, questions: PolicyQuestions) -> None:
        ana, _ = _people(tables)
        bot = tables.people.add("deploybot", Identity("auto", "deploybot"))
        tables.people.grant(ana.id, Role.DEPLOYER, "shop")
        own = Grant(bot.id, Role.DEPLOYER, "shop", "production")
        question = ask(tables, questions, bot.id)
        assert question.itself
        assert question.grants == (Grant(ana.id, Role.DEPLOYER, "shop"), own)
        assert [one.name for one in question.people] == ["ana", "ben"]
        assert question.auto == "a push to main"
        assert questions.grants(tables) == question.grants
        assert not ask(tables, questions, ana.id).itself
        assert ask(tables, questions, environment="staging").auto == ""

    await answer(look, auto={"branch": "main"})


async def test_without_auto_the_bot_is_nobody() -> None:
    def look(tables: Tables, questions: PolicyQuestions) -> None:
        ana, _ = _people(tables)
        tables.people.grant(ana.id, Role.DEPLOYER)
        assert questions.grants(tables) == (Grant(ana.id, Role.DEPLOYER),)
        assert not ask(tables, questions).itself
        assert not ask(tables, questions, 99).itself

    await answer(look)
