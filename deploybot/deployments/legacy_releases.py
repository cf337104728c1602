"""Adopt the releases that the previous version of deploybot made on a server.

That version kept its marker files in the release folders, where a repository can have files of the same names. So a
marker only counts for a release that the database knows and whose commit has no file by any of those names.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploybot.deployments.target_inspection import LOOK_BACK, Inspector
from deploybot.domain import (
    NO_RELEASE,
    Container,
    Deployment,
    Kind,
    Manifest,
    ManifestRow,
    Release,
    ServiceImage,
    Step,
    registry_digest,
)
from deploybot.errors import StepFailed, Unreachable, UserError
from deploybot.ports import Engine, RefSource, Servers, Site, Store, Strategy, Tables
from deploybot.strategies.common_steps import Move

log = logging.getLogger(__name__)

OLD_NAMES = (
    ".deploybot-complete",
    ".deploybot-compose",
    ".deploybot-good",
    ".deploybot-release",
    "deploybot.images.before.yaml",
    "deploybot.images.yaml",
)
"""The files that the previous version wrote into a release's folder."""

_HEADER = "# Made by deploybot: the images of this release.\nservices:\n"
_PINS = "deploybot.images.yaml"
_SERVICE = re.compile(
    r'  "(?P<service>[A-Za-z0-9][A-Za-z0-9._-]*)":\n'
    r'    image: "(?P<tag>deploybot/[a-z0-9._/-]+:(?P<hex>[0-9a-f]{12}))"\n'
    r"    labels:\n"
    r'      deploybot\.release: "(?P<since>[0-9a-f-]{40,77})"\n'
    r'      deploybot\.image: "(?P<label>[^"\s]{1,512})"\n'
    r"(?:    pull_policy: never\n)?",
    re.ASCII,
)
_MOST_FILES = 20


@dataclass(frozen=True, slots=True)
class OldPin:
    """The image of one service, as the previous version pinned it. `tag` ends with `hex`, the start of its id."""

    service: str
    tag: str
    hex: str
    since: str
    label: str


@dataclass(frozen=True, slots=True)
class OldRelease:
    """What the previous version left of one release: its Compose files and its pins; other strategies have neither."""

    files: tuple[str, ...] = ()
    pins: tuple[OldPin, ...] = ()


class Legacy:
    """Adopts old releases before a plan is made."""

    def __init__(
        self,
        *,
        store: Store,
        servers: Servers,
        refs: RefSource,
        inspector: Inspector,
        strategies: Mapping[str, Strategy],
    ) -> None:
        """Take the ports, and the inspector of servers."""
        self._store = store
        self._servers = servers
        self._refs = refs
        self._inspector = inspector
        self._strategies = strategies

    async def adopt(self, site: Site) -> Site:
        """Adopt what the previous version made there, and observe again; return the same site if there is nothing.

        What cannot be adopted is fetched and built again when needed. Raises Unreachable or EngineError.
        """
        left = [one for one in site.facts.legacy if one not in site.facts.releases]
        if not left:
            return site
        made = await self._store.read(lambda tables: _made(tables, site))
        sure = [one for one in left if one in made and await self._is_ours(site, one)]
        if not sure:
            return site
        try:
            await self._take_over(site, sure, made)
        except StepFailed as problem:
            log.warning(
                "releases from the previous version are left as they are: %s %s", problem, " ".join(problem.tail)
            )
            return site
        return await self._inspector.site(site.app, site.environment, site.server, remove_orphans=site.remove_orphans)

    async def _is_ours(self, site: Site, release: str) -> bool:
        """Return whether a release's markers are the bot's: it was healthy there or runs, and its commit has none."""
        if release not in site.good and release != site.facts.current:
            return False
        commit = Release.by_id(release).code
        if commit is None:
            return False
        try:
            return not await self._refs.ships(site.app, commit, OLD_NAMES)
        except (Unreachable, UserError) as problem:
            log.info("%s of %s is not taken over: %s", release, site.app.name, problem)
            return False

    async def _take_over(self, site: Site, releases: Sequence[str], made: dict[str, float]) -> None:
        """Record the images of releases, then mark the releases; a crash in between repeats both."""
        found = read_old(await self._inspector.output(site, _step(site, "show", releases)))
        taken = [one for one in releases if one in found]
        for release in taken if self._strategies[site.app.strategy].containers else ():
            manifest = await self._manifest(site, release, found[release])
            if manifest is not None and release not in site.manifests:
                await self._record(site, release, manifest, made[release])
        others = [one for one in made if one not in taken]
        await self._inspector.output(site, _step(site, "mark", taken, others))

    async def _record(self, site: Site, release: str, manifest: Manifest, at: float) -> None:
        row = ManifestRow(
            app=site.app.name,
            environment=site.environment.name,
            server=site.server,
            release=release,
            manifest=manifest,
            at=at,
            verified=release in site.good,
        )
        await self._store.write(lambda tables: tables.manifests.put(row))

    async def _manifest(self, site: Site, release: str, old: OldRelease) -> Manifest | None:
        """Return the images of a release; None if one of them is not known for sure."""
        engine = self._servers.engine(site.server)
        services = site.observed.services if site.observed and release == site.facts.current else {}
        found = []
        for pin in old.pins:
            image = of_containers(pin, services.get(pin.service, ())) or await _of_engine(pin, engine)
            if image is None:
                return None
            found.append(image)
        return Manifest(services=tuple(found), files=old.files) if found else None


