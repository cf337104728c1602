"""Everything deploybot raises on purpose.

    DeploybotError
    ├── UserError            what was asked cannot be done; the sentence says why, the hint what to do
    │   ├── UsageError       the words did not fit the command's grammar
    │   ├── NoImage          a registry has no such image or tag, or does not show it to the bot
    │   └── ChannelClosed    the bot may not write in a channel, or there is none
    ├── ConfigError          bot.toml is wrong; holds every problem found
    ├── Denied               a rule said no; holds the rule's reasons and who may
    ├── Locked               somebody, or a deployment, holds the app's environment
    ├── Unreachable          a server, engine or repository did not answer; nothing is known of it
    │   ├── HostKeyMismatch  it answered with a key that is not the pinned one
    │   └── BadAnswer        it answered, but not in a way that can be used
    ├── StepFailed           a job on a server ended with another code than 0
    ├── StepUnknown          a job's end cannot be known (orphan, lost)
    ├── Unhealthy            the release runs but did not pass its health gate in time
    ├── EngineError          the Docker Engine refused or failed
    ├── Cancelled            a person stopped the deployment
    ├── Voided               what a deployment was approved for has changed; holds what
    └── StoreError           the bot's own database cannot be written or is damaged
        └── StoreDown        it answers nobody now; nothing is wrong with what was asked of it

What each becomes in the chat is decided in one place, `deploybot.dispatch`.
"""

from __future__ import annotations

import os

from deploybot.failure_cause import cause_of


class DeploybotError(Exception):
    """The root of the tree; `str()` of it is one sentence without secrets."""


class UserError(DeploybotError):
    """What a person asked for cannot be done. `hint` says what to do instead.

    `choices` are pairs of a label and a whole command that would do: a chat shows them as buttons.
    """

    def __init__(self, sentence: str, *, hint: str = "", choices: tuple[tuple[str, str], ...] = ()) -> None:
        """Keep the sentence, the hint and the choices apart, so a chat can set them differently."""
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint
        self.choices = choices


class UsageError(UserError):
    """The words did not fit the grammar of the command."""


class NoImage(UserError):
    """A registry has no such image or tag, or does not show it to the bot."""


class ChannelClosed(UserError):
    """The bot may not write in a channel of a chat, or there is no such channel."""


class ConfigError(DeploybotError):
    """bot.toml cannot be used. `problems` holds all of them, each `path: what is wrong`."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        """Take every problem that was found, in the order of the file."""
        super().__init__("\n".join(problems))
        self.problems = problems


class Denied(DeploybotError):
    """The policy said no. `reasons` are its sentences, `who_may` names who could."""

    def __init__(self, reasons: tuple[str, ...], *, who_may: str = "") -> None:
        """Take the reasons as the policy gave them."""
        super().__init__(" ".join(reasons))
        self.reasons = reasons
        self.who_may = who_may


class Locked(DeploybotError):
    """The environment is held. The sentence says by whom, since when, why, and how to release it."""


class Unreachable(DeploybotError):
    """No answer in time, or a refused connection. `what` is the server, engine, repository or chat.

    `retry_after` is how many seconds the other side asked to be left alone, 0.0 where it did not say.
    """

    def __init__(self, what: str, why: str, *, hint: str = "", retry_after: float = 0.0) -> None:
        """Name what did not answer, the reason in plain words, and what to look at."""
        super().__init__(f"{what} cannot be reached: {why}")
        self.what = what
        self.why = why
        self.hint = hint
        self.retry_after = retry_after


class HostKeyMismatch(Unreachable):
    """The server showed a host key that bot.toml does not pin; no command was sent."""


class BadAnswer(Unreachable):
    """It answered, but not as it should: too long, no JSON, a number without end. Nothing is known of it."""

    def __init__(self, what: str, why: str, *, hint: str = "") -> None:
        """Name what answered, what is wrong with the answer, and what to look at."""
        super().__init__(what, why, hint=hint)
        self.args = (f"{what} gave no usable answer: {why}",)


class StepFailed(DeploybotError):
    """A job ended badly. `code` is its exit code, `tail` its last lines, already masked."""

    def __init__(self, server: str, step: str, code: int, tail: tuple[str, ...] = ()) -> None:
        """Say where, in which step, why as far as the last lines tell it, and with which exit code."""
        cause = cause_of(tail)
        why = f"failed on {server}: {cause} (exit code {code})" if cause else f"on {server} ended with code {code}"
        super().__init__(f"step `{step}` {why}")
        self.server = server
        self.step = step
        self.code = code
        self.tail = tail


class StepUnknown(DeploybotError):
    """A job's end cannot be known. It is never run again by itself."""

    def __init__(self, server: str, step: str, why: str) -> None:
        """Say where, in which step, and what was found instead of an end."""
        super().__init__(f"how step `{step}` on {server} ended is unknown: {why}")
        self.server = server
        self.step = step
        self.why = why


class Unhealthy(DeploybotError):
    """The health gate did not open in time. `tail` holds the last lines of what failed."""

    def __init__(self, server: str, why: str, tail: tuple[str, ...] = ()) -> None:
        """Say where, and what the last check saw."""
        super().__init__(f"not healthy on {server}: {why}")
        self.server = server
        self.why = why
        self.tail = tail


class EngineError(DeploybotError):
    """The Docker Engine answered with an error."""


class Cancelled(DeploybotError):
    """A person cancelled the deployment; `by` is their name."""

    def __init__(self, by: str) -> None:
        """Keep who cancelled."""
        super().__init__(f"cancelled by {by}")
        self.by = by


class Voided(DeploybotError):
    """What a deployment was to be approved for has changed; `changed` says what, each from what to what."""

    def __init__(self, changed: tuple[str, ...]) -> None:
        """Take what has changed: release, config, what it replaces, or steps."""
        super().__init__(f"void: {'; '.join(changed)}")
        self.changed = changed


class StoreError(DeploybotError):
    """The database cannot be written, is full, or is damaged; the sentence says how to restore it."""


class StoreDown(StoreError):
    """The same, where it answers nobody: what was asked may succeed, unchanged, as soon as it does."""


def sentence(problem: Exception) -> str:
    """What happened, with a capital and a full stop: `cancelled by ana` becomes a sentence."""
    text = str(problem)
    return f"{text[:1].upper()}{text[1:]}."


def system_words(problem: OSError) -> str:
    """What the system calls an error: `connection refused`. Libraries add words of theirs to `strerror`.

    What is not the system's, such as a name that nobody knows, has no number above 0: then what it says itself.
    """
    number = problem.errno or 0
    return os.strerror(number).lower() if number > 0 else problem.strerror or str(problem) or "no answer in time"
