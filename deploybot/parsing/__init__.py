"""Parse text into typed arguments by a command's grammar, or explain what does not fit. Pure functions.

addressed = strip_mention(clean(text), names)  is the message for the bot?
form      = read_command(command)             once at start-up: check usage against signature
call      = parse(forms, addressed.text, …)   arguments, app, environment, reason
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploybot.command import Command
from deploybot.command_parameters import Code
from deploybot.errors import UsageError, UserError
from deploybot.parsing.command_form import Form, read_command
from deploybot.parsing.completion import complete
from deploybot.parsing.message_reader import FilledIn, Missing, Reader
from deploybot.parsing.message_text import LONGEST, Addressed, clean, find_mention, split, strip_mention
from deploybot.parsing.parameter_types import (
    ChangeNumber,
    FollowName,
    NoSuch,
    Number,
    Ref,
    Scope,
    Unfit,
    default_environment,
    nearest,
    shown,
)
from deploybot.parsing.pickers import MARK, MOST_PICKS, lacks_reason, picking_of, with_number, with_release
from deploybot.parsing.suggestions import Better, corrected, leftover
from deploybot.settings import App, Environment, Settings

__all__ = [
    "LONGEST",
    "MARK",
    "MOST_PICKS",
    "Addressed",
    "Call",
    "ChangeNumber",
    "FollowName",
    "Form",
    "Number",
    "Ref",
    "clean",
    "complete",
    "default_environment",
    "find",
    "find_mention",
    "nearest",
    "parse",
    "read_command",
    "split",
    "strip_mention",
    "with_number",
    "with_release",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A command with its arguments, ready to be authorised. `text` is the message as typed.

    `lacks_reason` is whether the command needs a reason that was not typed: its sender is asked for it.
    Arguments of type `Ref`, `Number`, `FollowName` and `ChangeNumber` are looked up later.
    """

    command: Command
    text: str
    arguments: Mapping[str, object]
    app: App | None
    environment: Environment | None
    reason: str = ""
    lacks_reason: bool = False

    @property
    def asks(self) -> bool:
        """Return whether the sender must add something before it can run."""
        return self.lacks_reason or self.asks_number or self.asks_release

    @property
    def asks_release(self) -> bool:
        """Return whether the sender must pick a release."""
        return any(isinstance(value, Ref) and value.asks for value in self.arguments.values())

    @property
    def asks_number(self) -> bool:
        """Return whether the sender has to pick a deployment."""
        return any(isinstance(value, Number) and value.asks for value in self.arguments.values())

    @property
    def kept(self) -> str:
        """Return the message as typed, without one-time codes, for the audit."""
        text = self.text
        for value in self.arguments.values():
            if isinstance(value, Code) and value:
                text = text.replace(value, "…")
        return text


def find(forms: Mapping[str, Form], text: str) -> Form | None:
    """Return the form of the command that the text begins with; None if it begins with none."""
    first = text.split(maxsplit=1)
    return forms.get(first[0].lower()) if first else None


def no_command(forms: Mapping[str, Form], text: str) -> UserError:
    """Return the error for a text that begins with no known command, with the nearest name."""
    word, _, rest = text.partition(" ")
    near = nearest(word, forms)
    guess = f", did you mean `{near}`?" if near else "."
    meant = f"{near} {rest}".strip()
    return UserError(
        f"There is no command `{shown(word)}`{guess}",
        hint="`help` lists what I can do.",
        choices=((meant, meant),) if near else (),
    )


def parse(
    forms: Mapping[str, Form],
    text: str,
    settings: Settings,
    visible: frozenset[tuple[str, str]],
    *,
    can_pick: bool = False,
) -> Call:
    """Parse a message. `visible` holds the pairs of app and environment that answers may name.

    With `can_pick`, its sender is asked for what a command offers.
    Raises only UserError, or UsageError with the command's usage and an example.
    """
    form = find(forms, text)
    if form is None:
        raise no_command(forms, text)
    words = split(text)
    picking = picking_of(form, words)
    reader = Reader(
        form,
        picking.words if picking else words,
        Scope(settings, visible),
        picks=picking is not None,
        can_pick=can_pick,
    )
    try:
        reader = _read(reader, marked=picking is not None and picking.marked)
    except NoSuch as problem:
        meant = corrected(reader, problem)
        raise UserError(problem.sentence, hint=problem.hint, choices=((meant, meant),) if meant else ()) from None
    except Unfit as problem:
        raise _usage(form.command, problem) from None
    scope = reader.scope
    return Call(
        command=form.command,
        text=reader.words.text,
        arguments=reader.arguments,
        app=scope.app,
        environment=scope.environment,
        reason=reader.words.reason or "",
        lacks_reason=lacks_reason(form, reader.words) or (_breaks_glass(reader) and not reader.words.reason),
    )


def _breaks_glass(reader: Reader) -> bool:
    """Return whether a deployment bypasses approvals, which needs a reason."""
    return reader.arguments.get("break_glass") is True and reader.arguments.get("dry_run") is not True


def _read(reader: Reader, *, marked: bool) -> Reader:
    """Read a message. Return the reader of the message that was completed with what needs no question.

    `marked` is whether its sender typed `?`: then something must be left to fill in.
    """
    try:
        _read_parts(reader)
    except FilledIn as more:
        scope = Scope(reader.scope.settings, reader.scope.visible)
        return _read(Reader(reader.form, split(more.text), scope, picks=True), marked=False)
    if marked and not reader.filled and not lacks_reason(reader.form, reader.words):
        raise Unfit(f"I do not understand `{MARK}`.")
    return reader


def _read_parts(reader: Reader) -> None:
    words = reader.words
    reader.required()
    reader.options()
    if reader.token is not None:
        raise leftover(reader, reader.token)
    if words.reason == "":
        raise Unfit("Add a reason after `because`.")
    reader.find_out()


def _usage(command: Command, problem: Unfit) -> UsageError:
    example = f"\nFor example: {command.examples[0]}" if {*command.examples[:1]} - {command.usage} else ""
    choices = problem.choices if isinstance(problem, Missing) else ()
    if isinstance(problem, Better):
        choices = ((problem.command, problem.command),)
    return UsageError(problem.sentence, hint=f"Usage: {command.usage}{example}", choices=choices)
