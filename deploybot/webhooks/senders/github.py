"""GitHub: code, builds, deployments and packages; https://docs.github.com/en/webhooks/webhook-events-and-payloads."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from deploybot.domain import Event, Ping
from deploybot.webhooks import forge_events, github_builds, github_packages
from deploybot.webhooks.body_reading import Tree
from deploybot.webhooks.delivery_signatures import BodyMac, Proof
from deploybot.webhooks.sender_base import BaseSender, Reader
from deploybot.webhooks.sender_port import MalformedError, Received

GITHUB = forge_events.ForgeDialect("github", most_commits=2048)

_READERS: Mapping[str, Reader] = {
    "push": partial(forge_events.pushed, GITHUB),
    "pull_request": partial(forge_events.changed, GITHUB),
    "release": partial(forge_events.published, GITHUB),
    "workflow_run": partial(github_builds.workflow_run, GITHUB.name),
    "workflow_job": partial(github_builds.workflow_job, GITHUB.name),
    "check_suite": partial(github_builds.check_suite, GITHUB.name),
    "check_run": partial(github_builds.check_run, GITHUB.name),
    "status": partial(github_builds.status, GITHUB.name),
    "deployment": partial(github_builds.deployment, GITHUB.name),
    "deployment_status": partial(github_builds.deployment, GITHUB.name),
    "package": partial(github_packages.package, GITHUB.name),
    "registry_package": partial(github_packages.package, GITHUB.name),
}

_SETUP = """\
At GitHub, in the repository (or the organisation): Settings, Webhooks, Add webhook.
Payload URL: {url}
Content type: application/json
Secret: the same as in bot.toml
Which events: Let me select individual events. Tick Pushes, Pull requests, Releases, Workflow runs, Workflow jobs.
If a CI other than GitHub Actions reports: also Statuses, or Check runs. For deployments by others: Deployments and
Deployment statuses. For images in ghcr.io: Packages and Registry packages.
Add webhook. GitHub sends a ping at once; Recent Deliveries shows it with a green tick."""


class GitHubSender(BaseSender):
    """GitHub, on github.com or an Enterprise Server."""

    name = "github"
    proof: ClassVar[Proof] = BodyMac("x-hub-signature-256", "sha256=")
    kind_header = "x-github-event"
    id_header = "x-github-delivery"
    home = ("repository", "html_url")
    looks = (
        ("ping", frozenset({"zen", "hook_id"})),
        ("push", frozenset({"ref", "before", "after", "pusher"})),
        ("pull_request", frozenset({"action", "number", "pull_request", "repository"})),
        ("release", frozenset({"action", "release", "repository"})),
        ("workflow_job", frozenset({"action", "workflow_job"})),
        ("deployment_status", frozenset({"deployment_status", "deployment"})),
        ("deployment", frozenset({"deployment"})),
        ("workflow_run", frozenset({"action", "workflow_run"})),
        ("check_suite", frozenset({"action", "check_suite"})),
        ("check_run", frozenset({"action", "check_run"})),
        ("status", frozenset({"sha", "context", "state", "branches"})),
        ("package", frozenset({"action", "package"})),
        ("registry_package", frozenset({"action", "registry_package"})),
    )

    def events_in(self, received: Received, tree: Tree) -> tuple[Event, ...]:
        """See BaseSender. Gitea and Forgejo sign like GitHub, but the same words mean other things there."""
        for other in ("forgejo", "gitea"):
            if f"x-{other}-event" in received.headers:
                raise MalformedError(f"This comes from {other.title()}: let it call …/{other}.")
        kind = self.kind(received)
        if kind == "ping":
            return (Ping(sender=self.name, repository=forge_events.repository(tree), text=tree.text("zen")),)
        reader = _READERS.get(kind)
        return reader(tree) if reader else ()

    def setup(self, url: str) -> str:
        """See Sender."""
        return _SETUP.format(url=url)


SENDER = GitHubSender()
