"""What the harness itself writes down: which versions there are, and what a release ran when it ran well."""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass, field

from deploybot.domain import Release, State
from tests.histories.reality import EngineReader, Reality
from tests.histories.world.shop import ShopVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a release answered and ran when it was deployed: image ids and registry digests by service."""

    answer: str
    images: dict[str, str]
    digests: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PastOrder:
    """A deployment that ended: how, what was deployed, what answered before it, and which versions answered so then."""

    state: State
    release: Release
    before: str
    names: frozenset[str]


@dataclass(slots=True)
class Ledger:
    """The book of one history. `running` is the release that the last deployment left there, as it ended."""

    versions: dict[str, ShopVersion] = field(default_factory=dict)
    memories: dict[str, Memory] = field(default_factory=dict)
    orders: dict[int, PastOrder] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    running: str = ""

    def remember(self, release: str, reality: Reality, reader: EngineReader) -> None:
        """Write down what a release runs now."""
        images = reality.images
        digests = {service: reader.digests(image) for service, image in images.items()}
        self.memories[release] = Memory(answer=reality.answer, images=images, digests=digests)
        self.texts[release] = reality.answer

    def runs(self, reality: Reality) -> set[str]:
        """The releases whose images are exactly those that run."""
        return {release for release, one in self.memories.items() if one.images == reality.images}

    def names_of(self, text: str) -> frozenset[str]:
        """The versions that answer this: the one it is named after, and a version whose moving tag brought it."""
        moved = {
            version.name
            for release, answer in self.texts.items()
            for version in self.versions.values()
            if answer == text and release.startswith(version.commit)
        }
        return frozenset({text.rpartition("-")[2], *moved})

    def texts_of(self, short: str) -> set[str]:
        """What releases answer whose identity begins so."""
        return {text for release, text in self.texts.items() if release.startswith(short.partition("-")[0])}


def available(images: dict[str, str], digests: dict[str, tuple[str, ...]], reader: EngineReader) -> bool:
    """Whether every image of these is on the Engine by its id, or in the registry by its digest."""
    return all(
        reader.has_image(image) or any(map(_in_registry, digests.get(service, ()))) for service, image in images.items()
    )


def _in_registry(reference: str) -> bool:
    name, _, digest = reference.partition("@")
    host, _, repository = name.partition("/")
    if not host.startswith("127.0.0.1:"):
        return False
    request = urllib.request.Request(f"http://{host}/v2/{repository}/manifests/{digest}", method="HEAD")
    request.add_header("Accept", "application/vnd.docker.distribution.manifest.v2+json")
    try:
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310 - the laboratory's
            return True
    except OSError:
        return False
