"""Secrets of one-time codes in memory."""

from __future__ import annotations


class FakeCodeSecrets:
    """`ports.CodeSecrets`. `kept` has the active secrets, `new` the offered ones, both by person."""

    def __init__(self) -> None:
        """Start without any secrets."""
        self.kept: dict[int, str] = {}
        self.new: dict[int, str] = {}

    async def get(self, person: int) -> str | None:
        """Return a person's secret (base32), or None if the person has not enrolled."""
        return self.kept.get(person)

    async def offered(self, person: int) -> str | None:
        """Return the secret that a person was shown and has not confirmed."""
        return self.new.get(person)

    async def offer(self, person: int, secret: str) -> None:
        """Store a secret until it is confirmed."""
        self.new[person] = secret

    async def confirm(self, person: int) -> None:
        """Make the offered secret the active one."""
        self.kept[person] = self.new.pop(person)

    async def move(self, person: int, into: int) -> None:
        """Give a person's secret to another person without one. Otherwise delete it."""
        self.new.pop(person, None)
        secret = self.kept.pop(person, None)
        if secret is not None:
            self.kept.setdefault(into, secret)
