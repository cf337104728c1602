"""Resolve refs as people type them: `:current`, `:previous`, images, and everything the repository knows."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from deploybot.deployments.artifact_refs import artifact_release, insist_on_file
from deploybot.deployments.compare_links import image_compare_url
from deploybot.deployments.followed_tags import FollowedTags
from deploybot.deployments.kept_images import kept_images
from deploybot.deployments.meant_images import no_such_image, own_images
from deploybot.deployments.past_releases import LOOK_BACK, WayBack, good_ways, past_before
from deploybot.deployments.release_names import ReleaseNames
from deploybot.deployments.rollback_menu import RollbackMenu, ways_offered
from deploybot.deployments.target_inspection import Inspector
from deploybot.domain import (
    Changes,
    Holding,
    IgnoredTags,
    ImageCommits,
    NamedRef,
    Origin,
    Pin,
    Release,
    RollbackChoices,
    ServerPlan,
    allowed_by,
)
from deploybot.errors import NoImage, Unreachable, UserError
from deploybot.ports import Images, RefSource, Store
from deploybot.settings import App, Environment

OFFERED = 8
"""How many releases a picker offers. Half of them are tags, if there are enough tags and branches."""
MOST_IMAGES = 20
"""The most images whose labels are read to compare two releases."""
LABELS_WITHIN = 10.0
_DIGEST = "sha256:"


class Releases:
    """Implements `command.ReleaseService` with the store, the repository and the registries."""

    def __init__(
        self,
        store: Store,
        refs: RefSource,
        inspector: Inspector,
        images: Images | None = None,
        *,
        forges: Collection[str] = (),
    ) -> None:
        """Take the ports and the inspector of servers; `images` if an app has some.

        `forges` are the hosts of forges in bot.toml, to which labels of images may lead.
        """
        self._forges = forges
        self._store = store
        self._refs = refs
        self._inspector = inspector
        self._images = images
        self._followed = FollowedTags(store, refs, images)
        self._menu = RollbackMenu(store, refs, inspector)
        self.names = ReleaseNames(store)

    async def newer_of(self, app: App, release: Release, others: Iterable[Release]) -> Release | None:
        """Return the first of some releases whose commit comes after that of a release; None if none does."""
        for other in others:
            if not release.code or not other.code or release.same_code(other):
                continue
            if await self._refs.is_ancestor(app, release.code, other.code):
                return other
        return None

    async def resolve(self, app: App, environment: Environment | None, ref: str, *, back: bool = False) -> Release:
        """Resolve a typed ref to a release; `:current`, `:previous` and images need an environment.

        A ref of the repository gets the images that bot.toml's tags mean now. With `back` it gets the images that it
        last ran well with. A digest (`sha256:…`), or a tag that only an image has, changes nothing but that image. The
        branch and the images are those of the environment.
        """
        app = app.at(environment) if environment else app
        if ref.startswith(":"):
            return await self._relative(app, _needs_environment(app, environment, ref), ref)
        if app.artifact is not None:
            return await artifact_release(self._store, self._refs, app, environment, ref, back=back)
        if ref.startswith(_DIGEST):
            return await self._with_image(app, environment, ref)
        if not app.repo:
            return await self._without_repository(app, environment, ref, back=back)
        try:
            release = await self._refs.resolve(app, ref)
        except UserError as problem:
            if not app.images or not ref:
                raise
            return await self._with_image(app, environment, ref, instead=problem)
        ran = await self._ran(app, environment, release) if back and environment and app.images else None
        release = ran or release.with_images(await self._pins(app))
        return await self.names.of_past(environment, release) if back and environment else release

    async def _without_repository(self, app: App, environment: Environment | None, ref: str, *, back: bool) -> Release:
        """Return the images that the servers' Compose files name now; with a tag, what runs with that tag instead.

        With `back`, the newest good release that was deployed by a tag, with the digests that it ran: a tag may move.
        """
        target = _needs_environment(app, environment, ref)
        if not ref:
            return Release.of_images(await self._pins(app))
        if not back:
            return replace(await self._with_image(app, target, ref), ref=ref)
        rows = await self._store.read(lambda tables: tables.deployments.good(app.name, target.name, LOOK_BACK))
        past = [row.plan.release for row in rows if row.plan.release.code is None]
        found = [one for one in past if ref == one.ref]
        if not found:
            with_tag = {pin.image: pin for one in past for pin in one.images if pin.tag == ref}
            own = {pin.image for pin in own_images(app, ref, [*with_tag.values()])}
            found = [one for one in past if any(pin.tag == ref and pin.image in own for pin in one.images)]
        if found:
            return await self.names.of_past(target, found[0])
        raise UserError(f"{app.name} has not run {ref} in {target.name}.", hint=f"`history {app.name}` lists what ran.")

    async def _relative(self, app: App, environment: Environment, ref: str) -> Release:
        if ref == ":current":
            found = await self._only(app, environment, "`:current` can mean each of them")
        elif ref == ":previous":
            runs = _distinct(await self.running(app, environment))
            past = await self._past(app, environment, runs, once=True)
            found = past[-1].release if past else None
        else:
            raise UserError(f"{ref} is not a ref.", hint="Only :current and :previous start with a colon.")
        if found is None:
            raise UserError(f"{app.name} has no {ref[1:]} release in {environment.name} yet.")
        return found

    async def _only(self, app: App, environment: Environment, unclear: str) -> Release | None:
        """Return the one release that runs. Raises UserError if servers run different ones, with what that means."""
        return _one_of(app, environment, await self.running(app, environment), unclear)

    async def _with_image(
        self, app: App, environment: Environment | None, ref: str, *, instead: UserError | None = None
    ) -> Release:
        """Return what runs, with the image replaced that has the tag or digest.

        If no image has it, raises `instead`, the repository's answer.
        """
        if self._images is None or not app.has_images:
            raise UserError(
                f"{app.name} has no images, so a digest cannot be found.",
                hint=f"Add some under apps.{app.name}.images.",
            )
        try:
            named = await self._images.named(app, ref)
        except (NoImage, Unreachable) as problem:
            if instead is None:
                raise
            hint = f"{instead.hint} It may be an image tag; that could not be checked: {problem}".strip()
            raise UserError(instead.sentence, hint=hint) from problem
        if not named:
            raise instead or no_such_image(app, ref)
        if app.repo and ref.startswith(_DIGEST):
            # A service with another tag of the same repository runs another program.
            named = tuple(pin for pin in named if pin.tag) or named
        target = _needs_environment(app, environment, ref)
        unclear = "it is unclear which one gets the image"
        if not app.repo:
            return await self._with_own_image(app, target, named, unclear)
        current = await self._only(app, target, unclear)
        base = current or await self._refs.resolve(app, "")
        kept = {pin.service: pin for pin in base.images} | {pin.service: pin for pin in named}
        missing = app.images.keys() - kept.keys()
        fresh = [pin for pin in await self._pins(app) if pin.service in missing] if missing else []
        pins = [pin for pin in (*kept.values(), *fresh) if pin.service in app.images]
        return base.with_images(sorted(pins, key=_service))

    async def _with_own_image(self, app: App, target: Environment, named: Sequence[Pin], unclear: str) -> Release:
        """Return what runs, with some images replaced, for the services that the servers' Compose files have.

        What a person started counts as it runs: what its tag means by now may be another version of a database.
        """
        services = await self._images.services(app) if self._images else None
        there = await self._inspector.images_there(app, target)
        _one_of(app, target, {server: one.release for server, one in there.items()}, unclear)
        replaced = {pin.service: pin for pin in named}
        kept = {**kept_images(app, target, there, replaced=replaced, services=services), **replaced}
        if services is None or services - kept.keys():
            kept = {**{pin.service: pin for pin in await self._pins(app)}, **kept}
        pins = [pin for pin in kept.values() if services is None or pin.service in services]
        return Release.of_images(sorted(pins, key=_service))

    async def _ran(self, app: App, environment: Environment, release: Release) -> Release | None:
        """Return the newest good release of a commit, with the images it ran with; None if it has not run there."""
        # Also what was rolled back from: it ran well with these images, and other ones would be another release.
        rows = await self._store.read(lambda tables: tables.deployments.good(app.name, environment.name, LOOK_BACK))
        return next((one.plan.release for one in rows if one.plan.release.same_code(release)), None)

    async def _pins(self, app: App) -> tuple[Pin, ...]:
        """Return the images that the tags of bot.toml, or of the servers' Compose files, mean now."""
        return await self._images.pins(app) if app.has_images and self._images is not None else ()

    async def current(self, app: App, environment: Environment) -> Release | None:
        """Return the release that runs, from the first server that runs one of the bot's."""
        return await self._inspector.current(app, environment)

    async def running(self, app: App, environment: Environment) -> Mapping[str, Release | None]:
        """Return what each server runs that answers; None if that is none of the bot's."""
        return await self._inspector.running(app, environment)

    async def last_good(
        self, app: App, environment: Environment, before: Release | Collection[Release] | None
    ) -> Release | None:
        """Return the good release that ran before `before`; a release that was rolled back from does not count.

        Of several releases, which run on different servers, the newest counts. If one was never good, return the newest
        good one. Without a repository, it may be the same release with the settings of before.
        """
        past = await self._past(app, environment, _each(before))
        return past[-1].deployment.named if past else None

    async def _past(
        self, app: App, environment: Environment, before: Collection[Release], *, once: bool = False
    ) -> Sequence[WayBack]:
        """Return what ran well before some releases, oldest first; each release `once`, whatever its settings were."""
        rows = await self._store.read(
            lambda tables: tables.deployments.succeeded(app.name, environment.name, LOOK_BACK)
        )
        ways = good_ways(reversed(rows))
        newest = {one.release.id: one for one in ways}
        return past_before([one for one in ways if not once or newest[one.release.id] is one], before)

    async def ways_back(self, app: App, environment: Environment) -> RollbackChoices:
        """Return the last good releases before what runs, and what a rollback to each of them would take away."""
        return await self._menu.of(app, environment)

    async def offered(self, app: App, environment: Environment, *, back: bool = False) -> tuple[tuple[str, str], ...]:
        """Return the newest refs that the environment may accept; with `back`, the last good deployments to go back to.

        What runs already is marked, or left out if the way is `back` and all servers run it.
        """
        if back:
            return await self._store.read(lambda tables: tuple(ways_offered(tables, environment, OFFERED)))
        running = await self._store.read(lambda tables: tables.running.get(app.name, environment.name))
        return tuple(
            _newest(
                await self._refs.newest(app.at(environment)),
                environment,
                {one.release.code for one in running if one.release.code},
            )
        )

    async def origin(
        self, app: App, environment: Environment, release: Release, *, back: bool = False, before: str = ""
    ) -> Origin | None:
        """Ask the repository what allows a commit to run there; return None if bot.toml does not limit that.

        To go `back` to what has run well there needs nothing else: it must work when the repository is down or the
        tag is gone. Anything else without a commit is never allowed. `before` is the ref that allowed it when it was
        planned.
        """
        if not environment.refs and not environment.signed:
            return None
        if back and await self._has_run(environment, release):
            return Origin(ran=True)
        if release.code is None:
            return Origin(found="no branch, because it has no commit", unsigned="it has no commit")
        origin = Origin()
        if environment.refs:
            holding = await self._refs.holding(app, release.code)
            ref = allowed_by(environment.refs, holding, before=before)
            origin = replace(origin, ref=ref, found="" if ref else str(holding))
        if environment.signed:
            signature = await self._refs.signature(app, release.code)
            origin = replace(origin, signature=str(signature), unsigned="" if signature.by else signature.problem)
        return origin

    async def ignored_tags(self, app: App, environment: Environment) -> tuple[IgnoredTags, ...]:
        """Return the newest tags that do not count there, each with the reason."""
        return await self._followed.ignored(app.at(environment), environment)

    async def _has_run(self, environment: Environment, release: Release) -> bool:
        """Return whether a release has run well in an environment, or another one of the same commit."""
        rows = await self._store.read(
            lambda tables: tables.deployments.good(environment.app, environment.name, LOOK_BACK)
        )
        return any(one.plan.release.same_code(release) for one in rows)

    async def changes(self, app: App, old: Release, new: Release) -> Changes:
        """Return the changes between the commits of two releases; they are unknown if one of them has none."""
        if old.same_code(new):
            return Changes()
        if old.code is None or new.code is None:
            return Changes(known=False, images=await self._image_commits(app, old, new))
        return await self._refs.changes(app, old.code, new.code)

    async def _image_commits(self, app: App, old: Release, new: Release) -> tuple[ImageCommits, ...]:
        """Return the commits of the images that differ, by their labels; none if a registry cannot be asked."""
        pairs = [(was, pin) for pin in new.images if (was := old.image(pin.service)) and was.digest != pin.digest]
        if self._images is None or not pairs:
            return ()
        pins = [pin for pair in pairs[:MOST_IMAGES] for pin in pair]
        try:
            async with asyncio.timeout(LABELS_WITHIN):
                found = await self._images.origins(app, pins)
        except (Unreachable, UserError, TimeoutError):
            return ()
        commits = []
        for was, now in pairs[:MOST_IMAGES]:
            before, after = found[was.digest], found[now.digest]
            if before.revision and after.revision and before.revision != after.revision:
                same = before.repository == after.repository
                url = image_compare_url(after.repository, before.revision, after.revision, self._forges) if same else ""
                commits.append(ImageCommits(now.service, before.revision, after.revision, url))
        return tuple(commits)

    async def insist_on_file(self, app: App, release: Release, part: ServerPlan) -> None:
        """Raise UserError if a server's plan sends an artifact that the bot has no more."""
        await insist_on_file(self._refs, app, release, part)

    async def missing(self, app: App, release: Release) -> tuple[str, ...]:
        """Return what the commit of a release refers to and no server gets, as sentences.

        Nothing if the repository cannot be asked: a plan does not fail for that.
        """
        if release.code is None:
            return ()
        try:
            return (await self._refs.unfetched(app, release.code)).sentences
        except (Unreachable, UserError):
            return ()


