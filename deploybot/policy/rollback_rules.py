"""How many approvals a rollback needs. Only a way back to what ran well counts as one; all else is a deployment."""

from __future__ import annotations

from dataclasses import dataclass

from deploybot.domain import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackTerms:
    """The approvals of a target that needs another number for a rollback than for a deployment.

    `forward` is why this rollback counts as a deployment: it brings what did not run well there before, or what is
    newer than what runs. It is empty for a way back. `is_known` is False while it is unknown what would be rolled back
    to.
    """

    usual: int
    back: int
    forward: str = ""
    is_known: bool = True

    @property
    def count(self) -> int:
        """Return how many approvals it needs."""
        return self.usual if self.forward else self.back

    @property
    def counts_as(self) -> str:
        """Return how it counts, for cards: `a rollback: 0 approvals, not 2`; empty if that makes no difference."""
        if self.forward:
            return f"a deployment: {self.forward}"
        return "" if self.back >= self.usual else f"a rollback: {_approvals(self.back)}, not {self.usual}"

    @property
    def sentence(self) -> str:
        """Return the same as a sentence, for `why`."""
        if self.forward:
            return f"It counts as a deployment: {self.forward}."
        if not self.is_known:
            return f"That is for a release that ran well there before; any other needs {_approvals(self.usual)}."
        return f"It goes back to what ran well there before; a deployment needs {_approvals(self.usual)}."


def approvals_wanted(approvals: int, command: str, terms: RollbackTerms | None) -> int:
    """Return how many approvals a command needs where a deployment needs `approvals`."""
    return terms.count if terms is not None and command == Kind.ROLLBACK else approvals


def _approvals(count: int) -> str:
    return f"{count} approval{'' if count == 1 else 's'}"
