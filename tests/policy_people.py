"""The people whom tests ask the policy about."""

from __future__ import annotations

from deploybot.domain import Person

ME = Person(1, "me")
OTHER = Person(2, "other")
THIRD = Person(3, "third")
PEOPLE = (ME, OTHER)
TEAM = (ME, OTHER, THIRD)
