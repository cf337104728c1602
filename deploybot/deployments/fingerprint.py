"""The fingerprint that an approval is bound to, and what has changed in it.

It covers the release, the configuration, what is replaced, and the steps.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from deploybot.domain import (
    NO_RELEASE,
    Binding,
    Channel,
    EffectKind,
    Kind,
    Plan,
    Release,
    ServerPlan,
    Step,
    image_changes,
    short_id,
)
from deploybot.domain.image_tags import TagPattern
from deploybot.settings import PER_ENVIRONMENT, App, Environment, Settings, SettingsPart
from deploybot.strategies.release_values import SINCE_TAGS
from deploybot.units import show_duration

_SHOWN = 60
_HASH_SHOWN = 12
_OWN_FILES = "Compose files in "
"""What begins a key of the configuration that is a hash of what Compose reads on a server, not a key of bot.toml."""
_UNSET = "null"
_NOT_ALWAYS = frozenset({"artifact", "rollout", "watch", "veto", "before_switch", "after_switch"})
"""Keys that older versions did not know: a request from then counts while they are not set."""
_NOT_THE_APPS = frozenset({"environments", "tasks", "channel", "logs", "hooks", "notify", "forge", "poll"})
_NOT_THE_ENVIRONMENTS = frozenset(
    {
        "default",
        "approvals",
        "rollback_approvals",
        "approvers",
        "approval_within",
        "approval_code",
        "approvals_exclude",
        "after",
        "auto",
        "refs",
        "signed",
        "freeze",
    }
)
_ALWAYS_THERE = frozenset({"directory", "health", "shared", "env", "secrets"})
"""Keys of the environment that were in every fingerprint before environments had more keys of the app."""
_NOT_THE_SERVERS = frozenset({"connect_timeout"})


def binding_of(plan: Plan, settings: Settings, *, ref: str | None, release: Release | None = None) -> Binding:
    """Bind an approval to a plan. `release` is what `ref` means, if that was resolved again."""
    meant = release or plan.release
    made = Binding(
        ref=ref,
        release=meant.bare(),
        config=config_of(plan, settings),
        replaces=tuple((part.server, part.replaces.id if part.replaces else "") for part in plan.servers),
        origin=plan.origin.parts if plan.origin else (),
        steps=tuple((part.server, f"{steps_text(plan, part)} [{_felt_digest(plan, part)}]") for part in plan.servers),
    )
    return dataclasses.replace(made, digest=_digest(dataclasses.asdict(made)))


def config_of(plan: Plan, settings: Settings) -> tuple[tuple[str, str], ...]:
    """Return all of bot.toml that a plan depends on, as dotted keys and values; secrets only by where they come from.

    The rules about approvals are left out: they are checked each time. Empty if bot.toml no longer has the target.
    """
    app = settings.apps.get(plan.app)
    environment = app.environments.get(plan.environment) if app else None
    if app is None or environment is None:
        return ()
    return tuple(sorted(_config(plan, settings, app, environment)))


def _config(plan: Plan, settings: Settings, app: App, environment: Environment) -> Iterator[tuple[str, str]]:
    path = f"apps.{app.name}"
    inner, there = f"{path}.environments.{environment.name}", app.at(environment)
    own = (PER_ENVIRONMENT - _ALWAYS_THERE) & environment.model_fields_set
    yield from _keys(path, app, _NOT_THE_APPS)
    yield from ((f"{inner}.{key}", _text(there.value(key))) for key in own - _NOT_THE_APPS)
    if plan.kind is Kind.TASK:
        where = inner if plan.task in environment.tasks else path
        yield f"{where}.tasks.{plan.task}", _text(there.tasks.get(plan.task, ""))
    yield from _keys(inner, environment, _NOT_THE_ENVIRONMENTS | (PER_ENVIRONMENT - _ALWAYS_THERE))
    for part in plan.servers:
        if part.configuration:
            yield f"{_OWN_FILES}{there.server_folder} on {part.server}", part.configuration[:_HASH_SHOWN]
    for name in _reached([*(part.server for part in plan.servers), *plan.down], settings):
        yield from _keys(f"servers.{name}", settings.servers[name], _NOT_THE_SERVERS)


def _reached(names: Sequence[str], settings: Settings) -> Iterator[str]:
    """Yield the servers themselves, and the jump servers that lead to them."""
    seen: set[str] = set()
    for name in names:
        way: str | None = name
        while way in settings.servers and way not in seen:
            seen.add(way)
            yield way
            way = settings.servers[way].jump


def _keys(path: str, part: SettingsPart, without: frozenset[str]) -> Iterator[tuple[str, str]]:
    unset = {key for key in _NOT_ALWAYS & type(part).known_keys().keys() if part.value(key) is None}
    for key in type(part).known_keys().keys() - without - unset:
        yield f"{path}.{key}", _text(part.value(key))


def _text(value: object) -> str:
    """Return a value as canonical JSON."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    """Convert what JSON cannot: tables of bot.toml, with secrets only by where they come from."""
    if isinstance(value, SettingsPart):
        return {key: value.value(key) for key in type(value).known_keys() if value.value(key) is not None}
    if isinstance(value, Channel | Path | TagPattern):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not allowed in a fingerprint")


def _felt(plan: Plan, part: ServerPlan) -> tuple[Step, ...]:
    """Return the steps that affect what runs on a server.

    Steps that only copy files there are left out: they depend on what an earlier try has left.
    """
    steps = (*part.steps, *part.after, *part.last)
    return tuple(step for step in steps if step.switches or step.task or plan.kind in {Kind.RESTART, Kind.TASK})


def steps_text(plan: Plan, part: ServerPlan) -> str:
    """Return the steps that affect what runs on a server, the health gate, and the restore steps, for people."""
    felt = [_step(step) for step in _felt(plan, part)]
    if part.gate is not None:
        within = show_duration(part.gate.within)
        felt.append(f"health: {part.gate.kind} {part.gate.target} within {within}")
    back = ", ".join(_step(step) for step in part.restore)
    return " → ".join(felt) + (f"; if it fails: {back}" if back else "")


def _step(step: Step) -> str:
    return f"{step.name} (at most {show_duration(step.timeout)})"


def _felt_digest(plan: Plan, part: ServerPlan) -> str:
    """Hash what affects a server (SHA-256, hex): scripts, values, secret names, gate, restore steps, removals."""
    steps = [_content(step) for step in (*_felt(plan, part), *part.restore)]
    gate = dataclasses.asdict(part.gate) if part.gate else None
    removed = [one.service for one in part.effects if one.kind is EffectKind.REMOVED]
    return _digest([steps, gate, *([removed] if removed else [])])


def _content(step: Step) -> dict[str, object]:
    """Return a step as the version before hashed it.

    What says no more than the release and its ref is left out. Its order says whether it comes before the switch.
    """
    env = tuple(one for one in step.env if one[0] not in SINCE_TAGS)
    content = dataclasses.asdict(dataclasses.replace(step, env=env))
    return {key: value for key, value in content.items() if key not in {"task", "ahead"}}


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def differences(old: Binding, new: Binding, *, down: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what has changed between two bindings, each as a sentence with old and new value; empty if they match.

    Servers that are `down` and skipped do not count: less is done than was approved.
    """
    old = dataclasses.replace(
        old,
        replaces=tuple(one for one in old.replaces if one[0] not in down),
        steps=tuple(one for one in old.steps if one[0] not in down),
    )
    found = [*_release(old, new), *_origin(old, new), *_own_files(old, new)]
    found += _pairs("config", _of_bot_toml(old), _of_bot_toml(new))
    found += _pairs("what it replaces", _shortened(old.replaces), _shortened(new.replaces))
    if not found and old.steps != new.steps:
        found = [f"steps: {server} would run other steps than those shown" for server, _ in new.steps]
    return tuple(found)


