"""The result of one check of an environment: what changed, and the triggers that it leads to."""

from __future__ import annotations

from dataclasses import dataclass

from deploybot.autodeploy.image_order import IMAGE_TAGS, tags_text
from deploybot.autodeploy.target_state import TargetState
from deploybot.autodeploy.watched_sources import CARRIED_IMAGES, IMAGES, Found, News, There
from deploybot.domain import Release, Trigger
from deploybot.ports import Tables
from deploybot.settings import Environment


@dataclass(frozen=True, slots=True)
class WeighedChanges:
    """What one check found for an environment, and the triggers that it leads to.

    `triggers` are at most one to deploy, and those that are only reported (LEFT). `deferred` is true if new images
    wait, because a commit waits or something is being deployed: the next checks find them again. `waiting` names them
    on the card of the commit that waits. `carried` are those that an open deployment has: its end decides about them.
    """

    fresh: News
    there: There
    state: TargetState
    triggers: tuple[Trigger, ...]
    deferred: bool
    waiting: str = ""
    carried: str = ""

    @property
    def found(self) -> tuple[Found, ...]:
        """Return all values that changed."""
        return (*self.fresh.found, *self.fresh.left)

    @property
    def considered(self) -> tuple[Found, ...]:
        """Return the values that need no further check."""
        return tuple(one for one in self.found if not (self.deferred and one.where == IMAGES))

    @property
    def passed(self) -> tuple[Found, ...]:
        """Return the values that need no deployment of their own, and no report."""
        reported = {one.source for one in self.triggers}
        return tuple(one for one in self.considered if one.where not in reported)

    def store_considered(self, tables: Tables, environment: Environment) -> None:
        """Store the values that need no further check, with what belongs to images."""
        target = (environment.app, environment.name)
        for one in self.considered:
            tables.triggers.consider(*target, one.source, one.seen)
        if self.carried:
            tables.triggers.consider(*target, CARRIED_IMAGES, self.carried)
        if IMAGES in self.fresh.first or any(one.where == IMAGES for one in self.considered):
            consider_tags(tables, environment, self.there)

    def is_wanted(self, release: Release) -> bool:
        """Return whether a release is one of the values that were found now."""
        if any(one.commit and release.is_from(one.commit) for one in self.found):
            return True
        return any(one.where == IMAGES for one in self.found) and {*self.there.images} <= {*release.images}


def consider_tags(tables: Tables, environment: Environment, there: There) -> None:
    """Store the tags of the images that were considered last."""
    tables.triggers.consider(environment.app, environment.name, IMAGE_TAGS, tags_text(there.images))
