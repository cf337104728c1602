"""Identities as people write them, and questions about rights that no command asks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploybot.access import Who, identity_text, name_from, read_who
from deploybot.command import Context
from deploybot.domain import Action, Identity
from deploybot.errors import Denied, UserError
from tests.world import STRANGER, make_world

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


async def test_locks_need_a_person() -> None:
    async with make_world() as world:
        context = Context(
            incoming=world.incoming("x", STRANGER), person=None, services=world.services, reply=world.reply
        )
        app = world.services.settings.apps["shop"]
        for work in (
            world.services.locks.take(context, app, app.environments["staging"], 0.0),
            world.services.locks.release(context, app, app.environments["staging"]),
        ):
            with pytest.raises(Denied, match=r"^You are not on the allowlist\.$"):
                await work


async def test_a_lock_in_one_environment_holds_what_is_about_all() -> None:
    """A command about a whole app is stopped by another's lock on a part of it, by one's own it is not."""
    async with make_world() as world:
        await world.say("lock shop production because x", "ben")
        await world.say("lock shop staging because y", "dia")

        async def held(who: int, app: str, environment: str) -> bool:
            return (await world.access.may(who, Action.DEPLOY, app, environment)).held

        assert await held(2, "shop", "*")
        assert await held(4, "shop", "*")
        assert await held(1, "*", "*")
        assert not await held(2, "shop", "production")
        assert not await held(1, "blog", "*")


async def test_removed_and_unknown_people() -> None:
    async with make_world() as world:
        decision = await world.access.may(99, Action.VIEW, "shop", "staging")
        assert (decision.allowed, decision.reasons) == (False, ("You are not on the allowlist.",))
        answer = await world.access.ask(
            Identity("slack", "1000"), action=Action.VIEW, command="status", app=None, environment=None
        )
        assert answer.person is None
        assert not answer.decision.allowed


async def test_a_person_has_one_set_of_rights_on_every_platform() -> None:
    async with make_world() as world:
        await world.say("allow telegram:5:ben viewer on blog")
        card = await world.dispatcher.handle(
            replace(world.incoming("/deploy shop", "5", platform="telegram"), name="Ben"), world.reply
        )
        assert card
        assert card.ok
        assert world.deployments.asked[0].by == "ben"
