"""One good message for each kind of event."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploybot.card import Card, Line, Link, Tone
from deploybot.domain import (
    Alert,
    Change,
    Deployed,
    Event,
    ImagePushed,
    Note,
    Ping,
    Published,
    PushedCommit,
    Synced,
    Tagged,
)
from tests.events.channel import (
    ANA,
    DIGEST,
    FAILED,
    HOME,
    IMAGE,
    NOON,
    PASSED,
    QUEUED,
    RUNNING,
    SECRET,
    EventChannel,
    build,
    labels,
    open_channel,
    push,
    settings,
    sha,
)

COMMON: dict[str, Any] = {"sender": "github", "repository": "acme/shop", "by": ANA, "at": NOON}


async def test_a_merge_request_from_its_beginning_to_its_end(channel: EventChannel) -> None:
    change = Change(
        **{**COMMON, "sender": "gitlab"}, number=12, title="Faster *checkout*", what="opened", branch="fast",
        into="main", url="https://git.example.com/mr/12",
    )  # fmt: skip
    await channel.hear(change)
    card = await channel.message()
    assert card.title == "shop: !12 Faster *checkout* — opened"
    assert card.lines == (Line("branch", "fast → main"),)
    assert card.links == (Link("show", "https://git.example.com/mr/12"),)
    await channel.hear(replace(change, what="updated", at=NOON + 5, title="Fastest checkout"))
    assert (await channel.message()).title == "shop: !12 Fastest checkout — open"
    await channel.hear(replace(change, what="merged", at=NOON + 9), replace(change, what="updated", at=NOON + 9))
    card = await channel.message()
    assert (card.title, card.tone) == ("shop: !12 Faster *checkout* — merged", Tone.GOOD)
    assert card.footer == "by Ana Ruiz (@ana)"


async def test_drafts_and_mere_changes_begin_no_message(channel: EventChannel) -> None:
    change = Change(**COMMON, number=12, title="x", what="opened", branch="fast", into="main", draft=True)
    assert await channel.hear(change) == "no route matches it"
    await channel.hear(replace(change, number=13, what="updated", draft=False))
    assert await channel.messages() == []
    await channel.hear(replace(change, what="updated", draft=False, at=NOON + 1))
    assert (await channel.message()).title == "shop: #12 x — open"
    await channel.hear(replace(change, what="merged", draft=False, at=NOON + 2))
    assert (await channel.message()).title == "shop: #12 x — merged"


async def test_a_tag_and_its_release_are_one_message(channel: EventChannel) -> None:
    await channel.hear(Tagged(**COMMON, tag="v1.4", commit=sha(7)))
    card = await channel.message()
    assert card.title == "shop: new tag v1.4 by Ana Ruiz (@ana)"
    assert "Deploy to staging" in labels(card)
    await channel.hear(
        Published(**COMMON, tag="v1.4", name="Cart", text="Faster.\n\nBetter.", url="https://x.example/r")
    )
    card = await channel.message()
    assert card.title == "shop: release v1.4 was published by Ana Ruiz (@ana): Cart"
    assert card.text == "Faster.\nBetter."
    assert card.links == (Link("release", "https://x.example/r"),)
    await channel.hear(Published(**COMMON, tag="v1.4", name="Cart", text="Faster.", gone=True))
    card = await channel.message()
    assert (card.title, card.text) == ("shop: release v1.4 was deleted by Ana Ruiz (@ana): Cart", "")
    assert (card.buttons, card.links) == ((), ())
    await channel.hear(Tagged(**{**COMMON, "at": NOON + 3}, tag="v1.4"))
    card = await channel.message()
    assert card.title == "shop: tag v1.4 was deleted by Ana Ruiz (@ana)"
    assert card.buttons == ()


async def test_an_image_with_all_its_tags() -> None:
    made = settings(images={"web": {"service": "web", "image": IMAGE, "tag": "^1.4"}})
    async with open_channel(made) as channel:
        image = ImagePushed(**{**COMMON, "by": ANA}, image=IMAGE, tag="1.4.2", digest=DIGEST, size=48_000_000)
        await channel.hear(image, replace(image, tag="latest"))
        card = await channel.message()
        assert card.title == f"shop: image {IMAGE} was pushed by Ana Ruiz (@ana)"
        assert {line.name: line.text for line in card.lines} == {
            "tags": "1.4.2, latest",
            "digest": "sha256:abababababab…",
            "size": "48 MB",
        }
        assert labels(card) == {"Deploy to staging": f"deploy shop@{DIGEST} to staging"}
        await channel.hear(replace(image, tag="buildcache", digest=f"sha256:{'cd' * 32}"))
        assert len(await channel.messages()) == 1


@pytest.mark.parametrize(
    ("tag", "told"), [("v2", True), ("latest", True), ("0123abcdef", False), ("sha-0123abc", False), ("a.sig", False)]
)
async def test_images_where_bot_toml_pins_none(channel: EventChannel, tag: str, told: bool) -> None:
    await channel.hear(ImagePushed(**COMMON, image=IMAGE, tag=tag, digest=DIGEST))
    assert [card.buttons for card in await channel.messages()] == [()] * told


async def test_a_deployment_of_others(channel: EventChannel) -> None:
    event = Deployed(**COMMON, key="7", environment="staging", state=QUEUED, ref="main", commit=sha(9))
    await channel.hear(event, replace(event, state=RUNNING, at=NOON + 1))
    assert (await channel.message()).title == "shop: GitHub deploys main (0000000000) to staging — running"
    await channel.hear(replace(event, state=FAILED, at=NOON + 2, text="no space left"))
    card = await channel.message()
    assert (card.title[-6:], card.text, card.tone) == ("failed", "no space left", Tone.BAD)
    assert labels(card) == {"Retry": f"deploy shop@{sha(9)} to staging", "Logs": "logs shop from staging"}


async def test_what_the_bot_did_itself_is_not_reported_again() -> None:
    made = settings(forge={"kind": "github", "token": {"env": "T"}})
    async with open_channel(made) as channel:
        event = Deployed(**COMMON, key="7", environment="staging", state=PASSED, commit=sha(2), own=True)
        assert await channel.hear(event) == "caused by the bot itself: not posted again"
        await channel.runs("staging", sha(3))
        await channel.hear(replace(event, own=False, commit=sha(3)), build(PASSED, name="deploybot/shop/staging"))
        assert await channel.messages() == []
        await channel.hear(replace(event, own=False, commit=sha(4)))
        assert len(await channel.messages()) == 1


async def test_argo_cd(channel: EventChannel) -> None:
    event = Synced(**COMMON, application="shop-staging", state="OutOfSync", health="Healthy", commit=sha(4))
    await channel.hear(event, replace(event, state="Synced", health="Progressing", at=NOON + 2))
    assert (await channel.message()).tone is Tone.BUSY
    await channel.hear(replace(event, state="Synced", health="Degraded", at=NOON + 3, text="crash loop"))
    card = await channel.message()
    assert card.title == "shop: Argo CD shop-staging (0000000000) — Synced, Degraded"
    assert (card.text, labels(card)) == ("crash loop", {"Logs": "logs shop from staging"})


async def test_an_alert_and_its_end_are_one_message(channel: EventChannel) -> None:
    alert = Alert(
        **COMMON, key="k", name="HighErrorRate", firing=True, severity="critical", text="5 % of requests fail",
        labels=(("alertname", "HighErrorRate"), ("env", "production"), ("job", "api")), started=NOON - 60,
    )  # fmt: skip
    await channel.hear(alert, replace(alert, at=NOON + 30))
    card = await channel.message()
    assert card.title == "shop: HighErrorRate (critical) — firing"
    assert card.tone is Tone.BAD
    assert {line.name for line in card.lines} == {"since", "env", "job"}
    assert labels(card) == {"Logs": "logs shop from production"}
    await channel.hear(replace(alert, firing=False, at=NOON + 120))
    card = await channel.message()
    assert (card.title, card.tone) == ("shop: HighErrorRate (critical) — resolved after 3 min", Tone.GOOD)
    assert card.buttons == ()


async def test_an_alert_that_comes_again_says_how_often(channel: EventChannel) -> None:
    for begun in (NOON - 7200, NOON - 3600, NOON):
        alert = Alert(**{**COMMON, "at": begun}, key="k", name="Slow", firing=True, started=begun)
        await channel.hear(alert, replace(alert, firing=False, at=begun + 60))
    await channel.hear(Alert(**{**COMMON, "at": NOON + 90}, key="k", name="Slow", firing=True, started=NOON + 90))
    card = (await channel.messages())[-1]
    assert card.lines[0] == Line("again", "4th time since 2027-01-15 10:00")


@pytest.mark.parametrize("alert", [{"severity": "none"}, {"name": "Watchdog"}])
async def test_alerts_that_only_say_that_alerts_work_are_for_those_who_ask(alert: dict[str, str]) -> None:
    event = Alert(**{**COMMON, "key": "k", "name": "x", "firing": True, **alert})
    for notify, told in (({}, 0), ({"all": {"kinds": ["alert"]}}, 1)):
        async with open_channel(settings(notify=notify)) as channel:
            await channel.hear(event)
            assert len(await channel.messages()) == told


async def test_notes(channel: EventChannel) -> None:
    note = Note(
        **{**COMMON, "sender": "event"}, title="Backup", text="began", tone="busy", key="backup",
        fields=(("size", "3 GB"),),
    )  # fmt: skip
    await channel.hear(note, replace(note, text="done", tone="good", at=NOON + 5))
    card = await channel.message()
    assert (card.title, card.text, card.tone) == ("shop: Backup", "done", Tone.GOOD)
    assert card.lines == (Line("size", "3 GB"),)
    await channel.hear(replace(note, key=""), replace(note, key=""))
    assert len(await channel.messages()) == 3


async def test_a_ping_is_posted_nowhere(channel: EventChannel) -> None:
    assert await channel.hear(Ping(sender="github")) == "a ping: nothing to post"
    assert await channel.messages() == []


@pytest.mark.parametrize(
    "event", [push(), build(FAILED), Note(sender="event", title="x"), Alert(sender="p", key="k", name="n", firing=True)]
)
async def test_the_same_event_of_the_same_delivery_is_reported_once(channel: EventChannel, event: Event) -> None:
    await channel.hear(event, delivery="d")
    before = await channel.messages()
    channel.clock.advance(5_000)
    assert await channel.hear(event, delivery="d") == "this delivery was posted before"
    assert await channel.messages() == before


async def test_a_push_that_two_hooks_report_is_posted_once(channel: EventChannel) -> None:
    await channel.hear(push(), delivery="repository")
    assert await channel.hear(push(), delivery="organisation") == "nothing newer than what was posted"
    assert len(await channel.messages()) == 1


async def test_what_an_event_changes_is_one_transaction(channel: EventChannel) -> None:
    class Broken:
        def text(self, text: str) -> str:
            raise RuntimeError(text)

        def card(self, card: Card) -> Card:
            raise RuntimeError(card.title)

    whole, channel.telling._redactor = channel.telling._redactor, Broken()
    with pytest.raises(RuntimeError):
        await channel.hear(push(), delivery="d")
    found = await channel.store.read(lambda tables: tables.events.about("shop", sha(2), 9))
    assert (found, await channel.messages()) == ((), [])
    channel.telling._redactor = whole
    assert await channel.hear(push(), delivery="d") == "posted (1)"


async def test_a_row_that_cannot_be_read_does_not_stop_a_deployment(
    channel: EventChannel, caplog: pytest.LogCaptureFixture
) -> None:
    await channel.hear(push())
    await channel.store.write(lambda tables: tables.events._run("UPDATE event_parts SET kind = 'Comet'"))  # type: ignore[attr-defined]
    await channel.runs("staging", sha(2))
    assert "could not be updated" in caplog.text
    assert await channel.store.read(lambda tables: len(tables.running.get("shop", "staging"))) == 1


async def test_secrets_are_masked_and_addresses_that_hold_one_are_left_out(channel: EventChannel) -> None:
    told = PushedCommit(sha(2), SECRET, f"Use {SECRET}", f"https://git.example.com/{SECRET}")
    await channel.hear(push(commits=(told,), compare=f"https://x.example/?token={SECRET}"))
    card = await channel.message()
    assert SECRET not in repr(card)
    assert (card.lines[0].url, card.links[0].url) == ("", "")


async def test_several_channels_get_a_message_once_each() -> None:
    made = settings(channel=["slack:C0SHOP11111", "telegram:-1001234567890"])
    async with open_channel(made) as channel:
        await channel.hear(push())
        assert await channel.messages(HOME) == []
        for named in made.apps["shop"].channel:
            assert len(await channel.messages(named)) == 1
