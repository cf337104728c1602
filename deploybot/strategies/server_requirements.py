"""Checks what a server needs before a deployment starts. Each error has its fix."""

from __future__ import annotations

from deploybot.domain import Release
from deploybot.domain.versions import major_minor
from deploybot.errors import UserError
from deploybot.ports import Site
from deploybot.units import show_size

OLDEST_COMPOSE = (1, 27)
WAITING_COMPOSE = (2, 17)
_ARCHIVE_TOOLS = ("tar", "gzip")


def check_server(site: Site, release: Release) -> None:
    """Raise UserError if the server cannot take the release.

    A release that is already there needs no space: a rollback must also work on a full server.
    """
    facts, app = site.facts, site.app
    if not facts.writable:
        user = facts.user or "the user that the bot logs in as"
        raise UserError(
            f"{user} cannot write to {site.directory} on {site.server}.",
            hint=f"Run once as root there: install -d -o {facts.user or 'USER'} {site.directory}",
        )
    if facts.current_is_folder:
        raise UserError(
            f"{site.directory}/current on {site.server} is a folder, but deploybot needs a link there.",
            hint=f"Move it away: mv {site.directory}/current {site.directory}/current.before",
        )
    if site.trusts(release):
        return
    lacks = [tool for tool in _ARCHIVE_TOOLS if tool in facts.tools_missing]
    if release.file and lacks:
        raise UserError(
            f"{site.server} has no {' and no '.join(lacks)}, so no artifact can be unpacked there.",
            hint="Install tar and gzip there.",
        )
    if app.repo and not facts.git and lacks:
        raise UserError(
            f"{site.server} has neither git nor {' nor '.join(lacks)}, so no release can be unpacked there.",
            hint="Install git there, or tar and gzip.",
        )
    if 0 <= facts.disk_free < app.need_disk:
        raise UserError(
            f"{site.server} is low on disk space: {show_size(facts.disk_free)} free for {site.directory}, "
            f"but {app.name} needs {show_size(app.need_disk)}.",
            hint=f"Free some there (`df -h`, `docker system df`), or lower apps.{app.name}.need_disk.",
        )
    if 0 <= facts.memory_available < app.need_memory:
        raise UserError(
            f"{site.server} is low on memory: {show_size(facts.memory_available)} available, "
            f"but {app.name} needs {show_size(app.need_memory)}.",
            hint=f"Stop something there (`ps aux --sort=-rss`), or lower apps.{app.name}.need_memory.",
        )


def check_compose(site: Site) -> None:
    """Raise UserError if the server has no usable Docker or Compose."""
    facts = site.facts
    user = facts.user or "USER"
    if not facts.docker:
        raise UserError(
            f"{site.server} has no Docker that {facts.user or 'the bot'} can use, but {site.app.name} needs it.",
            hint=f"Does it run there (systemctl status docker)? May the user use it (usermod -aG docker {user})?"
            if facts.compose
            else f"Install Docker there, and let the user use it: usermod -aG docker {user}",
        )
    if not facts.compose:
        raise UserError(
            f"{site.server} has no Docker Compose, but {site.app.name} needs it.",
            hint="Install docker-compose-plugin (Docker's packages) or docker-compose-v2 (the distribution's) there.",
        )
    if compose_version(site) < OLDEST_COMPOSE:
        raise UserError(
            f"{site.server} has Docker Compose {facts.compose_version}, but at least 1.27 is required.",
            hint="Install docker-compose-plugin (Docker's packages) or docker-compose-v2 (the distribution's) there.",
        )


def compose_version(site: Site) -> tuple[int, int]:
    """Return major and minor of the server's Compose; 2.0 if they are unknown."""
    return major_minor(site.facts.compose_version) or (2, 0)
