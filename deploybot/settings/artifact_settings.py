"""Artifacts in bot.toml: built files that are an app's releases."""

from __future__ import annotations

from pydantic import Field

from deploybot.settings.address_values import ArtifactChecksum, ArtifactUrl
from deploybot.settings.setting_types import Secret, SettingsPart, Switch
from deploybot.settings.value_shapes import Bytes

_UNPACKED = (".tar.gz", ".tgz")
_REFUSED = (".gz", ".bz2", ".tbz", ".tbz2", ".xz", ".txz", ".zst", ".tzst", ".lz", ".lzma", ".z", ".7z", ".rar")


def is_refused_by_name(name: str) -> bool:
    """Return whether the ending of a file's name is one of an archive that the bot does not unpack."""
    low = name.lower()
    return low.endswith(_REFUSED) and not low.endswith(_UNPACKED)


class ArtifactSettings(SettingsPart):
    """`artifact = { … }`: where the built files of an app come from; exactly one of `url` and `upload`.

    In `url` and `sha256`, `{ref}` is what was typed, and `{sha}` the commit that it means in `repo`. `sha256` is the
    address of a checksum file, or the SHA-256 itself. `token` is sent to the host of `url` only. With `upload`, files
    are sent to the bot; `secret` signs those that arrive by HTTP. A file has at most `max_size` bytes, and at most
    `max_unpacked` when it is unpacked.
    """

    url: ArtifactUrl | None = None
    sha256: ArtifactChecksum | None = None
    token: Secret | None = None
    upload: Switch = False
    secret: Secret | None = None
    max_size: Bytes = Field(default=500_000_000, ge=1, le=20_000_000_000)
    max_unpacked: Bytes = Field(default=2_000_000_000, ge=1, le=100_000_000_000)
