"""The way in: who is answered, what is refused in which words, what is kept, and what never leaves."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from deploybot import App, Card, Context, Environment, Line, Release, Table, Tone
from deploybot.card import Button
from deploybot.command import Command, Follow, Handler, command
from deploybot.dispatch import error_card
from deploybot.dispatch.argument_lookup import Subject, arguments_of
from deploybot.domain import Action, AuditRow, Grant, Identity, Person, Role
from deploybot.errors import Denied, EngineError, Locked, StepFailed, StoreError, Unhealthy, Unreachable, UserError
from deploybot.masking import MASK, Redactor
from deploybot.parsing import Call, Ref
from deploybot.ports import Tables
from deploybot.testing import FakeReleases
from tests.kit.command_bot import NUMBERS, SETTINGS, STRANGER, TEAM, V1, V2, CommandBot, open_command_bot

SECRET = "correct-horse-battery"


@pytest.fixture
async def bot() -> AsyncIterator[CommandBot]:
    async with open_command_bot(secrets=(SECRET,)) as made:
        yield made


def made(usage: str, handler: Handler, *, needs: str = "view", within: float = 60.0) -> Command:
    command(usage, needs=needs, within=within)(handler)
    found = handler.__dict__["__command__"]
    assert isinstance(found, Command)
    return found


def rows(audit: list[AuditRow]) -> list[tuple[str, str, str, str]]:
    return [(row.actor, row.action, row.subject, row.detail) for row in audit]


# Who is answered


async def test_a_deployment_is_asked_for(bot: CommandBot) -> None:
    card = await bot.say("/deploy shop@v1.4 to production/web2 because the cart", "ben")
    (asked,) = bot.deployments.requests
    assert (asked.app, asked.environment, asked.release, asked.servers) == ("shop", "production", V2, ("web2",))
    assert (asked.by, asked.reason) == ("ben", "the cart")
    assert card.ok
    text = "deploy shop@v1.4 to production/web2 because the cart"
    assert rows(await bot.audit()) == [
        ("ben", "request", "shop/production", text),
        ("ben", "result", "shop/production", f"{text}: #1 deploy shop in production"),
    ]


async def test_looking_is_not_kept(bot: CommandBot) -> None:
    await bot.say("status")
    assert await bot.audit() == []


SORRY = "I do not know you yet: please ask an administrator to type `allow console:6666:6666 viewer`."


async def test_strangers_learn_how_to_be_let_in(bot: CommandBot) -> None:
    for text in ("deploy shop", "status", "hello", "allow console:6666:me admin", "\u202e", "x" * 9000):
        card = await bot.say(text, STRANGER)
        assert card.title == SORRY
        assert card.private
        assert not card.ok
    assert bot.deployments.requests == []
    audit = await bot.audit()
    assert {(row.actor, row.action) for row in audit} == {("console:6666", "denied")}


async def test_strangers_may_be_let_in_as_the_message_says(bot: CommandBot) -> None:
    card = await bot.say("status", STRANGER)
    wanted = re.search(r"`(.*)`", card.title)
    assert wanted
    await bot.say(wanted[1])
    assert (await bot.say("status", STRANGER)).title == "board"


async def test_strangers_may_ask_for_help_and_who_they_are(bot: CommandBot) -> None:
    assert (await bot.say("help", STRANGER)).title == "What I can do"
    assert (await bot.say("whoami", STRANGER)).title == SORRY


async def test_strangers_in_groups_wear_out_patience(bot: CommandBot) -> None:
    async def answers(count: int) -> list[bool]:
        return [await bot.maybe("/status", STRANGER, platform="telegram") is not None for _ in range(count)]

    assert await answers(5) == [True, True, True, False, False]
    assert await bot.maybe("/status", "7777", platform="telegram") is not None
    bot.clock.advance(61)
    assert await answers(2) == [True, True]
    assert len(await bot.audit()) == 6


async def test_many_strangers_together_wear_out_patience_too(bot: CommandBot) -> None:
    answers = [await bot.maybe("/status", str(user), platform="telegram") for user in range(9000, 9040)]
    assert [card is not None for card in answers] == [True] * 30 + [False] * 10
    assert (await bot.say("status", STRANGER)).title == SORRY
    assert (await bot.say("/status", "9999", platform="slack")).title.startswith("I do not know")


async def test_talk_in_groups_gets_nothing(bot: CommandBot) -> None:
    for who in (STRANGER, "ana"):
        assert await bot.maybe("hello everybody", who, platform="telegram") is None
        assert await bot.maybe("x" * 9000, who, platform="telegram") is None
        assert await bot.maybe("/status@otherbot", who, platform="telegram") is None
    assert await bot.audit() == []


async def test_whoever_is_spoken_to_answers(bot: CommandBot) -> None:
    assert (await bot.say("xyzzy")).title == "There is no command `xyzzy`."
    assert (await bot.say("hello", STRANGER, platform="telegram", private=True)).title.startswith("I do not know")
    assert (await bot.say("@deploybot hello", STRANGER, platform="telegram")).title.startswith("I do not know")
    for text in ("", "?", "/", "@deploybot"):
        assert (await bot.say(text)).title == "What I can do"


async def test_an_identity_is_of_one_platform(bot: CommandBot) -> None:
    number = NUMBERS["ana"]
    card = await bot.say("/status", number, platform="telegram")
    assert card.title == "I do not know you yet: please ask an administrator to type `allow telegram:1000:1000 viewer`."


async def test_what_is_not_understood_is_said_privately(bot: CommandBot) -> None:
    card = await bot.say("deploy shpo")
    assert card == Card(
        title="There is no app `shpo`, did you mean `shop`?",
        hint="Apps: shop, blog, wiki.",
        tone=Tone.WARN,
        buttons=(Button("deploy shop", "deploy shop"),),
        private=True,
        ok=False,
    )
    assert (await bot.say("deploy \u202eshop")).title.startswith("Your message has an invisible character")


async def test_suggestions_name_only_what_one_may_see(bot: CommandBot) -> None:
    assert (await bot.say("status wikki", "ben")).title == "There is no app `wikki`."
    assert (await bot.say("deploy wiki", "ben")).title == "There is no app `wiki`."
    assert (await bot.say("deploy wiki", "ben")).buttons == ()


async def test_completing(bot: CommandBot) -> None:
    ana, ben = (Identity("console", NUMBERS[who]) for who in ("ana", "ben"))
    assert await bot.dispatcher.complete(ana, "/deploy ") == (0, ("shop", "blog", "wiki"))
    assert await bot.dispatcher.complete(ben, "@deploybot deploy ") == (0, ("shop",))
    assert await bot.dispatcher.complete(Identity("console", STRANGER), "deploy ") == (0, ())
    assert await bot.dispatcher.complete(ana, "/deploy@other ") == (0, ())
    assert await bot.dispatcher.complete(ana, "deploy " + "x" * 5000) == (0, ())


# Who may


ALLOWED = {
    "apps": "ana ben cem dia",
    "servers": "ana ben cem dia",
    "status": "ana ben cem dia",
    "status shop staging": "ana ben cem dia",
    "status shop production": "ana ben dia",
    "status blog": "ana",
    "history shop": "ana ben cem dia",
    "history wiki live": "ana cem",
    "diff shop production": "ana ben dia",
    "logs shop": "ana ben cem dia",
    "logs blog": "ana",
    "deploy shop": "ana ben dia",
    "deploy shop to production": "ana ben dia",
    "deploy blog": "ana",
    "rollback shop to v1.3": "ana ben dia",
    "restart shop": "ana ben dia",
    "run shop migrate": "ana ben dia",
    "lock shop production because x": "ana ben dia",
    "unlock blog live": "ana",
    "cancel #7": "ana ben dia",
    "cancel #8": "ana",
    "cancel log-1": "ana ben cem dia",
    "cancel log-2": "ana",
    "allow @cem viewer": "ana",
    "allow @cem viewer on shop": "ana dia",
    "allow @cem viewer on shop/staging": "ana dia",
    "allow @cem viewer on blog": "ana",
    "deny @cem": "ana",
    "deny @cem on shop": "ana dia",
    "help": "ana ben cem dia eve 6666",
    "whoami": "ana ben cem dia eve 6666",
}


@pytest.mark.parametrize(("text", "allowed"), ALLOWED.items(), ids=[*ALLOWED])
async def test_who_may(text: str, allowed: str) -> None:
    for who in (*TEAM, STRANGER):
        async with open_command_bot() as bot:
            bot.deployments.put(7, "shop", "production", V1)
            bot.deployments.put(8, "blog", "live", V1)
            bot.logs.open["log-1"] = Follow("log-1", "shop", "staging")
            bot.logs.open["log-2"] = Follow("log-2", "blog", "live")
            card = await bot.say(text, who)
            refused = {row.action for row in await bot.audit()} & {"denied"} != set()
            assert refused is (who not in allowed.split()), (who, card.title)
            assert "broke" not in card.title


async def test_denied_says_which_rule_and_who_may(bot: CommandBot) -> None:
    card = await bot.say("deploy shop", "cem")
    assert card.title == "`deploy` needs the role deployer on shop/staging; you are viewer there."
    assert card.hint == "Who may: ana, ben, dia."
    assert card.tone is Tone.BAD
    assert not card.ok
    assert rows(await bot.audit()) == [("cem", "denied", "shop/staging", "deploy shop")]


async def test_nobody_may(bot: CommandBot) -> None:
    await bot.store.write(lambda tables: tables.people.grant(1, Role.ADMIN, "shop"))
    async with open_command_bot(made("party", _party, needs="anyone")) as other:
        card = await other.say("party")
    assert card.title == "Only claim, help, link, whoami are for everyone."
    assert card.hint == "Who may: no one on the allowlist."


async def _party(ctx: Context) -> Card | None: ...


async def test_locked_says_who_and_how_to_release(bot: CommandBot) -> None:
    await bot.say("lock shop production because we measure", "ana")
    bot.clock.advance(720)
    card = await bot.say("deploy shop to production", "ben")
    assert card.title == (
        "shop/production is locked by ana since 2027-01-15 08:00 UTC (12 min): “we measure”. "
        "ana or an admin can release it: `unlock shop production`."
    )
    assert (card.tone, card.ok) == (Tone.WARN, False)
    assert bot.deployments.requests == []
    await bot.say("deploy shop to production", "ana")
    await bot.say("deploy shop", "ben")
    assert [asked.by for asked in bot.deployments.requests] == ["ana", "ben"]


class Interrupted(FakeReleases):
    """While a ref is looked up, something else happens."""

    async def resolve(self, app: App, environment: Environment | None, ref: str, *, back: bool = False) -> Release:
        await self.meanwhile()
        return await super().resolve(app, environment, ref, back=back)

    async def meanwhile(self) -> None:
        await self.bot.store.write(lambda tables: tables.people.revoke(2))

    bot: CommandBot


async def test_rights_are_read_again_after_the_ref_was_looked_up() -> None:
    releases = Interrupted()
    async with open_command_bot(releases=releases) as bot:
        releases.bot = bot
        card = await bot.say("deploy shop", "ben")
    assert card.title == "`deploy` needs the role deployer on shop/staging; you have no role there."
    assert bot.deployments.requests == []


async def test_refs_are_looked_up_only_for_whoever_may(bot: CommandBot) -> None:
    await bot.say("deploy shop@v1.4", "cem")
    assert bot.releases.asked == []


async def test_rights_are_read_anew_each_time(bot: CommandBot) -> None:
    async def may(person: int) -> tuple[str, ...]:
        asked = await bot.access.ask(
            person, action=Action.DEPLOY, command="deploy", app="shop", environment="production"
        )
        decision = asked.decision
        return () if decision.allowed else decision.reasons

    assert await may(2) == ()
    await bot.say("lock shop production because x")
    assert await may(2) == ("shop/production is locked by ana.",)
    await bot.say("unlock shop production")
    await bot.say("deny @ben")
    assert await may(2) == ("`deploy` needs the role deployer on shop/production; you have no role there.",)
    assert await may(99) == ("You are not on the allowlist.",)


# Arguments that have to be looked up


async def test_deployment_numbers_as_releases(bot: CommandBot) -> None:
    bot.deployments.put(41, "shop", "production", V1)
    await bot.say("rollback shop from production to #41")
    assert bot.deployments.requests[0].release == V1
    assert (await bot.say("rollback blog to #41")).title == "#41 is a deployment of shop, not of blog."
    assert (await bot.say("rollback shop to #42")).title == "There is no deployment #42."
    assert bot.releases.asked == []


async def test_what_is_cancelled_has_to_exist(bot: CommandBot) -> None:
    card = await bot.say("cancel #4")
    assert (card.title, card.hint) == ("There is no deployment #4.", "`history APP` lists them.")
    card = await bot.say("cancel log-4")
    assert (card.title, card.hint) == (
        "No followed log log-4 is running.",
        "It was stopped, or ended after an hour.",
    )


async def test_a_ref_without_an_app(bot: CommandBot) -> None:
    call = Call(command=bot.services.commands["diff"], text="", arguments={}, app=None, environment=None)
    subject = Subject(Action.VIEW, None, None, {})
    with pytest.raises(UserError, match=r"^Name the app that `v1` belongs to\.$"):
        await arguments_of(replace(call, arguments={"ref": Ref("v1")}), subject, bot.services, lambda _, __: True)


# Once


async def test_a_repeated_message_runs_once(bot: CommandBot) -> None:
    cards = await asyncio.gather(*(bot.maybe("deploy shop", ident="one") for _ in range(50)))
    assert [card is not None for card in cards].count(True) == 1
    assert len(bot.deployments.requests) == 1


async def test_a_repeated_message_runs_once_across_a_restart(bot: CommandBot) -> None:
    await bot.say("deploy shop", ident="one")
    bot.restart()
    assert await bot.maybe("deploy shop", ident="one") is None
    assert len(bot.deployments.requests) == 1
    assert await bot.maybe("deploy shop", ident="two") is not None


async def test_messages_without_an_id_are_all_taken(bot: CommandBot) -> None:
    incoming = bot.incoming("deploy shop")
    for _ in range(2):
        again = type(incoming)(
            identity=incoming.identity, place=incoming.place, text=incoming.text, id="", at=incoming.at
        )
        assert await bot.dispatcher.handle(again, bot.reply) is not None
    assert len(bot.deployments.requests) == 2


async def test_what_waited_too_long_is_not_run(bot: CommandBot) -> None:
    card = await bot.say("deploy shop", age=7200)
    assert card.title == "This `deploy` reached me 2 h after it was sent, so I did not run it."
    assert card.hint == "Send it again if you still want it."
    assert bot.deployments.requests == []
    assert (await bot.say("status", age=7200)).ok


# What goes wrong


BROKEN = [
    (
        Unreachable("web1", "no route", hint="Is it up?"),
        "web1 cannot be reached: no route.",
        "Is it up?",
        (),
    ),
    (
        StepFailed("web1", "switch", 3, ("last", "lines")),
        "Step `switch` failed on web1: lines (exit code 3).",
        "",
        ("last", "lines"),
    ),
    (Unhealthy("web1", "HTTP 500", ("tail",)), "Not healthy on web1: HTTP 500.", "", ("tail",)),
    (EngineError("the Engine on web1 said no"), "The Engine on web1 said no.", "", ()),
]


@pytest.mark.parametrize(("error", "title", "hint", "code"), BROKEN, ids=[type(row[0]).__name__ for row in BROKEN])
async def test_failures_say_what_runs_now(
    bot: CommandBot, error: Exception, title: str, hint: str, code: tuple[str, ...]
) -> None:
    bot.deployments.fails = error
    bot.releases.runs["shop", "staging"] = V1
    card = await bot.say("deploy shop")
    assert (card.title, card.hint, card.code) == (title, hint, code)
    assert card.lines == (Line("runs there now", "v1.3 (1111111111), as far as I know"),)
    assert (card.tone, card.ok) == (Tone.BAD, False)
    assert rows(await bot.audit())[-1][3] == f"deploy shop: {title}"


async def test_what_runs_now_may_be_unknown(bot: CommandBot) -> None:
    bot.deployments.fails = Unreachable("web1", "no route")
    assert (await bot.say("restart shop")).lines == (Line("runs there now", "unknown"),)
    bot.releases.fails = StoreError("the database is gone")
    card = await bot.say("diff shop@v1.4")
    assert card.title == "The database is gone."
    assert card.lines == (Line("runs there now", "unknown"),)


async def test_unexpected_errors_are_not_shown(bot: CommandBot, caplog: pytest.LogCaptureFixture) -> None:
    bot.deployments.fails = RuntimeError(f"boom with {SECRET}")
    with caplog.at_level(logging.DEBUG):
        card = await bot.say("deploy shop")
    match = re.fullmatch(r"Something broke on my side, id ([0-9a-f]{4})\.", card.title)
    assert match
    assert card.hint == "Search the bot's log for this id."
    assert f"id {match[1]}" in caplog.text
    assert "RuntimeError: boom with" in caplog.text
    assert SECRET not in caplog.text
    assert "boom" not in str(card)


async def test_a_command_has_a_deadline() -> None:
    async def wait(_: Context) -> Card | None:
        await asyncio.Event().wait()
        return None

    async def time_out(_: Context) -> Card | None:
        raise TimeoutError

    commands = made("wait", wait, within=0.01), made("change", _copy(wait), needs="admin", within=0.01)
    async with open_command_bot(*commands, made("clock", time_out)) as other:
        card = await other.say("wait")
        assert (card.title, card.hint) == ("`wait` did not finish within 0.0 s.", "Try again in a while.")
        card = await other.say("change")
        assert card.hint == "Check `status` before you try again."
        assert (await other.say("clock")).title.startswith("Something broke on my side")


def _copy(handler: Handler) -> Handler:
    async def copy(ctx: Context) -> Card | None:
        return await handler(ctx)

    return copy


async def test_slow_work_keeps_nobody_waiting() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: Context) -> Card | None:
        begun.set()
        await go_on.wait()
        return Card(title="done")

    async with open_command_bot(made("slow", slow)) as other:
        waiting = asyncio.create_task(other.say("slow"))
        await begun.wait()
        assert (await other.say("status")).title == "board"
        go_on.set()
        assert (await waiting).title == "done"


async def test_cancelling_goes_through() -> None:
    begun = asyncio.Event()

    async def forever(_: Context) -> Card | None:
        begun.set()
        await asyncio.Event().wait()
        return None

    async with open_command_bot(made("forever", forever)) as other:
        task = asyncio.create_task(other.say("forever"))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


FULL = "the disk of the bot is full: make room"


async def test_nothing_is_begun_while_the_database_cannot_be_written(bot: CommandBot) -> None:
    bot.store.problem = FULL
    card = await bot.say("deploy shop")
    assert card.title == "The disk of the bot is full: make room."
    assert bot.deployments.requests == []
    assert (await bot.say("status")).ok


async def test_people_who_cannot_be_distinguished_do_not_learn_why(
    bot: CommandBot, caplog: pytest.LogCaptureFixture
) -> None:
    bot.store.gone = "the database at /var/lib/deploybot is damaged"
    card = await bot.say("deploy shop")
    assert card.title == "I cannot identify you: my database does not answer."
    assert card.hint == "See the bot's log."
    assert "the sender of a message cannot be identified: the database at /var/lib/deploybot is damaged" in caplog.text


async def test_denials_are_shown_when_the_audit_cannot_be_written(bot: CommandBot) -> None:
    bot.store.full = FULL
    assert (await bot.say("status", STRANGER)).title == SORRY
    assert (await bot.say("deploy shop", "cem")).title.startswith("`deploy` needs")


async def test_nothing_is_run_that_was_not_kept_first(bot: CommandBot) -> None:
    bot.store.full = FULL
    assert (await bot.say("deploy shop")).title == "The disk of the bot is full: make room."
    assert bot.deployments.requests == []


async def test_a_result_that_cannot_be_kept_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    opened: list[CommandBot] = []

    async def fill(_: Context) -> Card | None:
        opened[0].store.full = FULL
        return Card(title="filled")

    async with open_command_bot(made("fill", fill, needs="admin")) as bot:
        opened.append(bot)
        assert (await bot.say("fill")).title == "filled"
    assert f"not recorded in the audit: result of ana on */*: {FULL}" in caplog.text


def test_the_table_of_errors(caplog: pytest.LogCaptureFixture) -> None:
    redactor = Redactor()
    with caplog.at_level(logging.DEBUG):
        cards = [
            error_card(error, redactor)
            for error in (
                UserError("that is wrong", hint="do this"),
                Denied(("no", "never."), who_may="ana"),
                Denied(("no",)),
                Locked("shop/production is locked"),
            )
        ]
    assert [(card.title, card.hint, card.private) for card in cards] == [
        ("That is wrong.", "do this", True),
        ("No. never.", "Who may: ana.", True),
        ("No.", "", True),
        ("shop/production is locked.", "", True),
    ]
    assert [record.levelname for record in caplog.records] == ["DEBUG", "INFO", "INFO", "INFO"]


# What never leaves


async def test_secrets_never_leave() -> None:
    async def leak(ctx: Context) -> Card | None:
        await ctx.reply(Card(title=f"on the way {SECRET}"))
        return everywhere()

    async def fail(_: Context, word: str) -> Card | None:
        raise UserError(f"{word} is {SECRET}", hint=SECRET)

    commands = made("leak", leak), made("fail <word>", fail, needs="admin")
    async with open_command_bot(*commands, secrets=(SECRET,)) as other:
        card = await other.say("leak")
        failed = await other.say(f"fail {SECRET}")
        unknown = await other.say(SECRET)
        texts = [*map(str, (card, failed, unknown, *other.replies)), *map(str, await other.audit())]
    assert [text for text in texts if SECRET in text] == []
    assert card == Redactor((SECRET,)).card(everywhere())
    assert card.files == everywhere().files
    assert failed.title == f"{MASK} is {MASK}."


def everywhere() -> Card:
    return Card(
        title=SECRET,
        key="deployment:1",
        text=SECRET,
        lines=(Line(SECRET, SECRET, Tone.GOOD),),
        table=Table((SECRET,), ((SECRET,),), (Tone.BAD,)),
        code=("a", SECRET),
        buttons=(Button(SECRET, "status"),),
        footer=SECRET,
        hint=SECRET,
    )


# The matrix, through the front door


SINGLE = [
    Grant(0, role, app, environment)
    for role, app, environment in itertools.product(Role, ("*", "shop", "blog"), ("*", "staging", "production"))
]
GRANTS = [(), *((grant,) for grant in SINGLE), *zip(SINGLE[:27], SINGLE[9:], strict=False)]
PROBES = {
    Action.VIEW: "look {app} {environment}",
    Action.DEPLOY: "put {app} {environment}",
    Action.APPROVE: "bless {app} {environment}",
    Action.ADMIN: "rule {app} {environment}",
}


async def test_matrix_through_the_front_door(figure: Callable[[str], None]) -> None:
    """Every role, app, environment and action, typed, mentioned and pressed, in a channel and in private."""
    ran: list[str] = []

    async def probe(_: Context, app: App, env: Environment) -> Card | None:
        ran.append(f"{app.name}/{env.name}")
        return Card(title="ran")

    commands = [
        made(usage.format(app="<app>", environment="<env>"), _probe(probe), needs=action)
        for action, usage in PROBES.items()
    ]
    cells = wrong = 0
    async with open_command_bot(*commands) as bot:
        bot.answer_at_once()
        people = [await _hire(bot, f"p{number}", grants) for number, grants in enumerate(GRANTS)]
        ways = [*itertools.product(("{}", "/{}", "!{}", "@deploybot {}"), (True, False))]
        places = [("shop", "staging"), ("shop", "production"), ("blog", "live"), ("wiki", "test"), ("wiki", "live")]
        for (who, grants), (app, environment), (action, usage), (way, private) in itertools.product(
            [*people, (STRANGER, ())], places, PROBES.items(), ways
        ):
            ran.clear()
            text = way.format(usage.format(app=app, environment=environment))
            card = await bot.maybe(text, who, private=private)
            assert card is not None
            assert "broke" not in card.title
            cells += 1
            wrong += (ran == [f"{app}/{environment}"]) is not _expected(grants, action, app, environment)
    figure(f"{wrong} of {cells} cells wrong")
    assert cells == 65 * 5 * 4 * 8
    assert wrong == 0


def _probe(handler: Handler) -> Handler:
    async def probe(ctx: Context, app: App, env: Environment) -> Card | None:
        return await handler(ctx, app, env)

    return probe


def _expected(grants: tuple[Grant, ...], action: Action, app: str, environment: str) -> bool:
    least = {"view": "viewer deployer approver admin", "deploy": "deployer approver admin"}
    roles = least.get(action, "approver admin" if action == "approve" else "admin").split()
    return any(
        grant.role in roles and grant.app in {"*", app} and grant.environment in {"*", environment} for grant in grants
    )


async def _hire(bot: CommandBot, name: str, grants: tuple[Grant, ...]) -> tuple[str, tuple[Grant, ...]]:
    def hire(tables: Tables) -> Person:
        person = tables.people.add(name, Identity("console", f"5{name[1:]}"))
        for grant in grants:
            tables.people.grant(person.id, grant.role, grant.app, grant.environment)
        return person

    await bot.store.write(hire)
    return f"5{name[1:]}", grants


def test_the_world_is_as_the_tests_think() -> None:
    assert [*SETTINGS.apps] == ["shop", "blog", "wiki"]
