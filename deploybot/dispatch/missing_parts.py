"""Ask for what a command lacks: a release, a deployment, a reason.

Releases are the newest refs of the repository, or what ran well before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from deploybot.command import Services
from deploybot.command_parameters import Code
from deploybot.dispatch.rollback_question import choice_label, choices_text, skipping_the_plan
from deploybot.domain import Action, Deployment, Kind
from deploybot.errors import AskError, PickError, UserError
from deploybot.parsing import MOST_PICKS, Call, Form, Ref, parse, split, with_number, with_release
from deploybot.settings import App, Environment, Settings
from deploybot.units import show_time

_SHOWN = 200


def reason_question(call: Call) -> UserError:
    """Return the question for the reason of a command.

    A one-time code must not be repeated in a channel: then the whole command is typed again.
    """
    if any(isinstance(value, Code) and value for value in call.arguments.values()):
        return UserError(f"`{call.command.name}` needs a reason.", hint="Add `because …` at the end.")
    text = call.text.strip()
    short = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    return AskError(f"`{short}` needs a reason.", hint=f"Type it: `{short} because …`.", command=text)


def number_question(call: Call, form: Form, offered: Sequence[Deployment]) -> UserError:
    """Return the question for a deployment, with a command for each that is offered; or an error if there is none."""
    decides = call.command.needs is Action.APPROVE
    if not offered:
        sentence = "No request waits for your decision." if decides else "Nothing runs or waits that you may change."
        return UserError(sentence, hint="`queue` shows what runs and what waits.")
    choices = tuple((_label(one), with_number(form, call.text, one.number)) for one in offered[:MOST_PICKS])
    first = f"{call.command.name} #{offered[0].number}{' because …' if call.lacks_reason else ''}"
    return PickError(
        "Which request?" if decides else "Which deployment?",
        hint=f"Choose one, or type the command: `{first}`.",
        choices=choices,
    )


def _label(one: Deployment) -> str:
    plan = one.plan
    what = plan.release.label if plan.kind in {Kind.DEPLOY, Kind.ROLLBACK} else plan.task or plan.kind
    return f"#{one.number} {plan.app}/{plan.environment} {what}"


async def release_question(call: Call, form: Form, services: Services, mask: Callable[[str], str]) -> UserError:
    """Return the question, with a complete command for each release; or an error if there is none.

    Call it only for an authorised call. Raises Unreachable if the repository does not answer. `mask` masks texts about
    the releases.
    """
    app, environment = call.app, call.environment
    if app is None or environment is None:
        return UserError("Which app and environment is this for?", hint=f"Usage: {call.command.usage}")
    if call.command.name == Kind.ROLLBACK:
        return await _rollback_question(call, form, services, mask)
    offered = await services.releases.offered(app, environment)
    offers = ((label, _offer(call, form, services.settings, ref)) for label, ref in offered)
    choices = tuple((label, text) for label, text in offers if text)
    if not app.repo:
        newest = f"{call.command.name} {app.name} to {environment.name}"
        choices = (("the newest images", newest), *choices)
    return _question(app, environment, choices) if choices else _no_refs(app)


async def _rollback_question(call: Call, form: Form, services: Services, mask: Callable[[str], str]) -> UserError:
    """Return the question which release to roll back to. A press shows the plan of the choice; nothing runs yet."""
    app, environment = call.app, call.environment
    assert app is not None  # noqa: S101  checked by the caller
    assert environment is not None  # noqa: S101  checked by the caller
    found = await services.releases.ways_back(app, environment)
    offers = ((one, _offer(call, form, services.settings, one.ref)) for one in found.choices)
    texts = tuple((one, text) for one, text in offers if text)
    if not texts:
        return _nothing_good(app, environment)
    return PickError(
        f"Which release for {app.name}/{environment.name}?",
        hint=f"A press shows the plan first. {skipping_the_plan(texts[0][0])}, type `{texts[0][1]}`.",
        choices=tuple((choice_label(one), _dry(call, text)) for one, text in texts),
        text=choices_text(replace(found, choices=tuple(one for one, _ in texts)), mask),
        times=tuple((show_time(one.at), one.at) for one, _ in texts),
    )


def _dry(call: Call, text: str) -> str:
    """Return a complete command as a dry run."""
    if call.arguments.get("dry_run") is True:
        return text
    words = split(text)
    return f"{words.text[: words.end]} --dry-run{words.text[words.end :]}"


def _question(app: App, environment: Environment, choices: tuple[tuple[str, str], ...]) -> PickError:
    title = f"Which release for {app.name}/{environment.name}?"
    return PickError(title, hint=f"Choose one, or type the command: `{choices[0][1]}`.", choices=choices)


def _nothing_good(app: App, environment: Environment) -> UserError:
    sentence = f"There is no other release that ran well in {app.name}/{environment.name}."
    return UserError(sentence, hint=f"`history {app.name}` shows what was deployed.")


def _no_refs(app: App) -> UserError:
    return UserError(f"I found no branch or tag of {app.name} to offer.", hint=f"Type it: `deploy {app.name}@REF`.")


def _offer(call: Call, form: Form, settings: Settings, ref: str) -> str:
    """Return the complete command for a ref; "" if it would read as something else. Git allows many names."""
    if call.app is None or call.environment is None:
        return ""
    text = with_release(form, call.text, call.app.name, ref)
    with contextlib.suppress(UserError):
        made = parse({form.command.name: form}, text, settings, frozenset({(call.app.name, call.environment.name)}))
        same = (made.app, made.environment, made.reason) == (call.app, call.environment, call.reason)
        return text if same and Ref(ref, _number(ref)) in made.arguments.values() else ""
    return ""


def _number(ref: str) -> int:
    return int(ref[1:]) if ref.startswith("#") else 0
