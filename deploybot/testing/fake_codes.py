"""Secrets of one-time codes in memory."""

from __future__ import annotations


class FakeCodeSecrets:
    """`ports.CodeSecrets`; `kept` are the secrets in force, `new` those that were offered, by person."""

    def __init__(self) -> None:
        """Nobody has one yet."""
        self.kept: dict[int, str] = {}
        self.new: dict[int, str] = {}

    async def get(self, person: int) -> str | None:
        """A person's secret (base32); None for one who has not enrolled."""
        return self.kept.get(person)

    async def offered(self, person: int) -> str | None:
        """The secret that a person was shown and has not confirmed."""
        return self.new.get(person)

    async def offer(self, person: int, secret: str) -> None:
        """Keep a secret until it is confirmed."""
        self.new[person] = secret

    async def confirm(self, person: int) -> None:
        """Put the offered secret in force."""
        self.kept[person] = self.new.pop(person)

    async def move(self, person: int, into: int) -> None:
        """Give a person's secret to another one who has none; delete it otherwise."""
        self.new.pop(person, None)
        secret = self.kept.pop(person, None)
        if secret is not None:
            self.kept.setdefault(into, secret)
