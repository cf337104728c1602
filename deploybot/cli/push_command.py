"""`deploybot push`: give the bot a built file, so that it can be deployed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploybot.cli.command_base import Failure, Options, database

if TYPE_CHECKING:
    from deploybot.domain import Release
    from deploybot.settings import App, Settings

_PIECE = 1 << 20


@click.command(short_help="Give the bot a built file to deploy.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@click.option("--app", "name", required=True, metavar="APP", help="The app that it is a release of.")
@click.option("--ref", default="", metavar="REF", help="The name to deploy it by. Default: the start of its SHA-256.")
@click.pass_obj
def push(options: Options, file: Path, name: str, ref: str) -> None:
    """Check a built file and keep it in the bot's data folder. Nothing is deployed.

    APP needs `artifact = { upload = true }`. Run this as the bot's user, on the bot's machine; it may be running.

    \b
    Examples:
      deploybot push site.tar.gz --app site --ref 1.4.2
      deploybot chat -c 'deploy site@1.4.2'
    """
    settings = options.settings(outside=False)
    app = settings.apps.get(name)
    if app is None:
        from deploybot.wording import meant

        raise Failure(
            f'bot.toml has no app "{name}"{meant(name, settings.apps)}', hint=f"It has: {', '.join(settings.apps)}."
        )
    if app.artifact is None or not app.artifact.upload:
        raise Failure(f"{name} takes no uploads.", hint=f"Set `artifact = {{ upload = true }}` in [apps.{name}].")
    release = asyncio.run(_push(settings, app, file, ref))
    click.echo(f"{release} is here ({release.file_text}). Deploy it: deploy {name}@{release.ref}")


async def _push(settings: Settings, app: App, file: Path, ref: str) -> Release:
    from deploybot.disk_files import sha256_of
    from deploybot.ports import ArtifactUpload
    from deploybot.wiring.infrastructure import artifacts

    digest = await asyncio.to_thread(sha256_of, file)
    size = (await asyncio.to_thread(file.stat)).st_size
    upload = ArtifactUpload(name=file.name, size=size, sha256=digest, ref=ref)
    async with database(settings, make=True) as store:
        uploads = artifacts(settings, store)
        there = await uploads.receive(app, upload, 0, _pieces(file))
        if there < upload.size:
            raise Failure(f"{file} has become shorter meanwhile.", hint="Push it again when it is complete.")
        return await uploads.uploaded(app, upload)


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(file.open, "rb") as content:
        while piece := await asyncio.to_thread(content.read, _PIECE):
            yield piece
