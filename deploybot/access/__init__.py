"""The allowlist and people's locks. Both ask the policy with the current data of the database."""

from deploybot.access.account_links import new_code
from deploybot.access.account_syntax import PLATFORMS, Who, identity_text, name_from, read_who
from deploybot.access.allowlist import Access, Known, PersonAnswer, stranger_card
from deploybot.access.target_freezes import TargetFreezes
from deploybot.access.target_locks import PersonLocks

__all__ = [
    "PLATFORMS",
    "Access",
    "Known",
    "PersonAnswer",
    "PersonLocks",
    "TargetFreezes",
    "Who",
    "identity_text",
    "name_from",
    "new_code",
    "read_who",
    "stranger_card",
]