def _each(releases: Release | Collection[Release] | None) -> Collection[Release]:
    return [releases] if isinstance(releases, Release) else releases or ()


def _one_of(app: App, environment: Environment, running: Mapping[str, Release | None], unclear: str) -> Release | None:
    """Return the one release that runs. Raises UserError if servers run different ones, with what that means."""
    found = _distinct(running)
    if len(found) > 1:
        each = ", ".join(f"{server} {one}" for server, one in running.items() if one)
        raise UserError(
            f"The servers of {app.name}/{environment.name} run different releases ({each}), so {unclear}.",
            hint=f"Name one: deploy {app.name}@{found[0].label} to {environment.name}",
        )
    return found[0] if found else None


def _distinct(running: Mapping[str, Release | None]) -> tuple[Release, ...]:
    """Return the releases that servers run, each once."""
    return tuple({one.id: one for one in running.values() if one is not None}.values())


def _newest(refs: Sequence[NamedRef], environment: Environment, running: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the default branch, the newest tags and the newest branches, without those that `refs` excludes."""
    branches = tuple(_bare(one) for one in refs if not one.is_tag)
    fitting = [one for one in refs if _may_fit(one, environment, branches)]
    tags = [one for one in fitting if one.is_tag]
    others = [one for one in fitting if not one.is_tag]
    few = max(OFFERED // 2, OFFERED - len(others))
    chosen = [*others[:1], *tags[:few], *others[1:]][:OFFERED]
    yield from ((f"{one.name} · runs" if one.commit in running else one.name, one.name) for one in chosen)


def _may_fit(ref: NamedRef, environment: Environment, branches: tuple[str, ...]) -> bool:
    """Return whether `refs` of an environment can allow a ref. Whether it does is checked when it is deployed."""
    if not environment.refs:
        return True
    name = _bare(ref)
    holding = Holding(branches, (name,)) if ref.is_tag else Holding((name,))
    wanted = f"{'tag' if ref.is_tag else 'branch'} {name}"
    return any(allowed_by((rule,), holding, before=wanted).partition(" on ")[0] == wanted for rule in environment.refs)


def _bare(ref: NamedRef) -> str:
    """Return a ref's name without the `heads/` or `tags/` that tells twins apart."""
    return ref.name.removeprefix("tags/" if ref.is_tag else "heads/")


def _service(pin: Pin) -> str:
    return pin.service


def _needs_environment(app: App, environment: Environment | None, ref: str) -> Environment:
    """Return the environment to resolve a ref in. Raises UserError if there is none."""
    if environment is None:
        raise UserError(f"{ref} needs an environment.", hint=f"Write where: {app.name}@{ref} to …")
    return environment
