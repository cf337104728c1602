"""Jenkins: builds, by its Notification plugin (https://plugins.jenkins.io/notification/) or a step of a Jenkinsfile."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import unquote

from deploybot.domain import Author, Build, BuildState, Event
from deploybot.webhooks.body_reading import TITLE, Tree, host_in, repository_of
from deploybot.webhooks.delivery_signatures import Bearer, QueryToken
from deploybot.webhooks.sender_base import BaseSender
from deploybot.webhooks.sender_port import Received, Signed

_PHASES: Mapping[str, BuildState] = {"QUEUED": BuildState.QUEUED, "STARTED": BuildState.RUNNING}
_ENDS: Mapping[str, BuildState] = {
    "SUCCESS": BuildState.PASSED,
    "UNSTABLE": BuildState.FAILED,
    "FAILURE": BuildState.FAILED,
    "ABORTED": BuildState.CANCELLED,
    "NOT_BUILT": BuildState.SKIPPED,
}
_JOB = re.compile(r"(?:^|/)job/([^/]+)")
_REQUEST = re.compile(r"(?:^|/)(?:PR|MR)-\d+(?:-head|-merge)?$", re.ASCII)
"""Finds the jobs that a multibranch project runs for pull or merge requests, also those of forks."""

_SETUP = """\
With the Notification plugin: the job, Configure, Job Notifications, Add Endpoint.
Format: JSON. Protocol: HTTP. Event: All Events. URL: {url}?token=SECRET
SECRET is the secret of bot.toml (letters and digits).
Or in a Jenkinsfile, where the secret is a credential of the kind Secret text with the id deploybot:
def notify(String phase) {{
  writeFile file: '.deploybot.json', text: groovy.json.JsonOutput.toJson([
    job: env.JOB_NAME, number: env.BUILD_NUMBER, phase: phase, status: currentBuild.currentResult,
    url: env.BUILD_URL, commit: env.GIT_COMMIT, branch: env.GIT_BRANCH, git: env.GIT_URL,
    started: currentBuild.startTimeInMillis, duration: currentBuild.duration])
  withCredentials([string(credentialsId: 'deploybot', variable: 'SECRET')]) {{
    sh 'curl -fsS {url} -H "Authorization: Bearer $SECRET" -H "Content-Type: application/json" -d @.deploybot.json'
  }}
}}
Then notify('STARTED') in the first stage, and post {{ always {{ script {{ notify('COMPLETED') }} }} }}."""


class _JenkinsProof:
    """A bearer token, or else a parameter of the address: the plugin can send nothing else."""

    _bearer, _query = Bearer(), QueryToken("token")

    def verify(self, received: Received, secret: str) -> None:
        """See Proof."""
        (self._bearer if "authorization" in received.headers else self._query).verify(received, secret)

    def sign(self, body: bytes, secret: str, *, delivery: str, at: float) -> Signed:
        """See Proof. Creates a bearer token."""
        return self._bearer.sign(body, secret, delivery=delivery, at=at)


class Jenkins(BaseSender):
    """Jenkins, with or without the plugin."""

    name = "jenkins"
    proof: ClassVar[_JenkinsProof] = _JenkinsProof()
    kind_key = ("build", "phase")
    pings = ""
    looks = (
        ("", frozenset({"name", "url", "build"})),
        ("", frozenset({"job", "phase"})),
    )

    def events_in(self, received: Received, tree: Tree) -> tuple[Event, ...]:  # noqa: ARG002 - see BaseSender
        """See BaseSender."""
        return _by_plugin(tree) if tree.has("build") else _by_step(tree)

    def setup(self, url: str) -> str:
        """See Sender."""
        return _SETUP.format(url=url)


def _state(phase: str, status: str) -> BuildState | None:
    # COMPLETED comes before post-build steps, FINALIZED after them. Both have the result.
    return _PHASES.get(phase) or (_ENDS.get(status) if phase in {"COMPLETED", "FINALIZED"} else None)


def _branch(written: str) -> str:
    """Return `main` for `origin/main`, which is how Jenkins' Git plugin writes it."""
    return written.removeprefix("refs/remotes/").removeprefix("origin/").removeprefix("refs/heads/")


def _by_plugin(tree: Tree) -> tuple[Event, ...]:
    build = tree.at("build")
    state = _state(build.text("phase"), build.text("status"))
    if state is None:
        return ()
    # With folders and branches, the name alone is only the last part.
    name = "/".join(unquote(part) for part in _JOB.findall(tree.text("url")))[:TITLE] or tree.needs("name")
    number, moment = build.number("number"), build.time("timestamp")
    started, finished = _span(state, moment, build.number("duration") / 1000)
    return (
        Build(
            sender="jenkins",
            repository=repository_of(build.text("scm", "url")),
            host=host_in(build.text("scm", "url")),
            url=build.page("full_url"),
            at=moment,
            key=f"jenkins:{name}:{number}",
            name=Tree(name).text(),
            state=state,
            # Neither is known before the code is checked out.
            branch=_branch(build.text("scm", "branch")),
            commit=build.commit("scm", "commit"),
            number=number,
            run=number,
            fork=_is_request(name),
            started=started,
            finished=finished,
        ),
    )


def _is_request(job: str) -> bool:
    return _REQUEST.search(job) is not None


def _span(state: BuildState, moment: float, duration: float) -> tuple[float, float]:
    """Return when a build began and ended. An event has the time of its own phase, so that of an end is the end."""
    if state is BuildState.RUNNING:
        return moment, 0.0
    if state.ended and moment >= duration:
        return moment - duration, moment
    return 0.0, 0.0


def _by_step(tree: Tree) -> tuple[Event, ...]:
    name, state = tree.needs("job"), _state(tree.needs("phase"), tree.text("status"))
    if state is None:
        return ()
    started, duration = tree.time("started"), tree.number("duration") / 1000
    at = started + duration
    return (
        Build(
            sender="jenkins",
            repository=repository_of(tree.text("git")),
            host=host_in(tree.text("git")),
            url=tree.page("url"),
            by=Author(name=tree.text("by")),
            at=at,
            key=f"jenkins:{name}:{tree.needs('number')}",
            name=name,
            state=state,
            branch=_branch(tree.text("branch")),
            commit=tree.commit("commit"),
            number=tree.number("number"),
            run=tree.number("number"),
            fork=_is_request(name),
            started=started,
            finished=at if state.ended and started else 0.0,
        ),
    )


SENDER = Jenkins()
