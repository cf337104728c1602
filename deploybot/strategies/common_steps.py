"""The steps that all strategies share: environment, fetching, switching, commands, pruning, gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploybot.domain import Gate, Release, ServerPlan, ServerUpload, Step, UploadKind
from deploybot.errors import UserError
from deploybot.ports import Site
from deploybot.settings import App, Environment, project_name

OURS = "DEPLOYBOT_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """From one release to another on a site. `back` says that `release` is put back because `previous` failed."""

    site: Site
    release: Release
    previous: str
    back: bool = False

    def step(
        self,
        name: str,
        script: str,
        values: Mapping[str, str],
        *,
        uploads: Sequence[ServerUpload] = (),
        timeout: float = 0.0,
        switches: bool = False,
        bind: str = "",
    ) -> Step:
        """A step with everything its script, and the commands of bot.toml in it, may rely on.

        What bot.toml sets comes first: it cannot replace a value of ours. `timeout` is the app's unless given.
        """
        app, environment = self.site.app, self.site.environment
        ours = {
            "DEPLOYBOT_DIRECTORY": self.site.directory,
            "DEPLOYBOT_RELEASE": self.release.id,
            "DEPLOYBOT_COMMIT": self.release.commit,
            "DEPLOYBOT_REF": self.release.ref,
            "DEPLOYBOT_APP": app.name,
            "DEPLOYBOT_ENVIRONMENT": environment.name,
            "DEPLOYBOT_PREVIOUS": self.previous,
            "DEPLOYBOT_RESTORE": "yes" if self.back else "no",
            **values,
        }
        clear = {name: value for name, value in (app.env | environment.env).items() if not name.startswith(OURS)}
        named = (app.secrets.keys() - environment.env.keys()) | environment.secrets.keys()
        secrets = [name for name in named if name not in ours and not name.startswith(OURS)]
        return Step(
            name=name,
            script=script,
            env=tuple(sorted((clear | ours).items())),
            secrets=tuple(sorted(secrets)),
            uploads=tuple(uploads),
            timeout=timeout or app.step_timeout,
            switches=switches,
            bind=bind,
        )

    def fetch(self, *, built_later: bool, again: bool = True) -> Step:
        """Bring the release's files to the server.

        A server with git gets a bundle of what it lacks, another one an archive of the whole tree. With `again` they
        are put there once more where they are there already.
        """
        site, commit = self.site, self.release.commit
        shared = site.environment.shared or site.app.shared
        if not site.facts.git:
            target = f"{site.directory}/incoming/{self.release.id}.tar.gz"
            upload = ServerUpload(kind=UploadKind.ARCHIVE, target=target, commit=commit)
        elif commit not in site.facts.have:
            target = f"{site.directory}/incoming/{self.release.id}.bundle"
            upload = ServerUpload(kind=UploadKind.BUNDLE, target=target, commit=commit, have=site.facts.have)
        else:
            upload = None
        values = {
            "DEPLOYBOT_FROM": upload.kind if upload else "have",
            "DEPLOYBOT_UPLOAD": upload.target if upload else "",
            "DEPLOYBOT_BUILT": "no" if built_later else "yes",
            "DEPLOYBOT_AGAIN": "yes" if again else "no",
            "DEPLOYBOT_SHARED_FROM": shared.source if shared else "",
            "DEPLOYBOT_SHARED_PATHS": "\n".join(shared.paths) if shared else "",
        }
        return self.step("fetch", "fetch", values, uploads=(upload,) if upload else ())

    def switch(
        self, name: str = "switch", *, script: str = "", command: str = "", values: Mapping[str, str] | None = None
    ) -> Step:
        """Run the release's script if it has one, move `current`, run the restart command if there is one."""
        ours = {**(values or {}), "DEPLOYBOT_SCRIPT": script, "DEPLOYBOT_COMMAND": command}
        return self.step(name, "switch", ours, switches=True)

    def command(self, name: str, command: str, values: Mapping[str, str] | None = None) -> Step:
        """Run a command of bot.toml in the directory of the current release."""
        return self.step(name, "command", {**(values or {}), "DEPLOYBOT_COMMAND": command})


def moves(site: Site, release: Release, previous: Release | None) -> tuple[Move, Move | None]:
    """Give the way to a release, and the way back to `previous` where that is on the server to go back to."""
    there = Move(site=site, release=release, previous=previous.id if previous else "")
    if previous is None or not site.holds(previous):
        return there, None
    return there, Move(site=site, release=previous, previous=release.id, back=True)


def plan(
    site: Site, steps: Sequence[Step], *, replaces: Release | None = None, restore: Sequence[Step] = ()
) -> ServerPlan:
    """A server's plan with the gate that bot.toml asks for."""
    return ServerPlan(
        server=site.facts.server,
        steps=tuple(steps),
        gate=gate(site.app, site.environment),
        replaces=replaces,
        restore=tuple(restore),
    )


def gate(app: App, environment: Environment) -> Gate | None:
    """The health gate of an environment; None where bot.toml has none."""
    health = environment.health or app.health
    if health is None:
        return None
    if health.http:
        return Gate(kind="http", target=health.http, within=health.within, status=health.status)
    if health.tcp:
        return Gate(kind="tcp", target=health.tcp, within=health.within)
    if health.command:
        return Gate(kind="command", target=health.command, within=health.within)
    return Gate(kind="docker", target=project_name(app, environment), within=health.within)


def prune(
    site: Site, keep: Sequence[str], *, images: str = "", bind: str = "", always: bool = False
) -> tuple[Step, ...]:
    """Delete releases that are neither kept, by their ids, nor in use; nothing where there is none."""
    stays = {*keep, site.facts.current, site.facts.switching}
    if not always and not set(site.facts.releases) - stays:
        return ()
    move = Move(site=site, release=Release.by_id(keep[0] if keep else site.facts.current), previous="")
    values = {"DEPLOYBOT_KEEP": "\n".join(keep), "DEPLOYBOT_IMAGES": images, "DEPLOYBOT_IMAGES_KEEP": ""}
    return (move.step("prune", "prune", values, bind=bind),)


def standing(site: Site, release: Release) -> Move:
    """A move that goes nowhere: for what is done to the release that runs. UserError where none does."""
    current = site.running or site.facts.current
    if not current:
        raise UserError(
            f"Nothing of {site.app.name} is deployed in {site.directory} on {site.server} yet.",
            hint=f"Deploy it first: deploy {site.app.name} to {site.environment.name}",
        )
    if current != release.id:
        release = Release.by_id(current)
    return Move(site=site, release=release, previous="")


def task_command(app: App, task: str) -> str:
    """The shell text of a task; UserError with the tasks there are."""
    if task not in app.tasks:
        known = f"Its tasks: {', '.join(sorted(app.tasks))}." if app.tasks else f"Add some as apps.{app.name}.tasks."
        raise UserError(f"{app.name} has no task `{task}`.", hint=known)
    return app.tasks[task]


def restart_command(app: App) -> str:
    """The restart command; UserError where bot.toml has none."""
    if not app.restart:
        raise UserError(
            f"How {app.name} is restarted is not known.", hint=f"Set apps.{app.name}.restart to a command in bot.toml."
        )
    return app.restart
