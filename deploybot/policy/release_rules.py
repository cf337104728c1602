"""Rules about what is deployed: `after`, `refs` and `signed` of bot.toml."""

from __future__ import annotations

from deploybot.domain import Kind
from deploybot.policy.question_types import PolicyQuestion, RuleFinding, passes, refuses


def after_rule(question: PolicyQuestion) -> RuleFinding | None:
    """Require the release to be healthy in the environment before. A rollback may return to what ran well here."""
    before = question.before
    stays = question.command in {Kind.RESTART, Kind.TASK}
    if not question.changes_release or not question.is_one_target or stays:
        return None
    if before is None:
        return passes("No other environment is required first.")
    if not before.id:
        return passes(f"The same release must be healthy in {before.environment} first.")
    if question.command == Kind.ROLLBACK and before.been_here:
        return passes(f"{before.release} has run well here before, so {before.environment} is not checked.")
    if before.there and all(found == before.id and healthy for _, _, found, healthy in before.there):
        return passes(f"{before.release} is healthy in {before.environment}.")
    runs = "; ".join(
        f"{server}: {release or 'nothing'}{'' if healthy or not release else ', not healthy'}"
        for server, release, _, healthy in before.there
    )
    return refuses(f"{before.release} must be healthy in {before.environment} first. There now: {runs}.")


def refs_rule(question: PolicyQuestion) -> RuleFinding | None:
    """Allow only commits on refs that the target accepts. A rollback may return to what ran well here."""
    allowed = question.allowed
    if not _brings_commit(question) or allowed is None or not allowed.refs:
        return None
    only, origin = " or ".join(allowed.refs), allowed.origin
    if origin is None:
        return passes(f"Only commits on {only} may be deployed here; a commit is checked when it is known.")
    if question.command == Kind.ROLLBACK and origin.ran:
        return passes("The commit has run well here before, so it may come back from any ref.")
    if origin.ref:
        return passes(f"The commit is on {origin.ref}; allowed: {only}.")
    return refuses(f"Only commits on {only} may be deployed to {question.target}; this one is on {origin.found}.")


def signed_rule(question: PolicyQuestion) -> RuleFinding | None:
    """Allow only commits with a good signature by a signer. A rollback may return to what ran well here."""
    allowed = question.allowed
    if not _brings_commit(question) or allowed is None or not allowed.signed:
        return None
    origin = allowed.origin
    if origin is None:
        return passes("Only signed commits may be deployed here; a signature is verified when the commit is known.")
    if question.command == Kind.ROLLBACK and origin.ran:
        return passes("The commit has run well here before, so it may come back without a signature.")
    if origin.signature:
        return passes(f"The commit is signed by {origin.signature}.")
    return refuses(f"Only signed commits may be deployed to {question.target}: {origin.unsigned}.")


def _brings_commit(question: PolicyQuestion) -> bool:
    """Return whether it brings a commit to one target. A restart or a task does not."""
    stays = question.command in {Kind.RESTART, Kind.TASK}
    return question.changes_release and question.is_one_target and not stays
