"""Argo CD: sync and health, sent by a template; https://argo-cd.readthedocs.io/en/stable/operator-manual/notifications/."""

from __future__ import annotations

from typing import ClassVar

from deploybot.domain import Event, Synced
from deploybot.webhooks.body_reading import Tree, host_in, repository_of
from deploybot.webhooks.delivery_signatures import Bearer, Proof
from deploybot.webhooks.sender_base import BaseSender
from deploybot.webhooks.sender_port import Received

_SETUP = """\
Put the secret of bot.toml into Argo CD's Secret argocd-notifications-secret under deploybot-token:
kubectl -n argocd patch secret argocd-notifications-secret -p '{{"stringData": {{"deploybot-token": "SECRET"}}}}'
Add to the ConfigMap argocd-notifications-cm, under data:
  service.webhook.deploybot: |
    url: {url}
    headers:
      - name: Authorization
        value: Bearer $deploybot-token
      - name: Content-Type
        value: application/json
  template.deploybot: |
    webhook:
      deploybot:
        method: POST
        body: |
          {{{{$state := .app.status.operationState}}}}
          {{"application": {{{{toJson .app.metadata.name}}}},
           "sync": {{{{toJson .app.status.sync.status}}}},
           "health": {{{{toJson .app.status.health.status}}}},
           "revision": {{{{toJson .app.status.sync.revision}}}},
           "git": {{{{with .app.spec.source}}}}{{{{toJson .repoURL}}}}{{{{else}}}}""{{{{end}}}},
           "phase": {{{{with $state}}}}{{{{toJson .phase}}}}{{{{else}}}}""{{{{end}}}},
           "message": {{{{with $state}}}}{{{{toJson .message}}}}{{{{else}}}}""{{{{end}}}},
           "at": {{{{toJson .app.status.reconciledAt}}}},
           "url": "{{{{.context.argocdUrl}}}}/applications/{{{{.app.metadata.name}}}}"}}
  trigger.deploybot: |
    - when: app.status.operationState != nil and app.status.operationState.phase in ['Running']
      send: [deploybot]
    - when: app.status.operationState != nil and app.status.operationState.phase in ['Error', 'Failed']
      send: [deploybot]
    - when: app.status.operationState != nil and app.status.operationState.phase in ['Succeeded'] and \
app.status.health.status == 'Healthy'
      send: [deploybot]
    - when: app.status.health.status == 'Degraded'
      send: [deploybot]
And for each Application:
kubectl -n argocd annotate application NAME notifications.argoproj.io/subscribe.deploybot.deploybot=''"""

_UNDER_WAY = frozenset({"Running", "Terminating", "Error", "Failed"})


class ArgoCd(BaseSender):
    """Argo CD 2.4 or later."""

    name = "argocd"
    proof: ClassVar[Proof] = Bearer()
    repeats = True
    pings = ""
    looks = (("", frozenset({"application", "sync", "health"})),)

    def events_in(self, received: Received, tree: Tree) -> tuple[Event, ...]:  # noqa: ARG002 - see BaseSender
        """See BaseSender. The state is that of a running or failed operation, or else whether all is in sync."""
        phase = tree.text("phase")
        return (
            Synced(
                sender=self.name,
                repository=repository_of(tree.text("git")),
                host=host_in(tree.text("git")),
                url=tree.page("url"),
                at=tree.time("at"),
                application=tree.needs("application"),
                state=phase if phase in _UNDER_WAY else tree.needs("sync"),
                health=tree.text("health"),
                commit=tree.commit("revision"),
                text=tree.lines("message"),
            ),
        )

    def setup(self, url: str) -> str:
        """See Sender."""
        return _SETUP.format(url=url)


SENDER = ArgoCd()
