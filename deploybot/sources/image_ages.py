"""Order image tags without version numbers, such as commit ids, by the creation time in the image configuration.

https://github.com/opencontainers/image-spec/blob/main/config.md: `created`. Each tag is looked up once, so a tag that
moves keeps its old time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from deploybot.bounded_memory import BoundedDict
from deploybot.errors import NoImage
from deploybot.sources.oci_registry import RegistryConnection

MOST: Final = 200
"""Maximum number of new tags to look up at once."""
_AT_ONCE: Final = 8
_REMEMBERED: Final = 5_000
_USUAL: Final = ("linux", "amd64")


class Ages:
    """Cache the creation times of tagged images."""

    def __init__(self) -> None:
        """Start with an empty cache."""
        self._known: BoundedDict[tuple[str, str], float] = BoundedDict(_REMEMBERED)

    async def newest(self, connection: RegistryConnection, repository: str, tags: Sequence[str]) -> str:
        """Return the tag of the newest image; empty if there is none. Raises NoImage if too many tags are new."""
        new = [tag for tag in tags if (repository, tag) not in self._known]
        if len(new) > MOST:
            raise NoImage(
                f'{len(new)} tags match the pattern, but order = "time" allows at most {MOST}.',
                hint='Narrow the pattern, or order by a number in the tags: order = "number".',
            )
        turns = asyncio.Semaphore(_AT_ONCE)

        async def ask(tag: str) -> None:
            async with turns:
                self._known[repository, tag] = await _made(connection, repository, tag)

        await asyncio.gather(*map(ask, new))
        return max(tags, key=lambda tag: (self._known.get((repository, tag), 0.0), tag), default="")


async def _made(connection: RegistryConnection, repository: str, tag: str) -> float:
    """Return an image's creation time in seconds since the epoch; 0.0 if it is not given."""
    made = (await configuration(connection, repository, tag)).get("created")
    if not isinstance(made, str):
        return 0.0
    try:
        read = datetime.fromisoformat(made[:19])
    except ValueError:
        return 0.0
    return read.replace(tzinfo=UTC).timestamp()


async def configuration(connection: RegistryConnection, repository: str, reference: str) -> dict[str, object]:
    """Return the configuration of an image, by a tag or a digest; of several platforms, of the usual one."""
    manifest = await connection.document(repository, "manifests", reference)
    if isinstance(several := manifest.get("manifests"), list):
        one = _chosen(several)
        manifest = await connection.document(repository, "manifests", one) if one else {}
    digest = _digest(manifest.get("config"))
    return await connection.document(repository, "blobs", digest) if digest else {}


def _chosen(several: Sequence[object]) -> str:
    """Return the manifest digest of the usual platform (linux/amd64), or else the first one."""
    platforms = [one for one in several if isinstance(one, dict)]
    usual = [one for one in platforms if _platform(one) == _USUAL]
    return _digest(next(iter((*usual, *platforms)), None))


def _platform(manifest: dict[str, object]) -> tuple[object, object]:
    platform = manifest.get("platform")
    return (platform.get("os"), platform.get("architecture")) if isinstance(platform, dict) else ("", "")


def _digest(described: object) -> str:
    digest = described.get("digest") if isinstance(described, dict) else ""
    return digest if isinstance(digest, str) and digest.startswith("sha256:") else ""
