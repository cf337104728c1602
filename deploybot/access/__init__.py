"""The allowlist and people's locks: questions put to the policy with what the database says now."""

from deploybot.access.identities import PLATFORMS, Who, identity_text, name_from, read_who
from deploybot.access.links import new_code
from deploybot.access.locks import PersonLocks
from deploybot.access.people import Access, Answer, Known, stranger_card

__all__ = [
    "PLATFORMS",
    "Access",
    "Answer",
    "Known",
    "PersonLocks",
    "Who",
    "identity_text",
    "name_from",
    "new_code",
    "read_who",
    "stranger_card",
]
