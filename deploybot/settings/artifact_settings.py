"""Artifacts in bot.toml: built files that are an app's releases."""

from __future__ import annotations

from pydantic import Field

from deploybot.settings.address_values import ArtifactChecksum, ArtifactUrl
from deploybot.settings.artifact_names import ActionsArtifact, ArtifactName, JobName, WorkflowFile
from deploybot.settings.setting_types import Secret, SettingsPart, Switch
from deploybot.settings.value_shapes import Bytes

_UNPACKED = (".tar.gz", ".tgz")
_REFUSED = (".gz", ".bz2", ".tbz", ".tbz2", ".xz", ".txz", ".zst", ".tzst", ".lz", ".lzma", ".z", ".7z", ".rar")


def is_refused_by_name(name: str) -> bool:
    """Return whether the ending of a file's name is one of an archive that the bot does not unpack."""
    low = name.lower()
    return low.endswith(_REFUSED) and not low.endswith(_UNPACKED)


class ArtifactSettings(SettingsPart):
    """`artifact = { … }`: where the built files of an app come from; exactly one of `url`, `upload`, `actions`, `job`.

    In `url`, `sha256` and `name`, `{ref}` is what was typed, and `{sha}` the commit that it means in `repo`. `sha256`
    is the address of a checksum file, or the SHA-256 itself. `token` is sent to the host of `url` only. `name` is the
    name of the file, which decides how it is read; by default the end of `url`, or a zip. With `upload`, files are sent
    to the bot; `secret` signs those that arrive by HTTP. `actions` is an artifact of GitHub Actions, perhaps of one
    `workflow` only, and `job` a job of GitLab CI: both of the commit that is deployed. A file has at most `max_size`
    bytes, and at most `max_unpacked` when it is unpacked.
    """

    url: ArtifactUrl | None = None
    sha256: ArtifactChecksum | None = None
    token: Secret | None = None
    name: ArtifactName | None = None
    upload: Switch = False
    secret: Secret | None = None
    actions: ActionsArtifact | None = None
    workflow: WorkflowFile | None = None
    job: JobName | None = None
    max_size: Bytes = Field(default=500_000_000, ge=1, le=20_000_000_000)
    max_unpacked: Bytes = Field(default=2_000_000_000, ge=1, le=100_000_000_000)

    @property
    def on_forge(self) -> bool:
        """Whether the files are on the forge of the repository, with the runs that built them."""
        return bool(self.actions or self.job)

    @property
    def needs_commit(self) -> bool:
        """Whether a file is found by the commit that a ref means in the repository."""
        return self.on_forge or "{sha}" in f"{self.url}{self.sha256}{self.name}"

    @property
    def origin(self) -> str:
        """Where the files come from, for people."""
        if self.actions:
            return f"the artifact {self.actions} of GitHub Actions"
        if self.job:
            return f"the artifacts of GitLab's job {self.job}"
        return self.url or "artifacts that are uploaded"
