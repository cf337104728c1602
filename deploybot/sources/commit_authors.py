"""Read who wrote the commits between two others."""

from __future__ import annotations

from deploybot.domain import CommitAuthor
from deploybot.sources.git_mirror import Mirror
from deploybot.sources.git_process import fields
from deploybot.sources.ref_names import plain_name

_AUTHORS = "--format=%an%x00%ae%x00%(trailers:key=Co-authored-by,valueonly,separator=%x02)"


async def authors_between(mirror: Mirror, old: str, new: str) -> tuple[CommitAuthor, ...]:
    """Return the authors and co-authors of the commits between two others, each once."""
    output = await mirror.git("log", "-z", "--encoding=UTF-8", _AUTHORS, f"{old}..{new}", "--")
    found: dict[CommitAuthor, None] = {}
    for name, email, others in fields(output, 3):
        found.setdefault(CommitAuthor(plain_name(name), plain_name(email)))
        for other in filter(None, others.split("\x02")):
            called, _, rest = other.partition("<")
            found.setdefault(CommitAuthor(plain_name(called), plain_name(rest.partition(">")[0])))
    return tuple(found)
