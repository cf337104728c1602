"""Handle every message: address it, identify the sender, parse, authorise, run, answer.

Commands, buttons and the console all go through `Dispatcher.handle`; nothing else runs a command.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from deploybot.access import Access, Known, stranger_card
from deploybot.bounded_memory import SeenKeys
from deploybot.card import Card, Line
from deploybot.command import Context, Incoming, Services
from deploybot.command_parameters import Code
from deploybot.dispatch.argument_lookup import Sees, Subject, Unseen, arguments_of, nameable, subject_of
from deploybot.dispatch.error_replies import error_card
from deploybot.dispatch.missing_parts import number_question, reason_question, release_question
from deploybot.dispatch.request_audit import RequestAudit
from deploybot.domain import Action, Deployment, Identity, Person, Release
from deploybot.errors import Denied, DeploybotError, Locked, StoreError, TargetFrozen, UserError
from deploybot.parsing import (
    LONGEST,
    Addressed,
    Call,
    Form,
    clean,
    complete,
    find,
    find_mention,
    parse,
    read_command,
    strip_mention,
)
from deploybot.policy import OPEN_COMMANDS, lock_text
from deploybot.ports import Clock, Store, TextRedactor
from deploybot.token_bucket import Allowances
from deploybot.units import show_duration

log = logging.getLogger(__name__)

Reply = Callable[[Card], Awaitable[None]]

_CHANGES_NOTHING = frozenset({Action.ANYONE, Action.VIEW})
_TAKES_CODES = frozenset({"claim", "link"})
_GREETINGS = frozenset({"", "?"})
_ASK_AGAIN = frozenset({"deploy", "rollback", "run", "promote"})
"""Commands whose requests ask about a freeze themselves: a dry run, or a start after the freeze, is not refused."""
_CONSOLE = "console"
_SEE_LOG = "See the bot's log."
_LOOK_SECONDS = 5.0
_REMEMBERED = 10_000
ALIKE_AFTER = 0.05
"""Minimum seconds until a sender learns that something does not exist. The wait hides the audit row
that the bot writes if it exists but the sender may not see it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReceivedCall:
    """A call that a person made, and its subject."""

    call: Call
    subject: Subject
    incoming: Incoming
    reply: Reply
    sees: Sees

    @property
    def code(self) -> str:
        """Return the one-time code that was typed; empty if none."""
        return next((value for value in self.call.arguments.values() if isinstance(value, Code)), "")

    @property
    def changes(self) -> bool:
        """Return whether it does more than read. A question for a missing part only reads."""
        return self.subject.action not in _CHANGES_NOTHING and not self.call.asks


