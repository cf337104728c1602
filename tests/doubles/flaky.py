"""A platform that fails at random: every so many calls it says 429 or 503, before it has done anything."""

from __future__ import annotations

import random

from tests.doubles.slack import SlackDouble
from tests.doubles.telegram import TelegramDouble
from tests.doubles.timeline import Unkind


class Flaky(Unkind):
    """`timeline.Unkind` with faults of its own; `failures` counts them. `share` of all calls fails."""

    def __init__(self, dice: random.Random, share: float = 0.1) -> None:
        super().__init__(retry_after=1.0)
        self._dice = dice
        self._share = share / 2
        self.failures = 0

    @property
    def too_many(self) -> int:
        """Whether this call is told to come later."""
        return self._strikes()

    @too_many.setter
    def too_many(self, left: int) -> None:
        """What the double counts down: there is always more to come."""

    @property
    def broken(self) -> int:
        """Whether this call meets a server that is broken."""
        return self._strikes()

    @broken.setter
    def broken(self, left: int) -> None:
        """What the double counts down: there is always more to come."""

    def _strikes(self) -> int:
        struck = self._dice.random() < self._share
        self.failures += struck
        return int(struck)


def make_flaky(double: SlackDouble | TelegramDouble, dice: random.Random, share: float = 0.1) -> Flaky:
    """Have the double's API fail; the way from people to the bot stays whole."""
    flaky = double.unkind = Flaky(dice, share)
    if isinstance(double, SlackDouble):
        double.web.unkind = flaky
    return flaky
