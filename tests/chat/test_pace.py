"""No window of any rate ever sees more calls than it allows, on a loop whose clock jumps to its next timer."""

from __future__ import annotations

import asyncio
import bisect
import itertools
import os
import random
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence

from deploybot.card import Card
from deploybot.chat.rate_limits import Pace, Rate, Urgency, urgency_of
from tests.chat.clock import on_a_jumping_clock
from tests.kit.seeds import new_seed

RUNS = int(os.environ.get("N", "40"))
SECOND, MINUTE = Rate(1, 1.0), Rate(20, 60.0)


def most(times: Sequence[float], seconds: float) -> int:
    """The most calls in any window of so many seconds, its end left out."""
    return max((bisect.bisect_left(times, start + seconds) - at for at, start in enumerate(times)), default=0)


def breaches(times: Sequence[float], rates: Iterable[Rate]) -> list[str]:
    return [f"{most(times, rate.seconds)} in {rate}" for rate in rates if most(times, rate.seconds) > rate.count]


def some_rate(dice: random.Random) -> Rate:
    return Rate(dice.randint(1, 40), dice.choice([0.5, 1.0, 3.0, 60.0]))


async def storm(dice: random.Random) -> list[str]:
    """Calls at random moments to random channels; the rates that were broken."""
    overall = [some_rate(dice) for _ in range(dice.randint(0, 2))]
    rates = {str(name): tuple(some_rate(dice) for _ in range(dice.randint(0, 2))) for name in range(dice.randint(1, 8))}
    pace, loop = Pace(overall), asyncio.get_running_loop()
    went: dict[str, list[float]] = defaultdict(list)

    async def call(channel: str, after: float) -> None:
        await asyncio.sleep(after)
        await pace.turn(channel, *rates[channel], urgency=dice.choice([*Urgency]))
        went[channel].append(loop.time())

    spread = dice.choice([0.0, 1.0, 30.0, 300.0])
    tasks = [asyncio.create_task(call(dice.choice([*rates]), dice.uniform(0, spread))) for _ in range(250)]
    for task in dice.sample(tasks, 10):
        loop.call_later(dice.uniform(0, 10), task.cancel)
    await asyncio.gather(*tasks, return_exceptions=True)
    found = breaches(sorted(itertools.chain(*went.values())), overall)
    return found + [text for channel, times in went.items() for text in breaches(times, rates[channel])]


def test_no_window_sees_more_than_its_rate() -> None:
    seed = new_seed()
    dice = random.Random(seed)
    broken: list[str] = []

    async def all_runs() -> None:
        for _ in range(RUNS):
            broken.extend(await storm(dice))

    on_a_jumping_clock(all_runs())
    sys.stdout.write(f"pace: rates broken in {len(broken)} of {RUNS} storms of 250 calls, seed={seed}\n")
    assert broken == []


def test_calls_that_waited_for_all_the_others_still_keep_their_channels_distance() -> None:
    async def work() -> None:
        pace, loop = Pace([Rate(2, 10.0)]), asyncio.get_running_loop()
        went: list[float] = []

        async def call(channel: str) -> None:
            await pace.turn(channel, SECOND)
            if channel == "mine":
                went.append(loop.time())

        await asyncio.gather(*(call(channel) for channel in ("a", "b", "mine", "c", "mine", "mine")))
        assert all(later - earlier >= SECOND.seconds for earlier, later in itertools.pairwise(went))

    on_a_jumping_clock(work())


def test_a_channel_with_much_to_say_does_not_hold_the_others() -> None:
    async def work() -> None:
        pace, loop = Pace([Rate(30, 1.0)]), asyncio.get_running_loop()
        flood = [asyncio.create_task(pace.turn("flood", SECOND, MINUTE)) for _ in range(500)]
        await asyncio.sleep(0)
        begun = loop.time()
        await asyncio.gather(*(pace.turn(str(number), SECOND) for number in range(20)))
        assert loop.time() - begun < 2.0
        for task in flood:
            task.cancel()

    on_a_jumping_clock(work())


def test_channels_without_a_rate_of_their_own_take_turns() -> None:
    async def work() -> None:
        pace = Pace([SECOND])
        order: list[str] = []

        async def call(channel: str) -> None:
            await pace.turn(channel)
            order.append(channel)

        await asyncio.gather(*(call(channel) for channel in "aaaaaabc"))
        assert order.index("c") <= 3

    on_a_jumping_clock(work())


