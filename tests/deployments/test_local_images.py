"""An image that was built on a server is not replaced by what a registry has under its name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.deployments.local_images import insist_on_registries
from deploybot.domain import Container, Image, Observed, ServerFacts
from deploybot.errors import BuiltHere
from deploybot.ports import Site
from deploybot.settings import App, ImageOf
from tests.kit.bot import BotUnderTest

PULLED = "myapp@sha256:" + "1" * 64


def site(
    bot: BotUnderTest, app: App, *digests: str, image: str = "myapp:1", known: bool = True, named: bool = True
) -> Site:
    """A server with one container of an image."""
    container = Container(id="c", name="web", service="web", image=image, state="running", image_id="i")
    images = (Image(id="i", tags=(image,) if named else (), digests=digests),) if known else ()
    observed = Observed(facts=ServerFacts(home="/", server="web1"), containers=(container,), images=images)
    return Site(app=app, environment=bot.production, facts=observed.facts, observed=observed)


@pytest.mark.parametrize("name", ["myapp", "myapp:2", "docker.io/library/myapp:1"])
def test_what_was_built_there_is_refused(bot: BotUnderTest, name: str) -> None:
    with pytest.raises(BuiltHere, match="on web1, which was built or loaded there") as refused:
        insist_on_registries(site(bot, bot.app), {"web": name})
    assert "Push it to a registry" in refused.value.hint
    with pytest.raises(BuiltHere):
        insist_on_registries(site(bot, bot.app, image="localhost:5000/myapp"), {"web": "localhost:5000/myapp:1"})
    with pytest.raises(BuiltHere):  # as `docker tag acme/other:1 myapp:1` makes it
        insist_on_registries(site(bot, bot.app, PULLED.replace("myapp", "acme/other")), {"web": "myapp:1"})
    bot.app.images["web"] = ImageOf(image="myapp", tag="^1")
    with pytest.raises(BuiltHere):
        insist_on_registries(site(bot, bot.app), {"web": "acme/other"})


def test_what_a_registry_had_or_what_has_another_name_now_is_not(bot: BotUnderTest) -> None:
    insist_on_registries(site(bot, bot.app, PULLED), {"web": "myapp"})
    insist_on_registries(site(bot, bot.app), {"web": "ghcr.io/acme/myapp"})
    insist_on_registries(site(bot, bot.app), {"side": "myapp"})
    insist_on_registries(site(bot, bot.app, known=False), {"web": "myapp"})
    facts = ServerFacts(home="/")
    insist_on_registries(Site(app=bot.app, environment=bot.production, facts=facts), {"web": "myapp"})
    bot.app.images["web"] = ImageOf(image="ghcr.io/acme/myapp", tag="^1")
    insist_on_registries(site(bot, bot.app), {"web": "myapp"})


def test_an_image_without_any_name_is_unknown_unless_a_build_has_its_tag_by_now(bot: BotUnderTest) -> None:
    """The containerd image store drops tag and digest of what runs when its tag is pulled again."""
    nameless = site(bot, bot.app, named=False)
    insist_on_registries(nameless, {"web": "myapp"})
    pulled = Image(id="n", tags=("myapp:1",), digests=(PULLED,))
    insist_on_registries(replace(nameless, images=(pulled,)), {"web": "myapp"})
    built = replace(pulled, digests=())
    old = replace(pulled, id="o", tags=("myapp:0",))
    with pytest.raises(BuiltHere):
        insist_on_registries(replace(nameless, images=(built, old)), {"web": "myapp"})
    with pytest.raises(BuiltHere):
        insist_on_registries(replace(nameless, images=(built, replace(built, tags=("other:1",)))), {"web": "myapp"})
