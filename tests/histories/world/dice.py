"""Draws applications and the steps of their histories from a seed."""

from __future__ import annotations

import enum
import random

from tests.histories.world.shop import ShopStyle


class Act(enum.StrEnum):
    """One step of a history."""

    DEPLOY = "deploy a good version"
    DEPLOY_SICK = "deploy an unhealthy version"
    DEPLOY_CRASHING = "deploy a version whose worker ends"
    DEPLOY_UNBUILDABLE = "deploy a version that does not build"
    DEPLOY_LACKING = "deploy a version that lacks a variable"
    DEPLOY_AGAIN = "deploy what was deployed last"
    DEPLOY_OLD = "deploy an old version"
    ROLLBACK = "roll back"
    ROLLBACK_TO = "roll back to a number"
    RESTART = "restart"
    HAND_CHECKOUT = "by hand: docker compose up --build in a checkout"
    HAND_FOLDER = "by hand: docker compose up in the release's folder"
    STOP = "by hand: docker stop"
    REMOVE = "by hand: docker rm -f"
    DOWN = "by hand: docker compose down"
    MOVE_TAG = "by hand: docker tag"
    DELETE_FOLDER = "by hand: rm -rf of a release's folder"
    CHANGE_CURRENT = "by hand: current changed"
    PRUNE = "by hand: docker image prune -af"
    RESTART_ENGINE = "by hand: Engine restarted"
    DEPLOY_WHILE_ENGINE_DIES = "deploy while the Engine dies and comes back"
    DEPLOY_WHILE_DISK_IS_FULL = "deploy while Docker's disk is full"


ALONE = frozenset({Act.PRUNE, Act.RESTART_ENGINE, Act.DEPLOY_WHILE_ENGINE_DIES, Act.DEPLOY_WHILE_DISK_IS_FULL})
"""Acts that every application on the Engine feels."""
_WEIGHTS = {
    Act.DEPLOY: 9,
    Act.DEPLOY_SICK: 3,
    Act.DEPLOY_CRASHING: 2,
    Act.DEPLOY_UNBUILDABLE: 1,
    Act.DEPLOY_LACKING: 1,
    Act.DEPLOY_AGAIN: 2,
    Act.DEPLOY_OLD: 2,
    Act.ROLLBACK: 5,
    Act.ROLLBACK_TO: 2,
    Act.RESTART: 1,
    Act.HAND_CHECKOUT: 3,
    Act.HAND_FOLDER: 2,
    Act.STOP: 2,
    Act.REMOVE: 2,
    Act.DOWN: 1,
    Act.MOVE_TAG: 2,
    Act.DELETE_FOLDER: 2,
    Act.CHANGE_CURRENT: 2,
    Act.PRUNE: 2,
    Act.RESTART_ENGINE: 1,
    Act.DEPLOY_WHILE_ENGINE_DIES: 1,
    Act.DEPLOY_WHILE_DISK_IS_FULL: 1,
}
STEPS = (5, 8)


def draw_acts(dice: random.Random) -> list[Act]:
    """The steps of a history; something is deployed first."""
    count = dice.randint(*STEPS) - 1
    first = dice.choices([Act.DEPLOY, Act.DEPLOY_SICK, Act.DEPLOY_LACKING], [18, 1, 1])
    return [*first, *dice.choices([*_WEIGHTS], [*_WEIGHTS.values()], k=count)]


def draw_style(dice: random.Random) -> ShopStyle:
    """Where the images of an application come from."""
    return dice.choices([ShopStyle.BUILD, ShopStyle.LATEST, ShopStyle.PINNED], [3, 2, 2])[0]
