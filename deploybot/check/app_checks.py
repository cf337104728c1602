"""Check an app: its repository, its images, and what triggers its automatic deployments."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from deploybot.autodeploy.event_hints import autos
from deploybot.autodeploy.newest_tag import newest_tag
from deploybot.check.check_results import CheckState, Row
from deploybot.deployments.card_details import effects_lines
from deploybot.deployments.planner import DryPlan
from deploybot.domain import Heads, Release
from deploybot.domain.ignored_tags import ignored_refs
from deploybot.errors import DeploybotError, StillFetching, Unreachable, UserError
from deploybot.events.watched_refs import fits
from deploybot.ports import Images, RefSource
from deploybot.settings import App, Auto, Environment

_TAGS = 3


def branches_of(app: App) -> Iterator[tuple[App, str]]:
    """Yield the app for each branch that is deployed without a ref, with the environments that have it.

    No environments are named if all have the same branch.
    """
    found: dict[str | None, list[tuple[str, App]]] = {}
    for name in app.environments:
        there = app.at(name)
        found.setdefault(there.branch, []).append((name, there))
    for same in found.values():
        yield same[0][1], " ".join(name for name, _ in same) if len(found) > 1 else ""


def images_of(app: App) -> Iterator[tuple[App, str, str]]:
    """Yield each image that the app follows, by service, with the environments that follow it if not all do."""
    found: dict[tuple[str, str, str], list[tuple[str, App]]] = {}
    for name in app.environments:
        there = app.at(name)
        for service, of in there.images.items():
            found.setdefault((service, of.image, str(of.tag)), []).append((name, there))
    for (service, _, _), same in found.items():
        where = " ".join(name for name, _ in same) if len(same) < len(app.environments) else ""
        yield same[0][1], service, where


async def try_repository(app: App, refs: RefSource, where: str = "") -> AsyncIterator[Row]:
    """Check whether the repository can be read, and show the current commit of its branch.

    `where` names the environments whose branch that is, if the others have another one.
    """
    subject = f"app {app.name}"
    what = f"repository {where}".rstrip()
    try:
        release = await refs.resolve(app, "")
    except StillFetching as error:
        yield Row(subject, what, CheckState.SKIPPED, _fetching(app, error))
    except Unreachable as error:
        fix = error.hint or "Check the address, and that repo_key or repo_token gives access."
        yield Row(subject, what, CheckState.FAILED, f"{app.repo}: {error.why}", fix)
    except UserError as error:
        yield Row(subject, what, CheckState.FAILED, error.sentence, error.hint or "Check `branch` in bot.toml.")
    else:
        yield Row(subject, what, CheckState.OK, f"{app.repo}: {release} {release.subject}".rstrip())
        for sentence in await _missing(app, refs, release):
            fix = "If the app needs that, see “Submodules and Git LFS” in docs/repositories.md."
            yield Row(subject, "files", CheckState.SKIPPED, sentence, fix)


async def _missing(app: App, refs: RefSource, release: Release) -> tuple[str, ...]:
    """Return what the commit refers to and no server gets. Many apps do not need that, so it is no failure."""
    if release.code is None:
        return ()
    try:
        return (await refs.unfetched(app, release.code)).sentences
    except (Unreachable, UserError) as error:
        return (str(error),)


async def try_plan(app: App, environment: Environment, plans: DryPlan) -> AsyncIterator[Row]:
    """Show what a deployment of the app's branch would change now, or everything that prevents it."""
    subject, what = f"app {app.name}", f"plan {environment.name}"
    try:
        plan = await plans(app, environment)
    except StillFetching as error:
        yield Row(subject, what, CheckState.SKIPPED, _fetching(app, error))
    except Unreachable as error:
        yield Row(subject, what, CheckState.FAILED, str(error), error.hint)
    except UserError as error:
        yield Row(subject, what, CheckState.FAILED, error.sentence.replace("\n", " "), error.hint.replace("\n", " "))
    else:
        effects = "; ".join(line.text for part in plan.servers for line in effects_lines(part))
        warnings = "".join(f" ({warning})" for warning in plan.warnings)
        yield Row(subject, what, CheckState.OK, f"{plan.release}: {effects or 'nothing runs yet'}{warnings}")


def _fetching(app: App, error: StillFetching) -> str:
    """Say that another process is fetching the repository. A check ends before its own fetch takes that long."""
    return f"{app.repo}: the bot or another check is fetching it, {error.received} so far. Check again later"


async def try_image(app: App, service: str, images: Images, where: str = "") -> AsyncIterator[Row]:
    """Check whether the registry has the image of one service, and show its current version.

    `where` names the environments that follow it, if not all do.
    """
    subject, what = f"app {app.name}", f"image {service} {where}".rstrip()
    of = app.images[service]
    try:
        (pin,) = await images.pins(app.model_copy(update={"images": {service: of}}))
    except Unreachable as error:
        path = f"apps.{app.name}.images.{service}.image" if not where else f"the image of {service} in bot.toml"
        fix = error.hint or f"Check {path}."
        yield Row(subject, what, CheckState.FAILED, str(error), fix)
    except UserError as error:
        yield Row(subject, what, CheckState.FAILED, error.sentence, error.hint)
    else:
        yield Row(
            subject, what, CheckState.OK, f"{of.image}, {of.tag}: {pin.version}{await _left_out(app, service, images)}"
        )


async def _left_out(app: App, service: str, images: Images) -> str:
    """Return the tags of a service that look like releases but do not count, each with the reason."""
    try:
        found = (await images.unfit(app)).get(service, ())
    except DeploybotError:
        return ""
    return _ignored(found)


def _ignored(found: Sequence[tuple[str, str]]) -> str:
    """Return the first tags that do not count, each with the reason."""
    shown = "; ".join(f"{tag}: {why}" for tag, why in found[:_TAGS])
    return f" (ignored: {shown}{' …' if len(found) > _TAGS else ''})" if shown else ""


async def try_auto(app: App, refs: RefSource) -> AsyncIterator[Row]:
    """Check what the bot polls for automatic deployments, and show what it finds for each environment."""
    subject = f"app {app.name}"
    try:
        heads = await refs.heads(app)
    except Unreachable as error:
        yield Row(subject, "auto", CheckState.FAILED, error.why, error.hint)
        return
    for name, auto in autos(app).items():
        found, missing = _found(auto, heads)
        if missing:
            fix = f"Push one, or change apps.{app.name}.environments.{name}.auto."
            yield Row(
                subject, f"auto {name}", CheckState.FAILED, f"the repository has no {' and no '.join(missing)}", fix
            )
        elif found:
            yield Row(subject, f"auto {name}", CheckState.OK, ", ".join(found))


def _found(auto: Auto, heads: Heads) -> tuple[list[str], list[str]]:
    """Return the refs that `auto` finds in the repository, and those that are missing."""
    found, missing = [], []
    if auto.branch:
        names = [name for name in sorted(heads.branches) if fits(auto.branch, name)]
        found += [f"{name} is {heads.branches[name][:10]}" for name in names]
        missing += [] if names else [f"branch {auto.branch}"]
    if auto.tag:
        tags = {name: commit for name, commit in heads.tags.items() if fits(auto.tag, name)}
        newest = newest_tag(tags, {}, early="-" in auto.tag)
        ignored = _ignored(ignored_refs(auto.tag, sorted(tags, reverse=True)))
        found += [f"the newest tag is {newest}{ignored}" if newest else f"no tag {auto.tag} yet{ignored}"]
    return found, missing
