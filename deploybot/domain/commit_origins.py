"""Where a commit comes from: the branches and tags that contain it, and its signature."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from deploybot.domain.ref_globs import fits

_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RefRule:
    """One entry of `refs`: patterns for branches, for tags, or for both.

    With `on`, a tag counts only if its commit is on a branch that matches this pattern.
    """

    branch: str = ""
    tag: str = ""
    on: str = ""

    def __str__(self) -> str:
        """Return `main` for both kinds; otherwise `branch main`, `tag v*` or `tag v* on main`."""
        if self.branch and self.tag:
            return self.branch
        return f"branch {self.branch}" if self.branch else f"tag {self.tag}{f' on {self.on}' if self.on else ''}"


@dataclass(frozen=True, slots=True)
class Holding:
    """The refs of a repository that contain a commit now.

    `branches` have it as their head or in their history. `tags` point to it. `twins` are those of `tags` whose name is
    also the name of a branch.
    """

    branches: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    twins: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return a text for people, such as `branch develop, tag test`."""
        found = [*(f"branch {one}" for one in self.branches), *(f"tag {one}" for one in self.tags)]
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        return ", ".join(found[:_SHOWN]) + more if found else "no branch and no tag"


@dataclass(frozen=True, slots=True)
class Signature:
    """A good signature of a commit: `by` a signer of bot.toml, `on` the `commit` or on `tag v1.4`.

    If there is none, `by` is empty and `problem` says what was found instead.
    """

    by: str = ""
    on: str = ""
    problem: str = ""

    def __str__(self) -> str:
        """Return `ana on tag v1.4`; empty if there is no good signature."""
        return f"{self.by} on {self.on}" if self.by else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Why a commit may run where `refs` or `signed` limit that, as read from the repository.

    `ref` is what `refs` allows it by, such as `branch main` or `tag v1.4 on main`. It is empty if nothing allows it;
    then `found` names the refs that contain the commit. `signature` is the good signature as text. It is empty if there
    is none; then `unsigned` says why. `ran` is True if the commit was healthy on this target before; then nothing else
    was looked up.
    """

    ref: str = ""
    found: str = ""
    signature: str = ""
    unsigned: str = ""
    ran: bool = False

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """The parts that an approval is bound to: the allowing ref and the signature, each only where it is limited."""
        ref = self.ref or ("nothing that refs allow" if self.found else "")
        signature = self.signature or ("none that counts" if self.unsigned else "")
        return tuple((name, rule) for name, rule in (("ref", ref), ("signature", signature)) if rule)

    def __str__(self) -> str:
        """Return a text for people, such as `branch main, signed by ana on the commit`."""
        signed = f"signed by {self.signature}" if self.signature else ""
        return ", ".join(filter(None, ("ran here before" if self.ran else self.ref, signed)))


def allowed_by(rules: Iterable[RefRule], holding: Holding, *, before: str = "") -> str:
    """Return what `refs` allows a commit by, such as `branch main`; empty if nothing allows it.

    If several refs do, `before` is kept, so a new branch with the same commit changes nothing.
    """
    found = list(dict.fromkeys(_allowing(rules, holding)))
    return before if before in found else next(iter(found), "")


def _allowing(rules: Iterable[RefRule], holding: Holding) -> Iterator[str]:
    """Yield everything that the rules allow the commit by.

    If a branch and a tag share a name, an entry for both kinds means the branch. Otherwise anyone who may push tags
    could get around the rules for `main`. An empty pattern fits no name.
    """
    for rule in rules:
        yield from (f"branch {name}" for name in holding.branches if fits(rule.branch, name))
        on = [name for name in holding.branches if fits(rule.on, name)]
        for name in holding.tags:
            is_twin = bool(rule.branch) and name in holding.twins
            if is_twin or not fits(rule.tag, name):
                continue
            if not rule.on:
                yield f"tag {name}"
            yield from (f"tag {name} on {branch}" for branch in on)
