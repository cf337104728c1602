"""One good message for each kind of event."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploybot.card import Card, Line, Link, Tone
from deploybot.domain import (
    Alert,
    ArtifactSource,
    BuildState,
    Change,
    Deployed,
    Event,
    ImagePushed,
    Note,
    Ping,
    Published,
    PushedCommit,
    Release,
    Synced,
    Tagged,
)
from tests.events.channel import (
    ANA,
    DIGEST,
    HOME,
    IMAGE,
    NOON,
    SECRET,
    Channel,
    build,
    labels,
    open_channel,
    push,
    says,
    settings,
    sha,
)

PASSED, FAILED, RUNNING, QUEUED = BuildState.PASSED, BuildState.FAILED, BuildState.RUNNING, BuildState.QUEUED
COMMON: dict[str, Any] = {"sender": "github", "repository": "acme/shop", "by": ANA, "at": NOON}


async def test_a_push(channel: Channel) -> None:
    assert await channel.hear(push(total=3)) == "posted (1)"
    card = await channel.message()
    assert card.title == "shop: 3 commits to develop by Ana Ruiz (@ana)"
    assert card.lines == (
        Line("0000000000", "Change number 2 — Ana Ruiz", url="https://git.example.com/c/2"),
        Line("…", "and 2 older commits"),
    )
    assert card.links == (Link("compare", "https://git.example.com/compare/1...2"),)
    assert labels(card) == {
        "Deploy to staging": f"deploy shop@{sha(2)} to staging",
        "Show diff": f"diff shop@{sha(2)} production",
    }


@pytest.mark.parametrize(
    ("more", "title", "buttons"),
    [
        ({"before": ""}, "shop: new branch develop by Ana Ruiz (@ana), 1 commit", 2),
        ({"after": "", "commits": (), "total": 0}, "shop: branch develop was deleted by Ana Ruiz (@ana)", 0),
        ({"commits": (), "total": 0}, "shop: develop is at 0000000000 now by Ana Ruiz (@ana)", 2),
        ({"repository": "acme/other"}, "shop: 1 commit to develop by Ana Ruiz (@ana)", 0),
        ({"after": "0123456"}, "shop: 1 commit to develop by Ana Ruiz (@ana)", 0),
    ],
)
async def test_other_pushes(channel: Channel, more: dict[str, object], title: str, buttons: int) -> None:
    await channel.hear(push(**more))  # type: ignore[arg-type]
    card = await channel.message()
    assert (card.title, len(card.buttons)) == (title, buttons)


async def test_a_push_of_which_the_sender_counts_not_all(channel: Channel) -> None:
    await channel.hear(push(more=True), push(3, more=True, total=2048))
    few, many = await channel.messages()
    assert (few.title[:26], few.lines[-1].text) == ("shop: more than 1 commit t", "and older commits")
    assert many.lines[-1].text == "and at least 2,047 older commits"


async def test_a_forced_push_says_so(channel: Channel) -> None:
    await channel.hear(push(forced=True))
    assert (await channel.message()).text == "! The branch was rewritten: some of its commits are gone."


@pytest.mark.parametrize("total", [500, 10_000])
async def test_a_huge_push_is_a_short_message(channel: Channel, total: int) -> None:
    commits = tuple(PushedCommit(sha(number), "Ben", "x" * 60_000) for number in range(20))
    await channel.hear(push(total=total, commits=commits, paths=("a/b",) * 50_000))
    card = await channel.message()
    assert card.title == f"shop: {total:,} commits to develop by Ana Ruiz (@ana)"
    assert card.lines[-1].text == f"and {total - 5:,} older commits"
    assert len(says(card)) < 1_200


async def test_a_newer_push_takes_the_buttons_of_the_one_before(channel: Channel) -> None:
    await channel.hear(push(2), push(3))
    older, newer = await channel.messages()
    assert (len(older.buttons), older.footer) == (0, "overtaken by a newer push")
    assert len(newer.buttons) == 2


async def test_an_older_push_that_comes_late_has_none(channel: Channel) -> None:
    await channel.hear(push(3), push(2))
    newer, older = await channel.messages()
    assert (len(newer.buttons), len(older.buttons)) == (2, 0)


async def test_an_author_whom_nobody_knows(channel: Channel) -> None:
    await channel.hear(push(by=replace(ANA, identity=None)))
    assert (await channel.message()).title.endswith("by Ana Ruiz")


async def test_builds_of_a_commit_are_one_message(channel: Channel) -> None:
    for event in (build(QUEUED), build(QUEUED, name="lint"), build(RUNNING)):
        await channel.hear(event)
    card = await channel.message()
    assert (card.title, card.tone, card.final) == ("shop: develop (0000000000) — building", Tone.BUSY, False)
    await channel.hear(build(PASSED, name="lint"), build(FAILED, failed=("unit", "browser")))
    card = await channel.message()
    assert (card.title, card.tone, card.final) == ("shop: develop (0000000000) — red: tests", Tone.BAD, True)
    assert card.lines == (
        Line("tests #2", "red after 2 min: browser, unit", Tone.BAD, "https://git.example.com/runs/2"),
        Line("lint #2", "green, 2 min", Tone.GOOD, "https://git.example.com/runs/2"),
    )
    assert card.buttons == ()
    await channel.hear(build(RUNNING, attempt=2, at=NOON + 900), build(PASSED, attempt=2, at=NOON + 990))
    card = await channel.message()
    assert (card.title, card.tone) == ("shop: develop (0000000000) — green after 2 min", Tone.GOOD)
    assert card.lines[0].text == "green, 2 min"
    assert card.lines[1].text == "green, 2 min; attempt 2"
    assert [*labels(card)] == ["Deploy to staging", "Show diff"]


async def test_what_stands_for_all_builds_is_a_line_only_where_it_says_more(channel: Channel) -> None:
    suite = replace(build(PASSED, name="GitHub Actions", whole=True), number=0)
    await channel.hear(suite)
    assert len((await channel.message()).lines) == 1
    await channel.hear(build(PASSED))
    assert [line.name for line in (await channel.message()).lines] == ["tests #2"]
    await channel.hear(replace(suite, state=FAILED, at=suite.at + 9))
    assert (await channel.message()).title.endswith("red: GitHub Actions")


async def test_a_pipeline_stands_for_its_jobs_also_for_those_that_may_fail(channel: Channel) -> None:
    pipeline = build(PASSED, name="pipeline", whole=True, sender="gitlab", within="7")
    await channel.hear(build(FAILED, name="audit", sender="gitlab", job="audit", within="7"), pipeline)
    card = await channel.message()
    assert card.title.endswith("green after 2 min")
    assert [line.name for line in card.lines] == ["pipeline #2"]


async def test_two_workflows_of_one_name_are_two_and_a_new_run_heals(channel: Channel) -> None:
    red = build(FAILED, name="CI", workflow="1 a.yml", run=7)
    await channel.hear(red, replace(red, key="b", workflow="2 b.yml", run=8, state=PASSED))
    card = await channel.message()
    assert (card.title.rpartition("— ")[2], len(card.lines), card.buttons) == ("red: CI", 2, ())
    await channel.hear(replace(red, key="c", run=9, state=PASSED))
    card = await channel.message()
    assert (card.tone, len(card.lines), [*labels(card)]) == (Tone.GOOD, 2, ["Deploy to staging", "Show diff"])


async def test_what_counts_of_another_branch_is_a_line_and_brings_every_card_up_to_date(channel: Channel) -> None:
    lint = build(FAILED, name="lint", branch="develop")
    await channel.hear(build(PASSED, branch="main"), lint)
    main, develop = await channel.messages()
    assert main.title == "shop: main (0000000000) — red: lint"
    assert [line.text for line in main.lines] == ["red after 2 min; on develop", "green, 2 min"]
    assert [line.name for line in develop.lines] == ["lint #2", "tests #2"]
    await channel.hear(replace(lint, state=BuildState.CANCELLED, attempt=2))
    main, develop = await channel.messages()
    assert (main.title, len(main.lines)) == ("shop: main (0000000000) — green after 2 min", 1)
    assert develop.title == "shop: develop (0000000000) — cancelled"


async def test_what_may_be_for_a_fork_is_reported_and_never_green(channel: Channel) -> None:
    await channel.hear(replace(build(PASSED, branch=""), fork=True))
    card = await channel.message()
    assert card.title.endswith("— green after 2 min, may be from a fork: does not count")
    assert (card.tone, card.buttons) == (Tone.PLAIN, ())


async def test_a_branch_of_a_fork_is_reported_for_itself_and_cannot_be_deployed() -> None:
    routes = {"all": {"kinds": ["build"]}}
    async with open_channel(settings(notify=routes)) as channel:
        await channel.hear(build(FAILED), replace(build(PASSED, branch="ana:develop"), key="f"))
        card = (await channel.messages())[1]
        assert (card.title, card.buttons) == ("shop: ana:develop (0000000000) — green after 2 min", ())


async def test_builds_of_several_senders_take_as_long_as_the_longest_by_its_own_clock(channel: Channel) -> None:
    far = NOON * 20
    script = replace(build(PASSED), sender="event", started=far, finished=far + 600, at=far)
    await channel.hear(build(PASSED), script)
    assert (await channel.message()).title.endswith("green after 10 min")


async def test_two_suites_of_one_name_are_two(channel: Channel) -> None:
    suite = replace(build(PASSED, name="GitHub Actions", whole=True), number=0)
    await channel.hear(replace(suite, key="a", state=FAILED), replace(suite, key="b", at=suite.at + 60))
    assert (await channel.message()).title.endswith("red: GitHub Actions")


async def test_failed_jobs_that_are_reported_one_by_one_are_all_named(channel: Channel) -> None:
    begun = NOON + 150
    unit, browser = (
        replace(build(RUNNING), failed=(name,), number=0, at=begun + at)
        for at, name in enumerate(("unit", "browser"), 2)
    )
    await channel.hear(build(RUNNING), unit)
    assert (await channel.message()).lines[0].text == "running, red already: unit"
    await channel.hear(build(FAILED), browser)
    assert (await channel.message()).lines[0].text == "red after 2 min: browser, unit"
    assert (await channel.message()).lines[0].name == "tests #2"
    await channel.hear(build(FAILED, attempt=2, at=NOON + 900))
    assert (await channel.message()).lines[0].text == "red after 2 min; attempt 2"


async def test_a_build_whose_commit_is_reported_at_its_end_is_one_message(channel: Channel) -> None:
    queued = build(QUEUED, commit="", branch="", sender="jenkins")
    await channel.hear(queued, build(PASSED, sender="jenkins"))
    assert (await channel.message()).title == "shop: develop (0000000000) — green after 2 min"


async def test_many_builds_are_bounded(channel: Channel) -> None:
    await channel.hear(*(build(PASSED, name=f"job {number:02}") for number in range(40)))
    card = await channel.message()
    assert len(card.lines) == 10
    assert card.lines[-1] == Line("… and 31 more", "31 passed")


async def test_promotion_is_offered_once_the_release_is_healthy_before(channel: Channel) -> None:
    await channel.hear(build(PASSED))
    assert "Promote to production" not in labels(await channel.message())
    await channel.runs("staging", sha(2), healthy=False)
    await channel.hear(build(PASSED, name="lint"))
    assert "Promote to production" not in labels(await channel.message())
    await channel.runs("staging", sha(2))
    await channel.hear(build(PASSED, name="docs"))
    assert labels(await channel.message()) == {
        "Promote to production": f"deploy shop@{sha(2)} to production",
        "Show diff": f"diff shop@{sha(2)} production",
    }


async def test_with_images_what_was_tried_is_promoted_and_not_what_tags_mean_by_now() -> None:
    images = {"web": {"service": "web", "image": "registry.example.com/acme/shop", "tag": "latest"}}
    async with open_channel(settings(images=images)) as channel:
        await channel.runs("staging", sha(2))
        await channel.hear(build(PASSED))
        assert labels(await channel.message())["Promote to production"] == "deploy shop@#1 to production"


async def test_promotion_is_offered_as_soon_as_the_bot_has_deployed_it(channel: Channel) -> None:
    await channel.hear(push(), build(PASSED))
    await channel.runs("staging", sha(2))
    pushed, built = await channel.messages()
    assert [*labels(pushed)] == ["Show diff"]
    assert [*labels(built)] == ["Promote to production", "Show diff"]
    await channel.runs("staging", sha(9), replaces=sha(2))
    pushed, built = await channel.messages()
    assert [*labels(pushed)] == ["Deploy to staging", "Show diff"]
    assert [*labels(built)] == ["Deploy to staging", "Show diff"]


async def test_a_release_without_a_commit_takes_the_one_before_it_away(channel: Channel) -> None:
    await channel.hear(push(), build(PASSED))
    await channel.runs("staging", sha(2))
    await channel.runs_release("staging", Release(ArtifactSource("a" * 64)), replaces=Release.of_commit(sha(2)))
    pushed, built = await channel.messages()
    assert [*labels(pushed)] == ["Deploy to staging", "Show diff"]
    assert [*labels(built)] == ["Deploy to staging", "Show diff"]


async def test_what_auto_deploys_has_no_button_for_it() -> None:
    staging = {"servers": ["web1"], "auto": {"branch": "develop"}}
    for auto, shown in (({"branch": "develop"}, False), ({"branch": "develop", "ask": True}, True)):
        made = settings(environments={"staging": {**staging, "auto": auto}})
        async with open_channel(made) as channel:
            await channel.hear(push())
            assert ("Deploy to staging" in labels(await channel.message())) is shown


async def test_a_newer_push_takes_the_buttons_of_a_build(channel: Channel) -> None:
    await channel.hear(push(2), build(PASSED, 2), push(3))
    _, card, _ = await channel.messages()
    assert (card.buttons, card.footer) == ((), "overtaken by a newer push")


async def test_a_merge_request_from_its_beginning_to_its_end(channel: Channel) -> None:
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


async def test_drafts_and_mere_changes_begin_no_message(channel: Channel) -> None:
    change = Change(**COMMON, number=12, title="x", what="opened", branch="fast", into="main", draft=True)
    assert await channel.hear(change) == "no route matches it"
    await channel.hear(replace(change, number=13, what="updated", draft=False))
    assert await channel.messages() == []
    await channel.hear(replace(change, what="updated", draft=False, at=NOON + 1))
    assert (await channel.message()).title == "shop: #12 x — open"
    await channel.hear(replace(change, what="merged", draft=False, at=NOON + 2))
    assert (await channel.message()).title == "shop: #12 x — merged"


async def test_a_tag_and_its_release_are_one_message(channel: Channel) -> None:
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
async def test_images_where_bot_toml_pins_none(channel: Channel, tag: str, told: bool) -> None:
    await channel.hear(ImagePushed(**COMMON, image=IMAGE, tag=tag, digest=DIGEST))
    assert [card.buttons for card in await channel.messages()] == [()] * told


async def test_a_deployment_of_others(channel: Channel) -> None:
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


async def test_argo_cd(channel: Channel) -> None:
    event = Synced(**COMMON, application="shop-staging", state="OutOfSync", health="Healthy", commit=sha(4))
    await channel.hear(event, replace(event, state="Synced", health="Progressing", at=NOON + 2))
    assert (await channel.message()).tone is Tone.BUSY
    await channel.hear(replace(event, state="Synced", health="Degraded", at=NOON + 3, text="crash loop"))
    card = await channel.message()
    assert card.title == "shop: Argo CD shop-staging (0000000000) — Synced, Degraded"
    assert (card.text, labels(card)) == ("crash loop", {"Logs": "logs shop from staging"})


async def test_an_alert_and_its_end_are_one_message(channel: Channel) -> None:
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


async def test_an_alert_that_comes_again_says_how_often(channel: Channel) -> None:
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


async def test_notes(channel: Channel) -> None:
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


async def test_a_ping_is_posted_nowhere(channel: Channel) -> None:
    assert await channel.hear(Ping(sender="github")) == "a ping: nothing to post"
    assert await channel.messages() == []


@pytest.mark.parametrize(
    "event", [push(), build(FAILED), Note(sender="event", title="x"), Alert(sender="p", key="k", name="n", firing=True)]
)
async def test_the_same_event_of_the_same_delivery_is_reported_once(channel: Channel, event: Event) -> None:
    await channel.hear(event, delivery="d")
    before = await channel.messages()
    channel.clock.advance(5_000)
    assert await channel.hear(event, delivery="d") == "this delivery was posted before"
    assert await channel.messages() == before


async def test_a_push_that_two_hooks_report_is_posted_once(channel: Channel) -> None:
    await channel.hear(push(), delivery="repository")
    assert await channel.hear(push(), delivery="organisation") == "nothing newer than what was posted"
    assert len(await channel.messages()) == 1


async def test_what_an_event_changes_is_one_transaction(channel: Channel) -> None:
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
    channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    await channel.hear(push())
    await channel.store.write(lambda tables: tables.events._run("UPDATE event_parts SET kind = 'Comet'"))  # type: ignore[attr-defined]
    await channel.runs("staging", sha(2))
    assert "could not be updated" in caplog.text
    assert await channel.store.read(lambda tables: len(tables.running.get("shop", "staging"))) == 1


async def test_secrets_are_masked_and_addresses_that_hold_one_are_left_out(channel: Channel) -> None:
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
        for place in made.apps["shop"].channel:
            assert len(await channel.messages(place)) == 1
