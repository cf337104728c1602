"""What becomes of each service."""

from __future__ import annotations

from deploybot.domain import Effect, EffectKind, Manifest
from deploybot.ports import Site
from deploybot.strategies.compose.settings import SETTINGS_LABEL, settings_of
from deploybot.strategies.compose.values import Study, is_ours, observed_of


def effects_of(site: Site, study: Study, manifest: Manifest | None) -> tuple[Effect, ...]:
    """Compare what is there with what the release runs."""
    services = observed_of(site).services
    found = []
    for service in study.config.services:
        there = services.get(service.name, ())
        if not there:
            found.append(Effect(service.name, EffectKind.NEW))
            continue
        wanted = manifest.of(service.name) if manifest else None
        why = []
        if wanted is None:
            why.append("image may change")
        elif any(one.image_id != wanted.image for one in there):
            why.append("image")
        if any(one.label(SETTINGS_LABEL) != settings_of(service, study.facts) for one in there):
            why.append("settings")
        if why:
            found.append(Effect(service.name, EffectKind.RECREATED, ", ".join(why)))
        elif any(one.state != "running" for one in there):
            found.append(Effect(service.name, EffectKind.STARTED))
        else:
            found.append(Effect(service.name, EffectKind.KEPT))
    for name in sorted(services.keys() - {one.name for one in study.config.services}):
        kind = EffectKind.REMOVED if site.remove_orphans or all(map(is_ours, services[name])) else EffectKind.LEFT
        found.append(Effect(name, kind))
    return tuple(found)
