"""Ask for what a command lacks: a release, a deployment, a reason.

Releases are the newest refs of the repository, or what ran well before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from deploybot.command import Services
from deploybot.command_parameters import Code
from deploybot.domain import Action, Deployment, Kind
from deploybot.errors import AskError, PickError, UserError
from deploybot.parsing import MOST_PICKS, Call, Form, Ref, parse, with_number, with_release
from deploybot.settings import App, Environment, Settings

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


async def release_question(call: Call, form: Form, services: Services) -> UserError:
    """Return the question, with a complete command for each release; or an error if there is none.

    Call it only for an authorised call. Raises Unreachable if the repository does not answer.
    """
    app, environment = call.app, call.environment
    if app is None or environment is None:
        return UserError("Which app and environment is this for?", hint=f"Usage: {call.command.usage}")
    back = call.command.name == Kind.ROLLBACK
    offered = await services.releases.offered(app, environment, back=back)
    offers = ((label, _offer(call, form, services.settings, ref)) for label, ref in offered)
    choices = tuple((label, text) for label, text in offers if text)
    return _question(app, environment, choices) if choices else _nothing(app, environment, back=back)


def _question(app: App, environment: Environment, choices: tuple[tuple[str, str], ...]) -> PickError:
    title = f"Which release for {app.name}/{environment.name}?"
    return PickError(title, hint=f"Choose one, or type the command: `{choices[0][1]}`.", choices=choices)


def _nothing(app: App, environment: Environment, *, back: bool) -> UserError:
    if back:
        sentence = f"There is no other release that ran well in {app.name}/{environment.name}."
        return UserError(sentence, hint=f"`history {app.name}` shows what was deployed.")
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
