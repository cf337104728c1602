"""Secrets of one-time codes in memory."""

from __future__ import annotations


class FakeCodeSecrets:
    """`ports.CodeSecrets`. `kept` has the active secrets, `new` the offered ones, `shown` since when; all by person."""

    def __init__(self) -> None:
        """Start without any secrets."""
        self.kept: dict[int, str] = {}
        self.new: dict[int, str] = {}
        self.shown: dict[int, float] = {}

    async def get(self, person: int) -> str | None:
        """Return a person's secret (base32), or None if the person has not enrolled."""
        return self.kept.get(person)

    async def offered(self, person: int, *, since: float = 0.0) -> str | None:
        """Return the secret that a person was shown at `since` or later and has not confirmed."""
        return self.new.get(person) if self.shown.get(person, 0.0) >= since else None

    async def offer(self, person: int, secret: str, *, at: float = 0.0) -> None:
        """Store a secret that a person is shown at this time, until it is confirmed."""
        self.new[person], self.shown[person] = secret, at

    async def confirm(self, person: int) -> None:
        """Make the offered secret the active one."""
        self.kept[person] = self.new.pop(person)

    async def copy(self, person: int, into: int) -> bool:
        """Give a person's secret to another person without one, also in place of an offered one. Return whether."""
        if person not in self.kept or into in self.kept:
            return False
        self.kept[into] = self.kept[person]
        self.new.pop(into, None)
        return True

    async def move(self, person: int, into: int) -> None:
        """Give a person's secret to another person without one. Otherwise delete it."""
        await self.copy(person, into)
        await self.forget(person)

    async def forget(self, person: int) -> bool:
        """Delete a person's secrets. Return whether one was active."""
        self.new.pop(person, None)
        return self.kept.pop(person, None) is not None