class Dispatcher:
    """The one entry point for messages. It turns each into an answer.

    Chats call `handle` once for each message or pressed button, each in a separate task, so slow work blocks no one.
    In a channel, text is ignored unless it begins with `/`, `!`, the bot's name or a command.
    """

    def __init__(
        self,
        *,
        services: Services,
        access: Access,
        store: Store,
        clock: Clock,
        redactor: TextRedactor,
        names: Collection[str] = ("deploybot",),
        stale_after: float = 300.0,
        alike_after: float = ALIKE_AFTER,
    ) -> None:
        """Take the services for commands, and the ports.

        `names` are the bot's names in lower case. A changing command older than `stale_after` seconds is refused.
        Raises ValueError if a command's usage and signature do not match.
        """
        self._services = services
        self._access = access
        self._store = store
        self._clock = clock
        self._redactor = redactor
        self._audit = RequestAudit(store, clock, redactor)
        self._names = names
        self._stale_after = stale_after
        self._alike_after = alike_after
        self._forms: Mapping[str, Form] = {name: read_command(made) for name, made in services.commands.items()}
        apps = services.settings.apps.values()
        self._everything = frozenset((app.name, name) for app in apps for name in app.environments)
        self._taken = SeenKeys(_REMEMBERED)
        self._allowance = Allowances(3, 60.0)
        self._allowance_of_all = Allowances(30, 60.0)

    async def handle(self, incoming: Incoming, reply: Reply) -> Card | None:
        """Answer one message; None if there is nothing to answer. Only cancellation raises.

        The returned card goes to the channel of the message. `reply` sends further cards along the way.
        """
        key = (incoming.identity.platform, incoming.channel.id, incoming.id)
        if incoming.id and not self._taken.first_time(key):
            return None
        try:
            card = await self._answer(incoming, reply)
        except Exception as error:  # noqa: BLE001 - the one place where exceptions become answers
            card = error_card(error, self._redactor)
        return self._redactor.card(card) if card is not None else None

    async def complete(self, identity: Identity, line: str) -> tuple[int, tuple[str, ...]]:
        """Return completions for a line being typed: how many characters to replace, and with which words."""
        addressed = strip_mention(line, self._names)
        if addressed is None or len(line) > LONGEST:
            return 0, ()
        typed = addressed.text + line[len(line.rstrip()) :]
        visible = self._visible(await self._access.known(identity))
        named = {pair for pair in visible if pair[0] in typed.lower()}
        deployments = await self._store.read(lambda tables: nameable(tables, named))
        return complete(self._forms, typed, self._services.settings, visible, deployments)

    async def _answer(self, incoming: Incoming, reply: Reply) -> Card | None:
        addressed = strip_mention(incoming.text, self._names)
        if addressed is None:
            return None
        inside = find_mention(incoming.text, self._names) if not addressed.addressed else None
        if inside is not None and find(self._forms, inside.text) is not None:
            addressed = inside
        text = "help" if addressed.text in _GREETINGS and _expects_answer(incoming, addressed) else addressed.text
        form = find(self._forms, text)
        if (form is None or addressed.cited) and not _expects_answer(incoming, addressed):
            return None
        known = await self._known(incoming)
        if known.person is None:
            types_code = form is not None and form.command.name in _TAKES_CODES
            if not self._has_allowance(incoming, alone=types_code):
                return None
            if form is None or form.command.name not in OPEN_COMMANDS:
                return await self._turn_away(incoming)
        visible, began = self._visible(known), asyncio.get_running_loop().time()
        try:
            call = parse(self._forms, clean(text), self._services.settings, visible, can_pick=incoming.can_pick)
            return await self._obey(call, incoming, reply, known.sees)
        except UserError as problem:
            if isinstance(problem, Unseen) or self._is_hidden(text, visible):
                await self._audit.denied(incoming, known.person, "", text)
            if visible != self._everything:
                await asyncio.sleep(began + self._alike_after - asyncio.get_running_loop().time())
            raise

    async def _known(self, incoming: Incoming) -> Known:
        """Return the sender. If the database fails, answer without the cause: the sender may be a stranger."""
        try:
            return await self._access.known(incoming.identity)
        except StoreError as problem:
            log.error("the sender of a message cannot be identified: %s", problem)  # noqa: TRY400 - the message is enough
            raise UserError("I cannot identify you: my database does not answer.", hint=_SEE_LOG) from None

    def _has_allowance(self, incoming: Incoming, *, alone: bool) -> bool:
        """Return whether a stranger gets one more answer. There is a limit per stranger and one for all of a platform.

        Senders of codes count `alone`: other strangers can't keep the right code from being read.
        """
        identity, now = incoming.identity, self._clock.now()
        if identity.platform == _CONSOLE:
            return True
        return self._allowance.takes(identity, now) and (alone or self._allowance_of_all.takes(identity.platform, now))

    async def _turn_away(self, incoming: Incoming) -> Card:
        """Show a stranger how to get access."""
        await self._audit.denied(incoming, None, "", incoming.text)
        return stranger_card(incoming.identity, incoming.name)

    def _is_hidden(self, text: str, visible: frozenset[tuple[str, str]]) -> bool:
        """Return whether parsing fails because the message names something hidden from the sender; this is audited."""
        with contextlib.suppress(UserError):
            parse(self._forms, clean(text), self._services.settings, visible)
            return False
        with contextlib.suppress(UserError):
            parse(self._forms, clean(text), self._services.settings, self._everything)
            return True
        return False

    def _visible(self, known: Known) -> frozenset[tuple[str, str]]:
        return frozenset((app.name, environment.name) for app, environment in self._access.seen_by(known))

    async def _obey(self, call: Call, incoming: Incoming, reply: Reply, sees: Sees) -> Card | None:
        """Authorise and run a call. A changing call runs only once, and its request and result are audited."""
        subject = await subject_of(call, self._services, sees)
        request = _ReceivedCall(call=call, subject=subject, incoming=incoming, reply=reply, sees=sees)
        person = await self._authorised(request)
        if not request.changes:
            return await self._outcome(request)
        self._refuse_stale(request)
        if self._store.problem:
            raise StoreError(self._store.problem)
        if not await self._audit.first(incoming, person, subject.target, call.kept):
            return None
        card = await self._outcome(request)
        outcome = card.title if card else "no answer"
        await self._audit.result(incoming, person, subject.target, f"{call.kept}: {outcome}")
        return card

    async def _authorised(self, request: _ReceivedCall, release: Release | None = None) -> Person | None:
        """Ask the policy with current grants and locks. Raise Denied or Locked, and audit it.

        A freeze alone is left to what the command requests: only that knows when it would start.
        """
        call, subject = request.call, request.subject
        answer = await self._access.ask(
            request.incoming.identity,
            action=subject.action,
            command=call.command.name,
            app=subject.app,
            environment=subject.environment,
            release=release,
            number=subject.number,
            glass=call.arguments.get("break_glass") is True,
        )
        if answer.decision.allowed or (answer.decision.frozen and call.command.name in _ASK_AGAIN):
            return answer.person
        await self._audit.denied(request.incoming, answer.person, subject.target, call.kept)
        if answer.decision.frozen and answer.frozen is not None:
            raise TargetFrozen(answer.frozen.sentence(subject.target), answer.frozen.until)
        if answer.decision.held and answer.lock is not None:
            raise Locked(lock_text(answer.lock, self._clock.now()))
        raise Denied(answer.decision.reasons, who_may=", ".join(answer.decision.who_may) or "no one on the allowlist")

    def _refuse_stale(self, request: _ReceivedCall) -> None:
        """Raise UserError for a message that is too old, for example sent while the bot was down."""
        age = self._clock.now() - request.incoming.at
        if age > self._stale_after:
            late = f"This `{request.call.command.name}` reached me {show_duration(age)} after it was sent"
            raise UserError(f"{late}, so I did not run it.", hint="Send it again if you still want it.")

    async def _outcome(self, request: _ReceivedCall) -> Card | None:
        """Run a call within its command's deadline and return the answer."""
        command, subject = request.call.command, request.subject
        deadline = asyncio.timeout(command.within)
        try:
            async with deadline:
                return await self._execute(request)
        except Exception as error:  # noqa: BLE001 - becomes the answer, and the result in the audit
            if isinstance(error, TimeoutError) and deadline.expired():
                error = UserError(
                    f"`{command.name}` did not finish within {show_duration(command.within)}.",
                    hint="Check `status` before you try again." if request.changes else "Try again in a while.",
                )
            return error_card(error, self._redactor, now_runs=await self._now_runs(error, subject))

    async def _execute(self, request: _ReceivedCall) -> Card | None:
        """Look up the remaining arguments, ask the policy again, and run the command.

        Raises PickError or AskError if something is missing.
        """
        if request.call.asks:
            raise await self._question(request)
        arguments = await arguments_of(request.call, request.subject, self._services, request.sees)
        release = next((one for one in arguments.values() if isinstance(one, Release)), None)
        person = await self._authorised(request, release)
        if request.subject.action is Action.ADMIN:
            await self._access.insist_on_code(person, request.code)

        async def reply(card: Card) -> None:
            await request.reply(self._redactor.card(card))

        context = Context(
            incoming=request.incoming,
            person=person,
            services=self._services,
            reply=reply,
            # It is stored with deployments and locks, and the database holds no secret.
            reason=self._redactor.text(request.call.reason),
        )
        return await request.call.command.run(context, **arguments)

    async def _question(self, request: _ReceivedCall) -> UserError:
        """Return the question for the first part that is missing."""
        call, form = request.call, self._forms[request.call.command.name]
        if call.asks_number:
            return number_question(call, form, await self._offered(request))
        if call.asks_release:
            return await release_question(call, form, self._services, self._redactor.text)
        return reason_question(call)

    async def _offered(self, request: _ReceivedCall) -> list[Deployment]:
        """Return the unfinished deployments on which the sender may use the command.

        For approvers these are the requests that wait for them.
        """
        decides = request.subject.action is Action.APPROVE
        unfinished = await self._store.read(lambda tables: tables.deployments.open())
        found = []
        for one in unfinished:
            fits = not one.cancel_by and (one.awaits_approval or not decides)
            if fits and request.sees(one.plan.app, one.plan.environment) and await self._may(request, one):
                found.append(one)
        return found

    async def _may(self, request: _ReceivedCall, deployment: Deployment) -> bool:
        """Return whether the sender may use the command on a deployment."""
        answer = await self._access.ask(
            request.incoming.identity,
            action=request.subject.action,
            command=request.call.command.name,
            app=deployment.plan.app,
            environment=deployment.plan.environment,
            number=deployment.number,
        )
        return answer.decision.allowed

    async def _now_runs(self, error: Exception, subject: Subject) -> tuple[Line, ...]:
        """Return what runs where a command failed, `unknown` if it can't be determined."""
        app = self._services.settings.apps.get(subject.app or "")
        environment = app.environments.get(subject.environment or "") if app else None
        if app is None or environment is None or isinstance(error, (UserError, Denied, Locked, TargetFrozen)):
            return ()
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                release = await self._services.releases.current(app, environment)
        except (DeploybotError, TimeoutError):
            return (Line("runs there now", "unknown"),)
        return (Line("runs there now", f"{release}, as far as I know" if release else "unknown"),)


def _expects_answer(incoming: Incoming, addressed: Addressed) -> bool:
    """Return whether a message is clearly meant for the bot."""
    return addressed.addressed or incoming.channel.private or incoming.identity.platform == _CONSOLE
