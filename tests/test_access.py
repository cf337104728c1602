"""Identities as people write them, and questions about rights that no command asks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploybot.access import PersonLocks, Who, identity_text, name_from, read_who
from deploybot.access.explanation import reasons_card
from deploybot.access.grants import Actor, Given, give
from deploybot.access.roster import roster_card
from deploybot.card import Card, Tone
from deploybot.command import Context
from deploybot.command_parameters import Follow
from deploybot.domain import Account, Action, Grant, Identity, Person, Role
from deploybot.errors import Denied, UserError
from deploybot.policy import PolicyQuestion
from deploybot.ports import Tables
from deploybot.testing import memory_store
from tests.kit.command_bot import STRANGER, open_command_bot

IDENTITIES = st.one_of(
    st.builds(
        Identity,
        st.sampled_from(["console", "telegram", "github", "gitlab"]),
        st.from_regex(r"[0-9]{1,20}", fullmatch=True),
    ),
    st.builds(Identity, st.just("console"), st.from_regex(r"[0-9]{1,20}/[a-z0-9][a-z0-9_-]{0,39}", fullmatch=True)),
    st.builds(
        Identity,
        st.just("slack"),
        st.from_regex(r"[A-Z0-9]{2,32}", fullmatch=True),
        st.from_regex(r"[A-Z0-9][A-Z0-9.-]{0,20}", fullmatch=True),
    ),
    st.builds(Identity, st.just("bitbucket"), st.uuids().map(lambda one: f"{{{one}}}")),
)


@given(IDENTITIES, st.text(max_size=50))
def test_what_is_shown_can_be_typed(identity: Identity, name: str) -> None:
    assert read_who(f"{identity_text(identity)}:{name_from(name)}") == Who(identity, name_from(name))
    assert read_who(identity_text(identity)) == Who(identity, "")


@given(st.text(max_size=60))
def test_anything_is_a_person_or_refused(text: str) -> None:
    try:
        who = read_who(text)
    except UserError as problem:
        assert problem.hint.endswith("as `whoami` shows it to them.")  # noqa: PT017 - it is the other outcome
    else:
        assert who.identity or who.name


@pytest.mark.parametrize(
    ("given_name", "name"),
    [("Ana", "ana"), ("Zoë O'Neil", "zo-o-neil"), ("-._", "somebody"), ("", "somebody"), ("x" * 90, "x" * 40)],
)
def test_names_from_platforms(given_name: str, name: str) -> None:
    assert name_from(given_name) == name


LONG = "x" * 60


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"{LONG}:1", f"Unknown platform `{LONG[:40]}`."),
        (f"slack:{LONG}", f"`{LONG[:40]}` is not a Slack id such as T012/U345. Names are not accepted."),
        (
            f"bitbucket:{LONG}",
            f"`{LONG[:40]}` is not a UUID. On bitbucket, people are identified by UUID, not by name.",
        ),
        (f"git:{LONG}", f"`{LONG[:40]}` is not a commit's email address such as ana@example.com."),
        (
            f"telegram:{LONG}",
            f"`{LONG[:40]}` is not a number. On telegram, people are identified by number, not by name.",
        ),
        (
            f"@{LONG}",
            (
                f"`{LONG[:40]}` is not a person's name: use up to 40 of a-z, 0-9, `.`, `_` and `-`, "
                "starting with a letter or digit."
            ),
        ),
    ],
)
def test_a_long_word_is_shown_by_its_beginning(text: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        read_who(text)
    assert caught.value.sentence == sentence
    assert caught.value.hint.endswith(
        "Write @NAME for a known person, or PLATFORM:ID:NAME for a new one, as `whoami` shows it to them."
    )


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("@Ana", Who(None, "ana")),
        ("Console:1000/ben:@Ben", Who(Identity("console", "1000/ben"), "ben")),
        ("telegram:5:a:b", None),
        ("telegram:5:", Who(Identity("telegram", "5"), "")),
        ("console:1000/Ben", None),
        ("telegram:1000/ben", None),
        ("gitlab:Git.Example.com/3:ben", Who(Identity("gitlab", "3", "git.example.com"), "ben")),
        ("gitlab:GitLab.com/3", Who(Identity("gitlab", "3"), "")),
        ("gitlab:/3", None),
        ("gitlab:-x/3", None),
        ("gitlab:git.example.com/ben", None),
        ("gitlab:git.example.com/acme/3", None),
        ("slack:t012/U345", None),
        ("GIT:Ana@Example.com", Who(Identity("git", "ana@example.com"), "")),
    ],
)
def test_what_is_read_as_a_person(text: str, who: Who | None) -> None:
    if who is None:
        with pytest.raises(UserError):
            read_who(text)
    else:
        assert read_who(text) == who


@pytest.mark.parametrize("name", ["-x-", "--x", "x..", "._x_."])
def test_a_name_from_a_platform_begins_and_ends_with_a_letter_or_digit(name: str) -> None:
    assert name_from(name) == "x"


PEOPLE = (Person(1, "zoe"), Person(2, "ana"), Person(3, "ben"))


def roster(*grants: Grant, app: str = "", accounts: tuple[Account, ...] = ()) -> Card:
    places = (("shop", "staging"), ("shop", "production"), ("blog", "live"))
    return roster_card(PEOPLE, grants, accounts, places, app=app, now=1000.0)


def test_the_roster_is_ordered_by_person_target_and_end() -> None:
    card = roster(
        Grant(1, Role.ADMIN),
        Grant(2, Role.VIEWER, "shop", "staging"),
        Grant(2, Role.ADMIN, "shop", "production", until=3000.0),
        Grant(2, Role.APPROVER, "shop", "production", until=2000.0),
        Grant(2, Role.DEPLOYER, "blog"),
        Grant(3, Role.VIEWER, "wiki"),
        Grant(3, Role.ADMIN, until=1000.0),
    )
    assert (card.title, card.private) == ("2 people have a role.", True)
    assert card.table
    assert [(row[0], row[1].split()[0], row[2]) for row in card.table.rows] == [
        ("ana", "deployer", "every environment of blog"),
        ("ana", "approver", "shop/production"),
        ("ana", "admin", "shop/production"),
        ("ana", "viewer", "shop/staging"),
        ("zoe", "admin", "every app"),
    ]


def test_the_roster_of_one_app_has_only_who_has_a_role_there() -> None:
    grants = Grant(1, Role.VIEWER, "blog"), Grant(2, Role.VIEWER, "shop")
    assert roster(*grants, app="shop").title == "1 person has a role on shop."
    assert roster(*grants, app="wiki").title == "0 people have a role on wiki."
    assert roster(*grants).title == "2 people have a role."


def test_the_roster_says_since_when_and_by_whom_as_far_as_it_is_known() -> None:
    at, text = 1_800_000_000.0, "2027-01-15 08:00 UTC"
    accounts = (
        Account(Identity("slack", "U1", "T1"), 1, since=at, by="ana"),
        Account(Identity("console", "7"), 1, since=at),
        Account(Identity("telegram", "5"), 1),
        Account(Identity("telegram", "6"), 2, since=at),
    )
    table = roster(Grant(1, Role.VIEWER, since=at, by="ben"), Grant(3, Role.VIEWER), accounts=accounts).table
    assert table
    assert table.columns == ("person", "role", "where", "since", "by", "accounts")
    assert table.rows == (
        ("ben", "viewer", "every app", "unknown", "unknown", "none"),
        (
            *("zoe", "viewer", "every app", text, "ben"),
            f"slack:T1/U1 (since {text} by ana), console:7 (since {text}), telegram:5",
        ),
    )


def test_why_shows_each_rule_in_its_colour() -> None:
    ana, ben = Person(1, "ana"), Person(2, "ben")
    question = PolicyQuestion(
        person=ana,
        action=Action.DEPLOY,
        command="deploy",
        app="shop",
        environment="production",
        grants=(Grant(1, Role.DEPLOYER), Grant(2, Role.ADMIN)),
        people=(ana, ben),
    )
    card = reasons_card(question)
    assert (card.title, card.tone, card.private) == (
        "Yes, you may use `deploy` on shop/production.",
        Tone.GOOD,
        True,
    )
    assert {(line.name, line.tone) for line in card.lines} == {
        ("allowlist", Tone.PLAIN),
        ("role", Tone.GOOD),
        ("lock", Tone.PLAIN),
        ("approvals", Tone.PLAIN),
        ("after", Tone.PLAIN),
    }
    no = reasons_card(replace(question, grants=()))
    assert (no.title, no.tone, no.hint) == (
        "No, you may not use `deploy` on shop/production.",
        Tone.WARN,
        "Allowed: no one on the allowlist.",
    )
    assert ("role", Tone.BAD) in {(line.name, line.tone) for line in no.lines}
    assert reasons_card(replace(question, app=None)).hint == "Allowed: ana, ben."


async def test_admins_learn_which_app_was_unlocked() -> None:
    async with open_command_bot() as bot:
        received: list[str] = []
        locks = PersonLocks(bot.services.settings, bot.store, bot.clock, bot.access.announcer, received.append)
        app = bot.services.settings.apps["shop"]
        ana = await bot.store.read(lambda tables: tables.people.named("ana"))
        context = Context(incoming=bot.incoming("x"), person=ana, services=bot.services, reply=bot.reply)
        held = await locks.take(context, app, app.environments["staging"], 60.0)
        assert received == []
        assert await locks.release(context, app, app.environments["staging"]) == held
        assert received == ["shop"]


async def test_who_follows_a_log_may_read_it_until_their_role_ends() -> None:
    async with open_command_bot() as bot:
        incoming, follow = bot.incoming("logs shop follow", "cem"), Follow("log-1", "shop", "staging")
        assert await bot.access.may_read(incoming, follow)
        await bot.say("deny @cem", "ana")
        assert not await bot.access.may_read(incoming, follow)
        (denied,) = [row for row in await bot.audit() if row.action == "denied"]
        assert (denied.subject, denied.detail) == (
            "shop/staging",
            "may no longer read the log that it follows as log-1",
        )


async def test_the_owner_of_the_bot_gives_accounts_without_being_a_person() -> None:
    async with memory_store() as store:

        def look(tables: Tables) -> None:
            ana = tables.people.add("ana", Identity("console", "1"))
            given = Given(who=read_who("telegram:5:ana"), role=Role.ADMIN)
            assert give(tables, given, Actor("root", None, 1.0)) == ana
            assert tables.people.of(Identity("telegram", "5")) == ana

        await store.write(look)


async def test_a_lock_is_known_while_it_lasts_and_only_where_it_is() -> None:
    async with open_command_bot() as bot:
        await bot.say("lock shop production for 1h because we measure", "ben")
        locks, app = bot.services.locks, bot.services.settings.apps["shop"]
        blog = bot.services.settings.apps["blog"]
        held = await locks.get(app, app.environments["production"])
        assert held
        assert (held.holder, held.reason) == ("ben", "we measure")
        assert await locks.get(app, app.environments["staging"]) is None
        assert await locks.get(blog, blog.environments["live"]) is None
        bot.clock.advance(3600.0)
        assert await locks.get(app, app.environments["production"]) is None


async def test_locks_need_a_person() -> None:
    async with open_command_bot() as bot:
        context = Context(incoming=bot.incoming("x", STRANGER), person=None, services=bot.services, reply=bot.reply)
        app = bot.services.settings.apps["shop"]
        for work in (
            bot.services.locks.take(context, app, app.environments["staging"], 0.0),
            bot.services.locks.release(context, app, app.environments["staging"]),
        ):
            with pytest.raises(Denied, match=r"^You are not on the allowlist\.$"):
                await work


async def test_a_command_of_ones_own_locks_and_unlocks_only_for_who_may() -> None:
    async with open_command_bot() as bot:
        app = bot.services.settings.apps["shop"]
        place = (app, app.environments["staging"])
        locks = bot.services.locks
        people = {one.name: one for one in await bot.store.read(lambda tables: tables.people.everybody())}

        def by(name: str) -> Context:
            return Context(
                incoming=bot.incoming("x", name),
                person=people[name],
                services=bot.services,
                reply=bot.reply,
                reason="we measure",
            )

        with pytest.raises(Denied, match="`lock` needs the role deployer on shop/staging; you are viewer there"):
            await locks.take(by("cem"), *place, 0.0)
        await locks.take(by("dia"), *place, 0.0)
        with pytest.raises(Denied, match="`unlock` needs the role deployer on shop/staging"):
            await locks.release(by("cem"), *place)
        with pytest.raises(Denied, match="Only dia, who holds the lock, or an admin can remove it") as caught:
            await locks.release(by("ben"), *place)
        assert caught.value.who_may == "ana, dia"
        held = await locks.get(*place)
        assert held
        assert held.holder == "dia"
        assert (await locks.release(by("ana"), *place)) == held
        assert await locks.get(*place) is None


async def test_a_lock_in_one_environment_holds_what_is_about_all() -> None:
    """A command about a whole app is stopped by another's lock on a part of it, by one's own it is not."""
    async with open_command_bot() as bot:
        await bot.say("lock shop production because x", "ben")
        await bot.say("lock shop staging because y", "dia")

        async def held(who: int, app: str, environment: str) -> bool:
            asked = await bot.access.ask(who, action=Action.DEPLOY, command="deploy", app=app, environment=environment)
            return asked.decision.held

        assert await held(2, "shop", "*")
        assert await held(4, "shop", "*")
        assert await held(1, "*", "*")
        assert not await held(2, "shop", "production")
        assert not await held(1, "blog", "*")


async def test_removed_and_unknown_people() -> None:
    async with open_command_bot() as bot:
        asked = await bot.access.ask(99, action=Action.VIEW, command="status", app="shop", environment="staging")
        decision = asked.decision
        assert (decision.allowed, decision.reasons) == (False, ("You are not on the allowlist.",))
        answer = await bot.access.ask(
            Identity("slack", "1000"), action=Action.VIEW, command="status", app=None, environment=None
        )
        assert answer.person is None
        assert not answer.decision.allowed


async def test_a_person_has_one_set_of_rights_on_every_platform() -> None:
    async with open_command_bot() as bot:
        await bot.say("allow telegram:5:ben viewer on blog")
        card = await bot.dispatcher.handle(
            replace(bot.incoming("/deploy shop", "5", platform="telegram"), name="Ben"), bot.reply
        )
        assert card
        assert card.ok
        assert bot.deployments.requests[0].by == "ben"
