"""Check refs that people type, find the commit they name, and suggest similar names."""

from __future__ import annotations

import difflib
import re

from deploybot.domain import NamedRef
from deploybot.errors import UserError
from deploybot.sources.git_mirror import Refs
from deploybot.untrusted_input import lines

_ALLOWED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+@#=-]{0,199}", re.ASCII)
_NEVER = ("..", "@{", "//", "/.")
REF_TIMES = "%(creatordate:unix) %(refname)"
"""The format that `newest_first` reads (git-for-each-ref(1))."""
_CLOSE = 0.3
_NEAREST = 3
_LONGEST = 200


_OF_COMMITS = "A ref is a branch, a tag or a commit, such as main, v1.4 or 3f2a9c1. Others can be named by commit."


def check_ref(ref: str, app: str, hint: str = _OF_COMMITS) -> None:
    """Refuse an invalid ref (stricter than git-check-ref-format(1)); an empty one means the default.

    `hint` says what a ref of this app is. Raises UserError.
    """
    if not ref:
        return
    bad_end = ref.endswith(("/", ".", ".lock"))
    if not _ALLOWED.fullmatch(ref) or bad_end or any(part in ref for part in _NEVER):
        shown = "".join(char if char.isascii() and char.isprintable() else "?" for char in ref[:60])
        raise UserError(
            f"`{shown}` cannot be a ref of {app}.",
            hint=hint,
        )


def find_named(ref: str, refs: Refs, app: str) -> tuple[str, str]:
    """Return the commit and name of a branch or tag, or two empty strings if there is none.

    An empty ref is the remote's default branch. Raises UserError if a branch and a tag of this name differ.
    """
    if not ref:
        if not refs.branches:
            raise UserError(f"The repository of {app} has no branch yet.", hint="Push a commit first.")
        if not refs.default:
            raise UserError(
                f"The repository of {app} has no default branch.",
                hint=f"Name a ref, or set apps.{app}.branch. It has: {', '.join(sorted(refs.branches)[:_NEAREST])}.",
            )
        return refs.branches[refs.default], refs.default
    full = ref.removeprefix("refs/")
    for kind, names in (("heads/", refs.branches), ("tags/", refs.tags)):
        # A branch may be called `heads/main`, too. As for git, that is `heads/heads/main`.
        if full.startswith(kind) and (commit := names.get(full.removeprefix(kind))):
            return commit, ref
    branch, tag = refs.branches.get(ref), refs.tags.get(ref)
    if branch and tag and branch != tag:
        raise UserError(
            f"`{ref}` is both a branch ({branch[:10]}) and a tag ({tag[:10]}) in {app}.",
            hint=f"Write heads/{ref} or tags/{ref}.",
        )
    found = tag or branch or ""
    return found, ref if found else ""


def tag_named(ref: str, refs: Refs) -> str:
    """Return the tag that a ref names, as `find_named` finds it; empty if it names a branch or a commit."""
    full = ref.removeprefix("refs/")
    if full.removeprefix("heads/") in refs.branches and full.startswith("heads/"):
        return ""
    bare = full.removeprefix("tags/")
    if full.startswith("tags/") and bare in refs.tags:
        return bare
    return ref if ref in refs.tags else ""


def nearest(ref: str, refs: Refs) -> tuple[str, ...]:
    """Return up to three names similar to `ref`, ending with the default branch if there is room."""
    names = list(dict.fromkeys((*refs.tags, *refs.branches)))
    close = difflib.get_close_matches(ref, names, _NEAREST, _CLOSE)
    if len(close) < _NEAREST and refs.default and refs.default not in close:
        close.append(refs.default)
    return tuple(close)


def no_such_ref(ref: str, app: str, close: tuple[str, ...]) -> UserError:
    """Return the error for a name that the remote does not have."""
    hint = f"Nearest: {', '.join(close)}." if close else "It has no branch or tag with a similar name."
    return UserError(f"There is no ref `{ref}` in {app}.", hint=hint)


def newest_first(output: str, refs: Refs, branch: str) -> tuple[NamedRef, ...]:
    """Return the refs of the remote in git's order, but `branch` or the default one first.

    `output` has a line in the format `REF_TIMES` for each ref of the mirror; those that the remote lacks are left out.
    """
    found = [one for line in lines(output) if (one := _named_ref(line, refs)) is not None]
    first = branch or refs.default
    return tuple(sorted(found, key=lambda one: one.is_tag or one.name.removeprefix("heads/") != first))


def _named_ref(line: str, refs: Refs) -> NamedRef | None:
    at, _, full = line.partition(" ")
    kind, _, name = full.removeprefix("refs/").partition("/")
    commit = (refs.tags if kind == "tags" else refs.branches).get(name)
    if commit is None:
        return None
    is_twin = name in refs.tags and name in refs.branches
    time = float(at) if at.isdigit() else 0.0
    return NamedRef(name=f"{kind}/{name}" if is_twin else name, commit=commit, at=time, is_tag=kind == "tags")


def plain_name(text: str) -> str:
    """Return one line without control characters, cut to 200 characters."""
    return "".join(char if char.isprintable() else " " for char in text)[:_LONGEST].strip()
