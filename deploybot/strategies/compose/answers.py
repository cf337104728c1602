"""Read what `compose_config.sh` prints."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploybot.domain import Release
from deploybot.errors import UserError
from deploybot.ports import Site
from deploybot.settings import project_name
from deploybot.strategies.compose.model import ComposeConfig, parse_config

_BLANK = re.compile(r'The \\?"?([A-Za-z_][A-Za-z0-9_]*)\\?"? variable is not set')


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigAnswer:
    """The resolved configuration, None where Compose refuses it, with its files and what Compose said."""

    config: ComposeConfig | None
    files: tuple[str, ...] = ()
    error: str = ""
    blank: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know before it starts."""
        return tuple(f"the variable {name} is blank: set it in shared/.env" for name in self.blank)


def parse_answer(output: bytes, site: Site, release: Release) -> ConfigAnswer:
    """Read the records."""
    records = dict(part.partition("=")[::2] for part in output.decode(errors="replace").split("\0")[1:-1])
    if "end" not in records:
        raise UserError(f"{site.server} gives no answer about the Compose files of {release}.")
    error = records.get("error", "").strip()
    files = tuple(filter(None, records.get("files", "").split("\n")))
    if records.get("code") != "0":
        return ConfigAnswer(config=None, files=files, error=error.splitlines()[-1] if error else "it says nothing")
    folder = f"{site.directory}/releases/{release.id}"
    config = parse_config(
        records["config"],
        profiles=site.app.compose.profiles,
        project=project_name(site.app, site.environment),
        folders=(folder,),
    )
    return ConfigAnswer(config=config, files=files, blank=tuple(dict.fromkeys(_BLANK.findall(error))))
