"""What `auto` finds in a repository and its registries: pure, so an event and a look of the bot's own say the same.

Each of its words is a rule: `branch`, `tag`, `release`, `image`. What a rule saw last is kept under its source, and a
rule that has never looked takes what is there for seen: nothing is deployed because `auto` was written into bot.toml.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from deploybot.autodeploy.tag_order import version_of
from deploybot.domain import Heads, Pin
from deploybot.events.watched_refs import fits
from deploybot.settings import Auto

IMAGES = "images"


@dataclass(frozen=True, slots=True)
class There:
    """What is there now: the repository's heads, the tags published as releases, and the images' pins.

    `images` is empty where the registries were not asked, or did not answer: then nothing is said of them.
    """

    heads: Heads = field(default_factory=Heads)
    published: tuple[str, ...] = ()
    images: tuple[Pin, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """Something that a rule sees now.

    `source` is what it is kept under, `seen` what is kept, `before` what was (empty: it is new there). `where` is
    the ref itself: `heads/develop`, `tags/v1.4`, `images`. `commit` is empty for images. `words` are for people.
    """

    source: str
    seen: str
    before: str
    where: str
    commit: str
    words: str

    @property
    def commit_before(self) -> str:
        """The commit that was there before; empty where there was none."""
        return self.before.rpartition(" ")[2] if self.commit else ""


@dataclass(frozen=True, slots=True)
class News:
    """What has changed since the last look, and what is only to be kept: rules that look for the first time."""

    found: tuple[Found, ...] = ()
    first: Mapping[str, str] = field(default_factory=dict)


def news(auto: Auto, there: There, seen: Mapping[str, str], dates: Mapping[str, float]) -> News:
    """What `auto` sees that it had not seen. `dates` are those of commits of tags that are no versions."""
    found: list[Found] = []
    first: dict[str, str] = {}
    for rule, now in _rules(auto, there, seen, dates):
        if rule not in seen:
            first[rule] = ""
            first |= {one.source: one.seen for one in now}
        else:
            found += [one for one in now if one.seen != one.before]
    return News(tuple(found), first)


def _rules(
    auto: Auto, there: There, seen: Mapping[str, str], dates: Mapping[str, float]
) -> Iterator[tuple[str, tuple[Found, ...]]]:
    """Each rule by what it is called, with all that it sees now."""
    if auto.branch:
        yield f"branch {auto.branch}", tuple(_branches(auto.branch, there.heads, seen))
    if auto.tag:
        tags = {name: commit for name, commit in there.heads.tags.items() if fits(auto.tag, name)}
        yield f"tag {auto.tag}", tuple(_newest("tag", auto.tag, tags, seen, dates))
    if auto.release:
        tags = {name: there.heads.tags[name] for name in there.published if name in there.heads.tags}
        yield "release", tuple(_newest("release", "-", tags, seen, dates))
    if auto.image and there.images:
        yield "image", tuple(_images(there.images, seen))


def _branches(glob: str, heads: Heads, seen: Mapping[str, str]) -> Iterator[Found]:
    for name, commit in sorted(heads.branches.items()):
        if fits(glob, name):
            where = f"heads/{name}"
            yield Found(where, commit, seen.get(where, ""), where, commit, f"push to {name}")


def _newest(
    rule: str, glob: str, tags: Mapping[str, str], seen: Mapping[str, str], dates: Mapping[str, float]
) -> Iterator[Found]:
    """The newest of some tags, if it is newer than the one that was seen; a tag that was moved counts as new."""
    name = newest_tag(tags, dates, early="-" in glob)
    if not name:
        return
    source = f"newest {rule} {glob}"
    before = seen.get(source, "")
    old = before.rpartition(" ")[0]
    if old and old != name and not _is_later(name, old, tags, dates):
        return
    yield Found(source, f"{name} {tags[name]}", before, f"tags/{name}", tags[name], f"{rule} {name}")


def _is_later(name: str, old: str, tags: Mapping[str, str], dates: Mapping[str, float]) -> bool:
    new_version, old_version = version_of(name), version_of(old)
    if new_version and old_version:
        return new_version > old_version
    return old not in tags or dates.get(tags[name], 0.0) > dates.get(tags[old], 0.0)


def newest_tag(tags: Mapping[str, str], dates: Mapping[str, float], *, early: bool) -> str:
    """The newest tag: by version as soon as one of them is one, else by the dates of their commits.

    What came before a release (`v2.0.0-rc.1`) counts only where `early` is set. Empty where there is none.
    """
    versions = {name: version for name in tags if (version := version_of(name)) is not None}
    if versions:
        fit = {name: version for name, version in versions.items() if early or version.whole}
        return max(sorted(fit), key=fit.__getitem__, default="")
    return max(sorted(tags), key=lambda name: dates.get(tags[name], 0.0), default="")


def undated(auto: Auto, there: There) -> tuple[str, ...]:
    """The commits whose dates decide: of tags that a rule looks at, where none of them is a version."""
    groups: list[Iterable[str]] = []
    if auto.tag:
        groups.append([name for name in there.heads.tags if fits(auto.tag, name)])
    if auto.release:
        groups.append([name for name in there.published if name in there.heads.tags])
    plain = (names for names in groups if not any(map(version_of, names)))
    return tuple(dict.fromkeys(there.heads.tags[name] for names in plain for name in names))


def _images(pins: tuple[Pin, ...], seen: Mapping[str, str]) -> Iterator[Found]:
    before = seen.get(IMAGES, "")
    fresh = [pin for pin in pins if f"{pin.service}={pin.digest}" not in before.split()]
    names = " and ".join(f"{pin.image.rpartition('/')[2]}:{pin.tag}" for pin in fresh or pins)
    yield Found(IMAGES, images_text(pins), before, IMAGES, "", f"image {names}")


def images_text(pins: Iterable[Pin]) -> str:
    """`web=sha256:… worker=sha256:…`, sorted: what tells images apart."""
    return " ".join(sorted(f"{pin.service}={pin.digest}" for pin in pins))
