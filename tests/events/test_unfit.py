"""Tags of images that bot.toml can never mean are reported once, with the pattern that would follow them."""

from __future__ import annotations

from deploybot.card import Card
from deploybot.domain import ImagePushed
from deploybot.domain.image_tags import TagPattern
from deploybot.events.unmatched_tags import UnfitTags
from deploybot.setup_notices import NoticeBoard
from tests.events.channel import DIGEST, HOME, IMAGE, EventChannel, open_channel, settings


async def push(channel: EventChannel, *tags: str, image: str = IMAGE) -> list[Card]:
    """Have tags pushed, by a bot that has just started; what was reported."""
    board = NoticeBoard(channel.clock, lambda _: (HOME,))
    app = channel.settings.apps["shop"]
    events = [ImagePushed(sender="registry", image=image, tag=tag, digest=DIGEST) for tag in tags]
    await UnfitTags(channel.store, board).handle_events(app, [(event, "d") for event in events])
    channel.clock.advance(1)
    return await channel.messages()


async def test_a_tag_of_another_form_is_reported_once_with_its_pattern() -> None:
    async with open_channel(settings(images={"web": {"image": IMAGE, "tag": "^1.4"}})) as channel:
        (card,) = await push(channel, "2026.02.0", "latest")
        assert card.title == f"shop: the tag 2026.02.0 of {IMAGE} does not count for web."
        assert "a number in it begins with 0" in card.text
        assert r"""pattern = '(\d+)\.(\d+)\.(\d+)', order = "number" """.strip() in card.hint
        assert await push(channel, "2026.03.0") == [card]
        (card,) = await push(channel, "1.5.0")
        assert card.title.startswith("Fixed: ")
        assert await push(channel, "2026.04.0") == [card]


async def test_what_is_not_meant_for_people_or_fits_or_is_newer_is_not_reported() -> None:
    async with open_channel(settings(images={"web": {"image": IMAGE, "tag": "^1.4"}})) as channel:
        assert await push(channel, "latest", "2.0.0", "sha-0a1b2c3", "1.4.9-rc.1", "1.4.9") == []
        assert await push(channel, "build-7", "1.5.0") == []
        assert await push(channel, "build-7", image="registry.example.com/acme/other") == []


async def test_a_pattern_is_followed_and_what_does_not_fit_it_is_reported() -> None:
    made = settings(images={"web": {"image": IMAGE, "tag": {"pattern": r"build-(\d+)", "order": "number"}}})
    assert made.apps["shop"].images["web"].tag == TagPattern(r"build-(\d+)", "number")
    async with open_channel(made) as channel:
        (card,) = await push(channel, "1.4.2")
        assert r"it does not match `build-(\d+)`" in card.text


async def test_an_exact_tag_may_have_any_neighbours() -> None:
    async with open_channel(settings(images={"web": {"image": IMAGE, "tag": "latest"}})) as channel:
        assert await push(channel, "2026.02.0", "build-7") == []
