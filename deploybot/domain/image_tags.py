"""Which tags of an image count, and in what order: version ranges, and patterns for everything else.

A pattern is a regular expression that must match the whole tag. With the order `number`, all numbers in its groups are
compared one after the other. This orders calendar versions, four-part versions, suffixes, build numbers and commit
times. The order `time` is by when the image was built, for tags that are commits.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from deploybot.domain.safe_regex import LinearMatch, LinearPattern, compiled
from deploybot.domain.version_ranges import Range
from deploybot.domain.versions import image_version

Order = Literal["number", "time"]
_NUMBERS: Final = re.compile(r"[0-9]+")
_EARLY: Final = re.compile(
    r"(?:alpha|beta|rc|pre|preview|dev|snapshot|nightly|canary|next|test)(?![a-z])", re.IGNORECASE
)
_MACHINES: Final = re.compile(
    r"(?:sha|pr|commit|cache|buildcache|branch)[-_.].*|[0-9a-f]{7,64}|.*\.(?:sig|att|sbom)", re.ASCII
)
_RELEASE: Final = re.compile(r"(?:[A-Za-z][A-Za-z_.-]*)?[0-9][\w.-]*", re.ASCII)
_PARTS: Final = 3


@dataclass(frozen=True, slots=True)
class TagPattern:
    """An image's `tag = { pattern = "…", order = "…" }` in bot.toml."""

    pattern: str
    order: Order = "number"

    def __str__(self) -> str:
        return f"{self.pattern} by {self.order}"


@dataclass(frozen=True, slots=True)
class TagRule:
    """Matches the tags of a version range, or those of a pattern with its order."""

    range: Range | None
    pattern: LinearPattern | None = None
    order: Order = "number"
    text: str = ""

    @classmethod
    def of(cls, wanted: str | TagPattern) -> TagRule | None:
        """Return the rule for a range or a pattern; None for an exact tag, which needs none."""
        if isinstance(wanted, TagPattern):
            return cls(None, compiled(wanted.pattern), wanted.order, wanted.pattern)
        found = Range.read(wanted)
        return cls(found, text=wanted) if found else None

    def why_not(self, tag: str) -> str:
        """Return why a tag does not count; empty if it does."""
        if self.range is not None:
            return _why_not_in(self.range, self.text, tag)
        assert self.pattern is not None  # noqa: S101  one of the two is always set
        match = self.pattern.fullmatch(tag)
        if match is None:
            return f"it does not match `{self.text}`"
        return "" if self.order == "time" or _numbers(match) else f"`{self.text}` finds no number in it to sort by"

    def fitting(self, tags: Iterable[str]) -> tuple[str, ...]:
        """Return the tags that count."""
        return tuple(tag for tag in tags if not self.why_not(tag))

    def newest(self, tags: Iterable[str]) -> str:
        """Return the newest tag by version or number; empty if none counts."""
        if self.range is not None:
            return self.range.newest(tags)
        assert self.pattern is not None  # noqa: S101  one of the two is always set
        found = [(_numbers(match), tag) for tag in tags if (match := self.pattern.fullmatch(tag)) and _numbers(match)]
        return max(found, default=((), ""))[1]


def is_release_like(tag: str) -> bool:
    """Return whether a tag looks like a release: it has a number and is not a commit, branch or pre-release."""
    return not (_MACHINES.fullmatch(tag) or _EARLY.search(tag)) and _RELEASE.fullmatch(tag) is not None


def is_of_another_form(rule: TagRule, tag: str) -> bool:
    """Return whether a tag can never count, however new it is. A version outside a range may be left out on purpose."""
    version = image_version(tag) if rule.range is not None else None
    return bool(rule.why_not(tag)) and (version is None or not version.is_release)


def pattern_for(tag: str) -> str:
    """Return a pattern that matches tags of the same form."""
    return _NUMBERS.sub(lambda _: r"(\d+)", re.sub(r"[.+]", lambda sign: f"\\{sign[0]}", tag))


def reasons(rule: TagRule, tags: Iterable[str]) -> list[tuple[str, str]]:
    """Return the tags that look like releases but can never count, each with the reason, highest numbers first."""
    found = [tag for tag in tags if is_release_like(tag) and is_of_another_form(rule, tag)]
    return [(tag, rule.why_not(tag)) for tag in sorted(found, key=_by_numbers, reverse=True)]


def ignored(rule: TagRule, tags: Collection[str]) -> list[tuple[str, str]]:
    """Return `reasons`, and the versions outside a range that are newer than the newest one in it."""
    found = {tag for tag, _ in reasons(rule, tags)}
    if rule.range is not None:
        newest = image_version(rule.newest(tags))
        versions = ((tag, version) for tag in tags if (version := image_version(tag)) and not rule.range.holds(version))
        found |= {tag for tag, version in versions if newest is None or version > newest}
    return [(tag, rule.why_not(tag)) for tag in sorted(found, key=_by_numbers, reverse=True)]


def advice_for(tag: str) -> str:
    """Return a sentence on how to follow tags of this form in bot.toml."""
    return f"To follow tags such as {tag}, set tag = {{ pattern = '{pattern_for(tag)}', order = \"number\" }}."


def _by_numbers(tag: str) -> tuple[list[int], str]:
    return [int(number) for number in _NUMBERS.findall(tag)], tag


def _numbers(match: LinearMatch) -> tuple[int, ...]:
    """Return all numbers in the groups of a match, or in the whole match if the pattern has no groups."""
    groups = match.groups() or (match[0],)
    return tuple(int(number) for group in groups if group for number in _NUMBERS.findall(group))


def _why_not_in(wanted: Range, text: str, tag: str) -> str:
    version = image_version(tag)
    if version is not None:
        if wanted.holds(version):
            return ""
        if not version.is_release and version.numbers not in wanted.early:
            pre = tag.partition("+")[0].partition("-")[2]
            return f"`-{pre}` makes it a pre-release, and `{text}` does not include pre-releases of that version"
        return f"it is not in `{text}`"
    numbers = tag.removeprefix("v").partition("-")[0].split(".")
    if not all(part.isdecimal() and part.isascii() for part in numbers):
        return "it is not a version such as 1.4.2"
    if any(len(part) > 1 and part.startswith("0") for part in numbers):
        return "a number in it begins with 0, which versions do not allow"
    return f"it has {len(numbers)} numbers, and a version has {_PARTS}"
