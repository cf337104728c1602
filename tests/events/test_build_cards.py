"""All builds of a commit are one message, with what they promote."""

from __future__ import annotations

from dataclasses import replace

from deploybot.card import Line, Tone
from deploybot.domain import (
    ArtifactSource,
    BuildState,
    Release,
)
from tests.events.channel import (
    FAILED,
    NOON,
    PASSED,
    QUEUED,
    RUNNING,
    EventChannel,
    build,
    labels,
    open_channel,
    push,
    settings,
    sha,
)


async def test_builds_of_a_commit_are_one_message(channel: EventChannel) -> None:
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


async def test_what_stands_for_all_builds_is_a_line_only_where_it_says_more(channel: EventChannel) -> None:
    suite = replace(build(PASSED, name="GitHub Actions", whole=True), number=0)
    await channel.hear(suite)
    assert len((await channel.message()).lines) == 1
    await channel.hear(build(PASSED))
    assert [line.name for line in (await channel.message()).lines] == ["tests #2"]
    await channel.hear(replace(suite, state=FAILED, at=suite.at + 9))
    assert (await channel.message()).title.endswith("red: GitHub Actions")


async def test_a_pipeline_stands_for_its_jobs_also_for_those_that_may_fail(channel: EventChannel) -> None:
    pipeline = build(PASSED, name="pipeline", whole=True, sender="gitlab", within="7")
    await channel.hear(build(FAILED, name="audit", sender="gitlab", job="audit", within="7"), pipeline)
    card = await channel.message()
    assert card.title.endswith("green after 2 min")
    assert [line.name for line in card.lines] == ["pipeline #2"]


async def test_two_workflows_of_one_name_are_two_and_a_new_run_heals(channel: EventChannel) -> None:
    red = build(FAILED, name="CI", workflow="1 a.yml", run=7)
    await channel.hear(red, replace(red, key="b", workflow="2 b.yml", run=8, state=PASSED))
    card = await channel.message()
    assert (card.title.rpartition("— ")[2], len(card.lines), card.buttons) == ("red: CI", 2, ())
    await channel.hear(replace(red, key="c", run=9, state=PASSED))
    card = await channel.message()
    assert (card.tone, len(card.lines), [*labels(card)]) == (Tone.GOOD, 2, ["Deploy to staging", "Show diff"])


async def test_what_counts_of_another_branch_is_a_line_and_brings_every_card_up_to_date(channel: EventChannel) -> None:
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


async def test_what_may_be_for_a_fork_is_reported_and_never_green(channel: EventChannel) -> None:
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


async def test_builds_of_several_senders_take_as_long_as_the_longest_by_its_own_clock(channel: EventChannel) -> None:
    far = NOON * 20
    script = replace(build(PASSED), sender="event", started=far, finished=far + 600, at=far)
    await channel.hear(build(PASSED), script)
    assert (await channel.message()).title.endswith("green after 10 min")


async def test_two_suites_of_one_name_are_two(channel: EventChannel) -> None:
    suite = replace(build(PASSED, name="GitHub Actions", whole=True), number=0)
    await channel.hear(replace(suite, key="a", state=FAILED), replace(suite, key="b", at=suite.at + 60))
    assert (await channel.message()).title.endswith("red: GitHub Actions")


async def test_failed_jobs_that_are_reported_one_by_one_are_all_named(channel: EventChannel) -> None:
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


async def test_a_build_whose_commit_is_reported_at_its_end_is_one_message(channel: EventChannel) -> None:
    queued = build(QUEUED, commit="", branch="", sender="jenkins")
    await channel.hear(queued, build(PASSED, sender="jenkins"))
    assert (await channel.message()).title == "shop: develop (0000000000) — green after 2 min"


async def test_many_builds_are_bounded(channel: EventChannel) -> None:
    await channel.hear(*(build(PASSED, name=f"job {number:02}") for number in range(40)))
    card = await channel.message()
    assert len(card.lines) == 10
    assert card.lines[-1] == Line("… and 31 more", "31 passed")


async def test_promotion_is_offered_once_the_release_is_healthy_before(channel: EventChannel) -> None:
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


async def test_promotion_is_offered_as_soon_as_the_bot_has_deployed_it(channel: EventChannel) -> None:
    await channel.hear(push(), build(PASSED))
    await channel.runs("staging", sha(2))
    pushed, built = await channel.messages()
    assert [*labels(pushed)] == ["Show diff"]
    assert [*labels(built)] == ["Promote to production", "Show diff"]
    await channel.runs("staging", sha(9), replaces=sha(2))
    pushed, built = await channel.messages()
    assert [*labels(pushed)] == ["Deploy to staging", "Show diff"]
    assert [*labels(built)] == ["Deploy to staging", "Show diff"]


async def test_a_release_without_a_commit_takes_the_one_before_it_away(channel: EventChannel) -> None:
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


async def test_a_newer_push_takes_the_buttons_of_a_build(channel: EventChannel) -> None:
    await channel.hear(push(2), build(PASSED, 2), push(3))
    _, card, _ = await channel.messages()
    assert (card.buttons, card.footer) == ((), "overtaken by a newer push")
