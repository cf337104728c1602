"""Lines of several sources by time."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable

from deploybot.applogs.log_merge import merge
from deploybot.applogs.log_times import Entry


async def batches(*sizes: list[Entry]) -> AsyncIterator[list[Entry]]:
    for batch in sizes:
        yield batch


def entries(keys: Iterable[int], name: str) -> list[Entry]:
    return [(b"%05d" % key, f"{name}{number}".encode()) for number, key in enumerate(keys)]


def of(name: bytes, lines: list[Entry]) -> list[Entry]:
    return [line for line in lines if line[1].startswith(name)]


async def merged(*sources: AsyncIterator[list[Entry]]) -> list[Entry]:
    return [entry async for batch in merge(sources) for entry in batch]


async def test_nothing_comes_of_nothing() -> None:
    assert await merged() == []
    assert await merged(batches(), batches([])) == []


async def test_lines_come_by_time() -> None:
    first, second = entries([1, 3, 5], "a"), entries([2, 3, 9], "b")
    found = await merged(batches(first), batches(second))
    assert [text for _, text in found] == [b"a0", b"b0", b"a1", b"b1", b"a2", b"b2"]


async def test_lines_without_times_come_first_and_in_their_order() -> None:
    found = await merged(batches([(b"", b"x"), (b"", b"y")]), batches(entries([1], "b")))
    assert [text for _, text in found] == [b"x", b"y", b"b0"]


async def test_a_source_is_read_no_further_than_the_others_have_come() -> None:
    asked = []

    async def watched() -> AsyncIterator[list[Entry]]:
        for number in range(100):
            asked.append(number)
            yield [(b"%05d" % (number * 10), b"x")]

    async for batch in merge([watched(), batches([(b"00020", b"y")], [(b"00500", b"z")])]):
        if batch[-1][1] == b"y":
            break
    assert len(asked) <= 4


async def test_random_sources_are_merged_whole_and_each_in_its_own_order() -> None:
    numbers = random.Random(7)
    for _ in range(50):
        sources, expected = [], []
        for name in "abcd":
            keys = sorted(numbers.choices(range(100), k=numbers.randint(0, 60)))
            lines = entries(keys, name)
            expected += lines
            cut = sorted(numbers.choices(range(len(lines) + 1), k=5))
            sources.append(batches(*(lines[a:b] for a, b in zip([0, *cut], [*cut, len(lines)], strict=True))))
        found = await merged(*sources)
        assert sorted(found) == sorted(expected)
        assert [key for key, _ in found] == sorted(key for key, _ in expected)
        for name in "abcd":
            assert of(name.encode(), found) == of(name.encode(), expected)