def read_old(output: bytes) -> dict[str, OldRelease]:
    """Parse what `adopt.sh` prints, by release; leave out those whose files are not as the bot writes them."""
    printed: dict[str, list[tuple[str, str]]] = {}
    release = ""
    for line in output.decode("utf-8", "replace").split("\n"):
        word, _, text = line.partition(" ")
        if word == "release":
            release = text
            printed[release] = []
        elif release and word:
            printed[release].append((word, text))
    read = {one: _old(lines) for one, lines in printed.items()}
    return {one: old for one, old in read.items() if old is not None}


def _old(lines: Sequence[tuple[str, str]]) -> OldRelease | None:
    files = tuple(text for word, text in lines if word == "compose" and text != _PINS)
    text = "".join(f"{text}\n" for word, text in lines if word == "pins")
    pins = _pins(text)
    if pins is None or len(files) > _MOST_FILES or not all(map(_is_inside, files)):
        return None
    return OldRelease(files, pins)


def _is_inside(path: str) -> bool:
    """Return whether a path stays in the folder that it is relative to."""
    return bool(path) and path.isprintable() and not path.startswith(("/", "-")) and ".." not in path.split("/")


def _pins(text: str) -> tuple[OldPin, ...] | None:
    """Parse a file of pins; return None if it is not exactly as the bot writes it."""
    if text and not text.startswith(_HEADER):
        return None
    found, at = [], len(_HEADER)
    while at < len(text):
        match = _SERVICE.match(text, at)
        if match is None:
            return None
        found.append(OldPin(**match.groupdict()))
        at = match.end()
    return tuple(found)


def of_containers(pin: OldPin, containers: Sequence[Container]) -> ServiceImage | None:
    """Return the image that a service's containers run, if all of them were made from the pin."""
    ids = {one.image_id for one in containers}
    labels = {(one.label("deploybot.release"), one.label("deploybot.image")) for one in containers}
    if labels != {(pin.since, pin.label)} or len(ids) != 1:
        return None
    (image,) = ids
    return _image(pin, image, (), len(containers)) if _is_named_by(image, pin) else None


async def _of_engine(pin: OldPin, engine: Engine | None) -> ServiceImage | None:
    """Return the image of a pin, if the Engine still has it."""
    for name in (pin.tag, pin.label) if engine else ():
        image = await engine.image(name) if engine else None
        if image is not None and _is_named_by(image.id, pin):
            return _image(pin, image.id, image.digests, 1)
    return None


def _is_named_by(image: str, pin: OldPin) -> bool:
    """Return whether an image is the one that the pin's tag was made for, whatever the tag points to now."""
    return image.startswith(f"sha256:{pin.hex}")


def _image(pin: OldPin, image: str, digests: Sequence[str], replicas: int) -> ServiceImage:
    digest = pin.label if "@" in pin.label else registry_digest(digests)
    return ServiceImage(service=pin.service, image=image, name=pin.tag, digest=digest, replicas=replicas)


def _step(site: Site, action: str, releases: Sequence[str], others: Sequence[str] = ()) -> Step:
    values = {
        "DEPLOYBOT_ACTION": action,
        "DEPLOYBOT_RELEASES": "\n".join(releases),
        "DEPLOYBOT_OTHERS": "\n".join(others),
    }
    return Move(site=site, release=NO_RELEASE, previous="").step("adopt", "adopt", values)


def _made(tables: Tables, site: Site) -> dict[str, float]:
    """Return the releases that the bot began to put there, each with the time of its latest attempt."""
    found: dict[str, float] = {}
    for one in tables.deployments.recent(site.app.name, site.environment.name, LOOK_BACK):
        if one.started and _puts(one, site.server):
            found.setdefault(one.plan.release.id, one.finished or one.started)
    return found


def _puts(one: Deployment, server: str) -> bool:
    return one.plan.kind in {Kind.DEPLOY, Kind.ROLLBACK} and any(part.server == server for part in one.plan.servers)