def _release(old: Binding, new: Binding) -> Iterator[str]:
    was, now = old.release or NO_RELEASE, new.release or NO_RELEASE
    unknown = was.id == now.id and (was.has_unknown_images or now.has_unknown_images)
    images = [*image_changes(was, now)] if new.release and not unknown else []
    if was.code != now.code or (was.id != now.id and not images):
        name = f"`{old.ref}`" if old.ref else "the newest of the branch"
        yield f"release: {name} was {_exact(was, now)}, now {_exact(now, was) or 'gone'}"
    yield from (f"image: {service} was {before}, now {after}" for service, before, after in images)


def _exact(release: Release, other: Release) -> str:
    """Return the short commit; the short id if there is none, or if the commit is not what differs."""
    return release.short if release.code == other.code else short_id(release.code or release.id)


def _origin(old: Binding, new: Binding) -> Iterator[str]:
    """Yield what allowed the release there and has changed; limits that bot.toml added since are left to the policy."""
    now = dict(new.origin)
    for name, was in old.origin:
        if now.get(name, was) != was:
            yield f"{name}: was {was}, now {now[name]}"


def _of_bot_toml(binding: Binding) -> tuple[tuple[str, str], ...]:
    return tuple(one for one in binding.config if not one[0].startswith(_OWN_FILES))


def _own_files(old: Binding, new: Binding) -> Iterator[str]:
    """Yield the servers on which a person changed the Compose files; a server that was left out changes nothing."""
    now = dict(new.config)
    for name, was in old.config:
        if name.startswith(_OWN_FILES) and now.get(name, was) != was:
            yield f"{name} were changed: Compose read {was}, now {now[name]}"


def _shortened(replaces: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((server, short_id(release) or "nothing") for server, release in replaces)


def _pairs(what: str, old: Sequence[tuple[str, str]], new: Sequence[tuple[str, str]]) -> Iterator[str]:
    before, after = dict(old), dict(new)
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key), after.get(key)
        if (was or _UNSET) != (now or _UNSET):  # a key that a version before did not know is not set
            yield f"{what}: {key} was {_cut(was)}, now {_cut(now)}"


def _cut(text: str | None) -> str:
    """Return a value shortened for people; `not there` if it is absent."""
    if text is None:
        return "not there"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
