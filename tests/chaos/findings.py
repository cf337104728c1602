"""What was found wrong, in the three words of the figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Findings:
    """`lost`: an end or log bytes are missing; `doubled`: done, said or kept twice; `untrue`: said, but not so."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)

    def add(self, other: Findings) -> None:
        """Take another's in."""
        self.lost += other.lost
        self.doubled += other.doubled
        self.untrue += other.untrue

    def __iter__(self) -> Iterator[str]:
        for word in ("lost", "doubled", "untrue"):
            yield from (f"{word}: {what}" for what in getattr(self, word))

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled or self.untrue)
