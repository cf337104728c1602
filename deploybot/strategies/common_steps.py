"""Steps shared by all strategies: environment, fetch, switch, commands, prune, gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from deploybot.domain import Gate, Release, ServerPlan, ServerUpload, Step, UploadKind
from deploybot.errors import UserError
from deploybot.ports import Site
from deploybot.settings import App, Environment, SwitchTask, project_name
from deploybot.strategies.release_values import release_values

OURS = "DEPLOYBOT_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A change from one release to another on a site. With `back`, `release` is restored because `previous` failed."""

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
        """Return a step with all variables that its script and bot.toml's commands may rely on.

        Variables from bot.toml cannot override deploybot's own. `timeout` defaults to the app's.
        """
        app, environment = self.site.app, self.site.environment
        ours = {
            **release_values(self.release),
            "DEPLOYBOT_DIRECTORY": self.site.directory,
            "DEPLOYBOT_APP": app.name,
            "DEPLOYBOT_ENVIRONMENT": environment.name,
            "DEPLOYBOT_PREVIOUS": self.previous,
            "DEPLOYBOT_RESTORE": "yes" if self.back else "no",
            **_own_files(self.site),
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
        """Return the step that brings the release's files to the server.

        A server with git gets a bundle of the missing commits, any other an archive of the whole tree. With `again`,
        files that are already there are replaced. An artifact is sent as an archive. Raises UserError if the release
        has neither a commit nor a file.
        """
        site = self.site
        shared = site.environment.shared or site.app.shared
        upload = self._upload()
        kind = UploadKind.ARCHIVE if upload and upload.artifact else upload.kind if upload else "have"
        values = {
            "DEPLOYBOT_FROM": kind,
            "DEPLOYBOT_UPLOAD": upload.target if upload else "",
            "DEPLOYBOT_BUILT": "no" if built_later else "yes",
            "DEPLOYBOT_AGAIN": "yes" if again else "no",
            "DEPLOYBOT_SHARED_FROM": shared.source if shared else "",
            "DEPLOYBOT_SHARED_PATHS": "\n".join(shared.paths) if shared else "",
        }
        return self.step("fetch", "fetch", values, uploads=(upload,) if upload else ())

    def _upload(self) -> ServerUpload | None:
        """Return what has to be sent for the release; None if the server has its commit, or its file in use."""
        site, release, commit = self.site, self.release, self.release.code
        archive = f"{site.directory}/incoming/{release.id}.tar.gz"
        if release.file is not None and site.holds(release) and site.uses(release):
            return None
        if release.file is not None:
            return ServerUpload(kind=UploadKind.ARTIFACT, target=archive, commit="", artifact=release.bare())
        if commit is None:
            raise UserError(f"{release} has no commit, so there are no files to fetch.")
        if not site.facts.git:
            return ServerUpload(kind=UploadKind.ARCHIVE, target=archive, commit=commit)
        if commit in site.facts.have:
            return None
        bundle = f"{site.directory}/incoming/{release.id}.bundle"
        return ServerUpload(kind=UploadKind.BUNDLE, target=bundle, commit=commit, have=site.facts.have)

    def switch(
        self, name: str = "switch", *, script: str = "", command: str = "", values: Mapping[str, str] | None = None
    ) -> Step:
        """Return the step that runs the release's script, if any, moves `current`, and runs `command`, if any."""
        ours = {**(values or {}), "DEPLOYBOT_SCRIPT": script, "DEPLOYBOT_COMMAND": command}
        return self.step(name, "switch", ours, switches=True)

    def tasks(self, tasks: Sequence[SwitchTask], values: Mapping[str, str] | None = None) -> tuple[Step, ...]:
        """Return the steps that run tasks of bot.toml in the release's own directory, whatever `current` leads to."""
        ours = {**(values or {}), "DEPLOYBOT_INSIDE": "release"}
        return tuple(
            replace(
                self.step(
                    one.task,
                    "command",
                    {**ours, "DEPLOYBOT_COMMAND": task_command(self.site, one.task)},
                    timeout=one.within or 0.0,
                ),
                task=one.task,
            )
            for one in tasks
        )

    def command(self, name: str, command: str, values: Mapping[str, str] | None = None) -> Step:
        """Return the step that runs a command of bot.toml in the directory of the current release."""
        return self.step(name, "command", {**(values or {}), "DEPLOYBOT_COMMAND": command})


def _own_files(site: Site) -> dict[str, str]:
    """Return where the app's files are, if they are not in the release's folder."""
    folder = site.app.server_folder
    return {"DEPLOYBOT_FILES": folder} if folder else {}


def moves(site: Site, release: Release, previous: Release | None) -> tuple[Move, Move | None]:
    """Return the move to a release, and the move back to `previous` if that is on the server."""
    there = Move(site=site, release=release, previous=previous.id if previous else "")
    if previous is None or not site.holds(previous):
        return there, None
    return there, Move(site=site, release=previous, previous=release.id, back=True)


def plan(
    site: Site, steps: Sequence[Step], *, replaces: Release | None = None, restore: Sequence[Step] = ()
) -> ServerPlan:
    """Return a server's plan with the gate from bot.toml."""
    return ServerPlan(
        server=site.facts.server,
        steps=tuple(steps),
        gate=gate(site.app, site.environment),
        replaces=replaces,
        restore=tuple(restore),
    )


def gate(app: App, environment: Environment) -> Gate | None:
    """Return the health gate of an environment; None if bot.toml has none."""
    health = app.at(environment).health
    if health is None:
        return None
    if health.http:
        return Gate(kind="http", target=health.http, within=health.within, status=health.status)
    if health.tcp:
        return Gate(kind="tcp", target=health.tcp, within=health.within)
    if health.command:
        return Gate(kind="command", target=health.command, within=health.within)
    return Gate(kind="docker", target=project_name(app, environment), within=health.within)


def prune(site: Site, keep: Sequence[str], *, images: str = "", always: bool = False) -> tuple[Step, ...]:
    """Return the step that deletes releases that are neither in `keep` (ids) nor in use; empty if there are none.

    What was requested since the plan is added to `keep` right before the step starts.
    """
    stays = {*keep, site.facts.current, site.facts.switching}
    if not always and not set(site.facts.releases) - stays:
        return ()
    move = Move(site=site, release=Release.by_id(keep[0] if keep else site.facts.current), previous="")
    values = {"DEPLOYBOT_KEEP": "\n".join(keep), "DEPLOYBOT_IMAGES": images, "DEPLOYBOT_IMAGES_KEEP": ""}
    return (move.step("prune", "prune", values, bind="prune"),)


def standing(site: Site, release: Release) -> Move:
    """Return a move for actions on the running release. Raises UserError if none runs."""
    current = site.running or site.facts.current
    if not current:
        raise UserError(
            f"Nothing of {site.app.name} is deployed in {site.directory} on {site.server} yet.",
            hint=f"Deploy it first: deploy {site.app.name} to {site.environment.name}",
        )
    if current != release.id:
        release = Release.by_id(current)
    return Move(site=site, release=release, previous="")


def task_command(site: Site, task: str) -> str:
    """Return the shell text of a task. If it is unknown, raise UserError with the known tasks."""
    app = site.app
    if task not in app.tasks:
        known = f"Its tasks: {', '.join(sorted(app.tasks))}." if app.tasks else f"Add some under apps.{app.name}.tasks."
        raise UserError(f"{app.name} has no task `{task}` in {site.environment.name}.", hint=known)
    return app.tasks[task]


def restart_command(app: App) -> str:
    """Return the restart command. Raises UserError if bot.toml has none."""
    if not app.restart:
        raise UserError(f"{app.name} has no restart command.", hint=f"Set apps.{app.name}.restart in bot.toml.")
    return app.restart
