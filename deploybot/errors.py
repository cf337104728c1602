"""Everything that deploybot raises on purpose.

    DeploybotError
    ├── UserError            the request can't be done; the sentence says why, the hint what to do
    │   ├── UsageError       the words did not fit the command's grammar
    │   ├── PickError        something must be picked first; holds what there is to pick
    │   ├── UploadRefused    the bot does not take an artifact, or a part of it
    │   ├── NoImage          a registry has no such image or tag, or does not show it to the bot
    │   └── ChannelClosed    the bot may not write in a channel, or there is none
    ├── ConfigError          bot.toml is wrong; holds every problem found
    ├── Denied               a rule refused; holds the rule's reasons and who may
    ├── Locked               a person or a deployment holds the app's environment
    ├── Unreachable          a server, engine or repository did not answer; its state is unknown
    │   ├── HostKeyMismatch  it answered with a key that is not the pinned one
    │   └── BadAnswer        it answered, but the answer can't be used
    ├── StepFailed           a job on a server ended with an exit code other than 0
    ├── StepUnknown          how a job ended is unknown (orphan, lost)
    ├── Unhealthy            the release runs but did not pass its health gate in time
    ├── EngineError          the Docker Engine refused or failed
    ├── Cancelled            a person stopped the deployment
    ├── Voided               the plan that was to be approved has changed; holds the changes
    └── StoreError           the bot's own database can't be written or is damaged
        └── StoreDown        the database does not answer now; the request itself is fine

Only `deploybot.dispatch` decides how each appears in the chat.
"""

from __future__ import annotations

import os

from deploybot.failure_cause import advice_of, cause_of


class DeploybotError(Exception):
    """The root of all errors. `str()` of it is one sentence without secrets."""


class UserError(DeploybotError):
    """A person's request can't be done. `hint` says what to do instead.

    `choices` are pairs of a label and a complete command that would work. Chats show them as buttons.
    """

    def __init__(self, sentence: str, *, hint: str = "", choices: tuple[tuple[str, str], ...] = ()) -> None:
        """Keep the sentence, the hint and the choices apart, so chats can format them differently."""
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint
        self.choices = choices


class UsageError(UserError):
    """The words did not fit the grammar of the command."""


class PickError(UserError):
    """The command lacks something that its sender picks: an app, an environment, a ref. `choices` are the offers.

    `text` describes them in short lines, already masked. `times` are the times in it, each as it is written and in
    seconds since the epoch.
    """

    def __init__(
        self,
        sentence: str,
        *,
        hint: str = "",
        choices: tuple[tuple[str, str], ...] = (),
        text: str = "",
        times: tuple[tuple[str, float], ...] = (),
    ) -> None:
        """Take the question, what to type instead, the offers, and a text about them with its times."""
        super().__init__(sentence, hint=hint, choices=choices)
        self.text = text
        self.times = times


class AskError(UserError):
    """The command lacks a reason. Chats ask for it and add it to `command`, after `because`."""

    def __init__(self, sentence: str, *, hint: str, command: str) -> None:
        """Take the sentence, the form to type, and the command without its reason."""
        super().__init__(sentence, hint=hint)
        self.command = command


class UploadRefused(UserError):
    """The bot does not take an artifact. `status` is the HTTP status of that.

    `offset` is where the upload goes on, in bytes; -1 if it does not.
    """

    def __init__(self, sentence: str, *, status: int, hint: str = "", offset: int = -1) -> None:
        """Take the two texts, the status and the offset in bytes."""
        super().__init__(sentence, hint=hint)
        self.status = status
        self.offset = offset


class NoImage(UserError):
    """A registry has no such image or tag, or does not show it to the bot."""


class BuiltHere(UserError):
    """A server runs an image that no registry had: the image of that name in a registry may be a stranger's."""


class ChannelClosed(UserError):
    """The bot may not write in a channel, or there is no such channel."""


