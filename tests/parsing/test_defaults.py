"""What needs approvals is never the default of a command that changes something."""

from __future__ import annotations

import pytest

from deploybot.errors import UserError
from deploybot.parsing import (
    parse,
)
from tests.kit.command_bot import EVERYTHING, SETTINGS
from tests.parsing.reading import FORMS, PRODUCTION, SHOP, STAGING

# What needs approvals is never meant without its name


def test_what_needs_approvals_is_never_meant_by_what_changes_something() -> None:
    """Looking at it is another thing: there the app's only environment may be meant."""
    blog = SETTINGS.apps["blog"]
    live = blog.environments["live"].model_copy(update={"approvals": 1})
    guarded = SETTINGS.model_copy(
        update={"apps": {**SETTINGS.apps, "blog": blog.model_copy(update={"environments": {"live": live}})}}
    )
    assert parse(FORMS, "logs blog", guarded, EVERYTHING).environment == live
    assert parse(FORMS, "deploy blog to live", guarded, EVERYTHING).environment == live
    with pytest.raises(UserError) as caught:
        parse(FORMS, "deploy blog", guarded, EVERYTHING)
    assert caught.value.sentence == "Which environment of blog do you mean: live?"
    assert caught.value.choices == (("live", "deploy blog to live"),)


def test_a_default_is_meant_beside_what_needs_approvals() -> None:
    production = PRODUCTION.model_copy(update={"approvals": 1})
    places = {"staging": STAGING, "production": production}
    guarded = SETTINGS.model_copy(update={"apps": {"shop": SHOP.model_copy(update={"environments": places})}})
    assert parse(FORMS, "deploy shop", guarded, EVERYTHING).environment == STAGING