def test_a_channels_calls_keep_their_order() -> None:
    async def work() -> None:
        pace = Pace([Rate(30, 1.0)])
        order: list[int] = []

        async def call(number: int) -> None:
            await pace.turn("c", SECOND)
            order.append(number)

        await asyncio.gather(*map(call, range(50)))
        assert order == [*range(50)]

    on_a_jumping_clock(work())


def test_a_call_that_is_given_up_takes_no_turn() -> None:
    async def work() -> None:
        pace, loop = Pace([]), asyncio.get_running_loop()
        await pace.turn("c", SECOND)
        waiting = [asyncio.create_task(pace.turn("c", SECOND)) for _ in range(10)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        begun = loop.time()
        await pace.turn("c", SECOND)
        assert loop.time() - begun < 1.2

    on_a_jumping_clock(work())


def test_only_channels_that_are_at_rest_are_forgotten() -> None:
    async def work() -> None:
        pace, loop = Pace([], remember=10), asyncio.get_running_loop()
        await pace.turn("mine", SECOND)
        for number in range(50):
            await pace.turn(str(number), SECOND)
        begun = loop.time()
        await pace.turn("mine", SECOND)
        assert loop.time() - begun >= SECOND.seconds
        await asyncio.sleep(10)
        await pace.turn("new", SECOND)
        assert len(pace._lines) <= 10

    on_a_jumping_clock(work())


def test_a_call_that_was_long_on_its_way_does_not_have_the_next_at_its_heels() -> None:
    async def work() -> None:
        pace, loop = Pace(()), asyncio.get_running_loop()
        arrived: list[float] = []
        for on_its_way in (0.9, 0.0, 0.3, 0.1):
            await pace.turn("mine", SECOND)
            await asyncio.sleep(on_its_way)
            arrived.append(loop.time())
            pace.answered("mine", SECOND)
        assert all(later - earlier >= SECOND.seconds for earlier, later in itertools.pairwise(arrived))
        pace.answered("nobody", SECOND)

    on_a_jumping_clock(work())


def test_an_answer_goes_at_once_however_many_notifications_wait() -> None:
    async def work() -> None:
        pace, loop = Pace([Rate(28, 1.0)]), asyncio.get_running_loop()
        flood = [
            asyncio.create_task(pace.turn("group", SECOND, MINUTE, urgency=Urgency.NOTIFICATION)) for _ in range(100)
        ]
        await asyncio.sleep(45)
        for _ in range(3):
            begun = loop.time()
            await pace.turn("group", SECOND, MINUTE)
            assert loop.time() - begun < 1.5
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)

    on_a_jumping_clock(work())


def test_notifications_alone_have_nearly_all_of_the_rate() -> None:
    async def work() -> None:
        pace, loop = Pace([]), asyncio.get_running_loop()
        begun = loop.time()
        for _ in range(100):
            await pace.turn("group", MINUTE, urgency=Urgency.NOTIFICATION)
        assert loop.time() - begun < 100 / (MINUTE.count / 2 / MINUTE.seconds / 1.1)

    on_a_jumping_clock(work())


def test_who_waits_goes_by_urgency_then_by_when_they_came() -> None:
    async def work() -> None:
        pace = Pace([])
        order: list[str] = []

        async def call(name: str, urgency: Urgency) -> None:
            await pace.turn("c", SECOND, urgency=urgency)
            order.append(name)

        await pace.turn("c", SECOND)
        given = [
            ("n1", Urgency.NOTIFICATION),
            ("c1", Urgency.CARD),
            ("a1", Urgency.ANSWER),
            ("n2", Urgency.NOTIFICATION),
        ]
        await asyncio.gather(*(call(*one) for one in (*given, ("a2", Urgency.ANSWER))))
        assert order == ["a1", "a2", "c1", "n1", "n2"]

    on_a_jumping_clock(work())


def test_how_urgent_a_card_is() -> None:
    assert urgency_of(Card(title="x")) is Urgency.ANSWER
    assert urgency_of(Card(title="x", final=False), edits=True) is Urgency.CARD
    assert urgency_of(Card(title="x"), edits=True) is Urgency.ANSWER
    assert urgency_of(Card(title="x", notification=True)) is Urgency.NOTIFICATION
