"""The people who may sign commits, in bot.toml."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from pydantic import BeforeValidator

from deploybot.settings.address_values import SigningKey
from deploybot.settings.setting_types import FileRef, SettingsPart
from deploybot.settings.value_shapes import Day, one_or_many

SigningKeys = Annotated[tuple[SigningKey, ...], BeforeValidator(one_or_many)]


class Signer(SettingsPart):
    """`[signers.NAME]`: a person whose signature counts where an environment has `signed = true`.

    `ssh` are public SSH keys, `gpg` is a file of exported public OpenPGP keys. They count from the day `since` to the
    end of the day `until`, in UTC.
    """

    ssh: SigningKeys = ()
    gpg: FileRef | None = None
    since: Day | None = None
    until: Day | None = None

    def counts_on(self, day: dt.date) -> bool:
        """Return whether the keys count on that day."""
        return (self.since is None or self.since <= day) and (self.until is None or day <= self.until)
