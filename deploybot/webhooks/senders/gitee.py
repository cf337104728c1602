"""Gitee: code; https://help.gitee.com/webhook/gitee-webhook-push-data-type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from deploybot.domain import Change, Event, Ping
from deploybot.webhooks.body_reading import Tree, first
from deploybot.webhooks.delivery_signatures import Proof, TimedToken
from deploybot.webhooks.forge_events import Done, ForgeDialect, branch_from, person, pushed, repository
from deploybot.webhooks.sender_base import BaseSender
from deploybot.webhooks.sender_port import Received

GITEE = ForgeDialect("gitee", counted="total_commits_count")

_DONE: Mapping[str, Done] = {
    "open": "opened",
    "update": "updated",
    "merge": "merged",
    "close": "closed",
    "reopen": "reopened",
}

_SETUP = """\
At Gitee, in the repository: 管理 (Manage), WebHooks 管理 (WebHooks), 添加 WebHook (New).
URL: {url}
WebHook 密码/签名密钥: 签名密钥 (signing key), the same as in bot.toml. 密码 (password) works too, but sends the
secret itself in every call.
Tick Push, Tag Push and Pull Request. 激活 (active): ticked. 添加 (Add), then 测试 (Test)."""


class Gitee(BaseSender):
    """Gitee, on gitee.com or self-hosted."""

    name = "gitee"
    proof: ClassVar[Proof] = TimedToken("x-gitee-token", "x-gitee-timestamp")
    kind_header = "x-gitee-event"
    pings = "Push Hook"
    home = ("repository", "html_url")
    looks = (
        ("Merge Request Hook", frozenset({"hook_name", "pull_request"})),
        ("Push Hook", frozenset({"hook_name", "ref", "commits"})),
    )

    def events_in(self, received: Received, tree: Tree) -> tuple[Event, ...]:
        """See BaseSender."""
        if first(received, "x-gitee-ping") == "true":
            return (Ping(sender=self.name, repository=repository(tree)),)
        match self.kind(received):
            case "Push Hook" | "Tag Push Hook":
                return pushed(GITEE, tree)
            case "Merge Request Hook":
                return _changed(tree)
            case _:
                return ()

    def setup(self, url: str) -> str:
        """See Sender."""
        return _SETUP.format(url=url)


def _changed(tree: Tree) -> tuple[Event, ...]:
    request = tree.at("pull_request")
    done = _DONE.get(tree.text("action"))
    if done is None:
        return ()
    merged = request.commit("merge_commit_sha") if done == "merged" else ""
    return (
        Change(
            sender="gitee",
            repository=repository(tree),
            url=request.page("html_url"),
            by=person("gitee", tree.at("sender") if tree.has("sender") else tree.at("author")),
            at=request.time("updated_at"),
            number=request.number("number") or tree.number("iid"),
            title=request.needs("title"),
            what=done,
            branch=branch_from(request),
            into=request.needs("base", "ref"),
            commit=merged or request.commit("head", "sha"),
            draft=request.flag("draft"),
        ),
    )


SENDER = Gitee()
