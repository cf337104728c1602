"""Find new values in a repository and its registries for `auto`. Pure: an event and a check give the same result.

Each word of `auto` is a rule: `branch`, `tag`, `release`, `image`. The value that a rule saw last is stored under its
source. A rule that runs for the first time takes everything as seen, so adding `auto` to bot.toml deploys nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from deploybot.autodeploy.newest_tag import is_later, newest_tag
from deploybot.domain import AutoRule, Heads, Pin
from deploybot.domain.versions import tag_version
from deploybot.events.watched_refs import fits
from deploybot.settings import Auto

IMAGES = "images"
CARRIED_IMAGES = "images carried"
"""The source under which new images that an open deployment has are stored, until it ends."""
WAITING_IMAGES = "images that wait"
"""The source under which the text about images that wait for a commit is stored, for the card of its trigger."""


@dataclass(frozen=True, slots=True)
class There:
    """The current heads of the repository, the tags published as releases, and the images' pins.

    `images` is empty if the registries were not asked or did not answer. The rule for images is skipped then.
    """

    heads: Heads = field(default_factory=Heads)
    published: tuple[str, ...] = ()
    images: tuple[Pin, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A value that a rule sees now.

    `rule` of `auto` found it. The value `seen` is stored under `source`. `before` is the value from last time, empty if
    there was none. `where` is the ref: `heads/develop`, `tags/v1.4`, `images`. `commit` is empty for images. `words`
    are for people. `gone` is the newer tag that was seen last and does not exist any more.
    """

    rule: AutoRule
    source: str
    seen: str
    before: str
    where: str
    commit: str
    words: str
    gone: str = ""

    @property
    def commit_before(self) -> str:
        """Return the commit from last time, or an empty text if there was none."""
        return self.before.rpartition(" ")[2] if self.commit else ""


@dataclass(frozen=True, slots=True)
class News:
    """Changes since the last check, and in `first` the values of rules that run for the first time.

    `left` are the newest tags left after newer ones were deleted. They may be old or new, so people decide about them.
    """

    found: tuple[Found, ...] = ()
    first: Mapping[str, str] = field(default_factory=dict)
    left: tuple[Found, ...] = ()


def news(auto: Auto, there: There, seen: Mapping[str, str], dates: Mapping[str, float]) -> News:
    """Return the values that are new to `auto`. `dates` are those of commits whose tags are not versions."""
    found: list[Found] = []
    first: dict[str, str] = {}
    for rule, now in _rules(auto, there, seen, dates):
        if rule not in seen:
            first[rule] = ""
            first |= {one.source: one.seen for one in now}
        else:
            found += [one for one in now if one.seen != one.before]
    left = tuple(one for one in found if one.gone)
    return News(tuple(one for one in found if not one.gone), first, left)


def _rules(
    auto: Auto, there: There, seen: Mapping[str, str], dates: Mapping[str, float]
) -> Iterator[tuple[str, tuple[Found, ...]]]:
    """Yield the name of each rule with all that it sees now."""
    if auto.branch:
        yield f"branch {auto.branch}", tuple(_branches(auto.branch, there.heads, seen))
    if auto.tag:
        tags = {name: commit for name, commit in there.heads.tags.items() if fits(auto.tag, name)}
        yield f"tag {auto.tag}", tuple(_newest(AutoRule.TAG, auto.tag, tags, seen, dates))
    if auto.release:
        tags = {name: there.heads.tags[name] for name in there.published if name in there.heads.tags}
        yield "release", tuple(_newest(AutoRule.RELEASE, "-", tags, seen, dates))
    if auto.image and there.images:
        yield "image", tuple(_images(there.images, seen))


def _branches(glob: str, heads: Heads, seen: Mapping[str, str]) -> Iterator[Found]:
    for name, commit in sorted(heads.branches.items()):
        if fits(glob, name):
            where = f"heads/{name}"
            yield Found(AutoRule.BRANCH, where, commit, seen.get(where, ""), where, commit, f"push to {name}")


def _newest(
    rule: AutoRule, glob: str, tags: Mapping[str, str], seen: Mapping[str, str], dates: Mapping[str, float]
) -> Iterator[Found]:
    """Yield the newest tag if it is newer than the one seen last, or if that was deleted. A moved tag counts as new."""
    name = newest_tag(tags, dates, early="-" in glob)
    if not name:
        return
    source = f"newest {rule} {glob}"
    before = seen.get(source, "")
    old = before.rpartition(" ")[0]
    older = bool(old) and old != name and not is_later(name, old, tags, dates)
    if older and old in tags:
        return
    now, where = f"{name} {tags[name]}", f"tags/{name}"
    yield Found(rule, source, now, before, where, tags[name], f"{rule} {name}", gone=old if older else "")


def undated(auto: Auto, there: There) -> tuple[str, ...]:
    """Return the commits whose dates are needed: those of a rule's tags, if none of the tags is a version."""
    groups: list[Iterable[str]] = []
    if auto.tag:
        groups.append([name for name in there.heads.tags if fits(auto.tag, name)])
    if auto.release:
        groups.append([name for name in there.published if name in there.heads.tags])
    plain = (names for names in groups if not any(map(tag_version, names)))
    return tuple(dict.fromkeys(there.heads.tags[name] for names in plain for name in names))


def _images(pins: tuple[Pin, ...], seen: Mapping[str, str]) -> Iterator[Found]:
    before = seen.get(IMAGES, "")
    fresh = [pin for pin in pins if f"{pin.service}={pin.digest}" not in before.split()]
    names = " and ".join(f"{pin.image.rpartition('/')[2]}:{pin.tag}" for pin in fresh or pins)
    yield Found(AutoRule.IMAGE, IMAGES, images_text(pins), before, IMAGES, "", f"image {names}")


def images_text(pins: Iterable[Pin]) -> str:
    """Return `web=sha256:… worker=sha256:…`, sorted: the text by which sets of images are compared."""
    return " ".join(sorted(f"{pin.service}={pin.digest}" for pin in pins))