class ConfigError(DeploybotError):
    """bot.toml can't be used. `problems` holds all problems, each as `path: what is wrong`."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        """Take all problems, in the order of the file."""
        super().__init__("\n".join(problems))
        self.problems = problems


class Denied(DeploybotError):
    """The policy refused. `reasons` are its sentences, `who_may` names the people who may."""

    def __init__(self, reasons: tuple[str, ...], *, who_may: str = "") -> None:
        """Take the reasons of the policy."""
        super().__init__(" ".join(reasons))
        self.reasons = reasons
        self.who_may = who_may


class Locked(DeploybotError):
    """The environment is locked. The sentence says by whom, since when, why, and how to release it."""


class TargetFrozen(DeploybotError):
    """Nothing new is deployed to a target now. The sentence says until when and why; `until` is `inf` for no end."""

    def __init__(self, sentence: str, until: float, *, urgent: bool = False) -> None:
        """Take the sentence, and when the freeze ends (Unix time). With `urgent`, the hint names break glass."""
        super().__init__(sentence)
        self.until = until
        glass = " In an emergency, an admin can deploy with `--break-glass`."
        self.hint = f"Rollbacks and restarts still work.{glass if urgent else ''}"


class Unreachable(DeploybotError):
    """No answer in time, or a refused connection. `what` is the server, engine, repository or chat.

    `retry_after` is how many seconds the other side asked the bot to wait; 0.0 if it named no time.
    """

    def __init__(self, what: str, why: str, *, hint: str = "", retry_after: float = 0.0) -> None:
        """Take what did not answer, the reason in plain words, and a hint for the next check."""
        super().__init__(f"{what} cannot be reached: {why}")
        self.what = what
        self.why = why
        self.hint = hint
        self.retry_after = retry_after


class ServerDown(Unreachable):
    """The server or the network is down: no connection could be made, so nothing was sent, or it `broke`."""

    def __init__(self, what: str, why: str, *, hint: str = "", broke: bool = False) -> None:
        """Take the server, the reason in plain words, a hint, and whether something may have been sent."""
        super().__init__(what, why, hint=hint)
        self.broke = broke


class HostKeyMismatch(Unreachable):
    """The server showed a host key that bot.toml does not pin. No command was sent."""


class BadAnswer(Unreachable):
    """The answer can't be used: too long, no JSON, an infinite number. The state is unknown."""

    def __init__(self, what: str, why: str, *, hint: str = "") -> None:
        """Take what answered, what is wrong with the answer, and a hint for the next check."""
        super().__init__(what, why, hint=hint)
        self.args = (f"{what} gave no usable answer: {why}",)


class StillFetching(Unreachable):
    """A fetch takes longer than the bot waits for it. It goes on in the background, or in another process."""

    def __init__(self, what: str, received: str) -> None:
        """Take what is fetched, and how much has arrived."""
        super().__init__(what, "not all of it has arrived", hint="The fetch goes on. Try again in a few minutes.")
        self.args = (f"{what} is still being fetched: {received} so far",)
        self.received = received


NOT_STARTED = -1
"""In place of an exit code: the process of a step was never started."""
NOT_REACHED = -3
"""In place of an exit code: the process of a step was never started, because its server did not answer."""


class StepFailed(DeploybotError):
    """A job failed. `code` is its exit code, `NOT_STARTED` or `NOT_REACHED`; `tail` its last lines, redacted."""

    def __init__(self, server: str, step: str, code: int, tail: tuple[str, ...] = ()) -> None:
        """Take the server, the step, the exit code, and the last lines, which may show the cause."""
        cause = cause_of(tail)
        if code in {NOT_STARTED, NOT_REACHED}:
            why = f"was not started on {server}{f': {cause}' if cause else ''}"
        elif cause:
            why = f"failed on {server}: {cause} (exit code {code})"
        else:
            why = f"failed on {server} with exit code {code}"
        super().__init__(f"step `{step}` {why}")
        self.server = server
        self.step = step
        self.code = code
        self.tail = tail
        self.advice = advice_of(tail, server)


class StepUnknown(DeploybotError):
    """How a job ended is unknown. It is never run again automatically."""

    def __init__(self, server: str, step: str, why: str) -> None:
        """Take the server, the step, and what was found instead of an end."""
        super().__init__(f"the result of step `{step}` on {server} is unknown: {why}")
        self.server = server
        self.step = step
        self.why = why


class Unhealthy(DeploybotError):
    """The release did not pass its health gate in time. `tail` holds the last lines of what failed."""

    def __init__(self, server: str, why: str, tail: tuple[str, ...] = ()) -> None:
        """Take the server and the result of the last check."""
        super().__init__(f"not healthy on {server}: {why}")
        self.server = server
        self.why = why
        self.tail = tail


class EngineError(DeploybotError):
    """The Docker Engine answered with an error."""


class Cancelled(DeploybotError):
    """A person cancelled the deployment. `by` is their name."""

    def __init__(self, by: str) -> None:
        """Take the name of the person who cancelled."""
        super().__init__(f"cancelled by {by}")
        self.by = by


class Voided(DeploybotError):
    """The plan that was to be approved has changed. `changed` lists each change, from what to what."""

    def __init__(self, changed: tuple[str, ...]) -> None:
        """Take the changes: release, config, what it replaces, or steps."""
        super().__init__(f"void: {'; '.join(changed)}")
        self.changed = changed


class StoreError(DeploybotError):
    """The database can't be written, is full, or is damaged. The sentence says how to restore it."""


class StoreDown(StoreError):
    """The database does not answer. The same request may succeed, unchanged, as soon as it does."""


def sentence(problem: Exception) -> str:
    """Return an error's text as a sentence: `cancelled by ana` gets a capital and a full stop."""
    text = str(problem)
    return f"{text[:1].upper()}{text[1:]}."


def system_words(problem: OSError) -> str:
    """Return the system's text for an error: `connection refused`. Libraries add their own words to `strerror`.

    Other errors, such as an unknown host name, have no number above 0. For them, return their own text.
    """
    number = problem.errno or 0
    return os.strerror(number).lower() if number > 0 else problem.strerror or str(problem) or "no answer in time"
