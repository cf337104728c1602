"""Memories with a maximum size: what stays, what goes, and what counts as new."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deploybot.bounded_memory import BoundedDict, SeenKeys


def test_the_oldest_entry_goes_first() -> None:
    kept: BoundedDict[str, int] = BoundedDict(2)
    for number, key in enumerate("abc"):
        kept[key] = number
    assert dict(kept) == {"b": 1, "c": 2}


def test_setting_makes_an_entry_the_newest_and_reading_does_not() -> None:
    kept: BoundedDict[str, int] = BoundedDict(2)
    kept["a"] = kept["b"] = 1
    kept["a"] = 2
    assert kept.get("b") == 1
    kept["c"] = 3
    assert list(kept.items()) == [("a", 2), ("c", 3)]


def test_every_way_to_set_is_bounded() -> None:
    kept: BoundedDict[str, int] = BoundedDict(2)
    kept.update(dict.fromkeys("abc", 1))
    kept |= {"d": 1}
    assert kept.setdefault("e", 1) == 1
    assert list(kept) == ["d", "e"]
    assert kept.setdefault("d", 2) == 1


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans())), st.integers(1, 5))
def test_it_holds_the_keys_set_last(steps: list[tuple[int, bool]], most: int) -> None:
    kept: BoundedDict[int, int] = BoundedDict(most)
    expected: list[int] = []
    for key, is_removed in steps:
        expected = [one for one in expected if one != key]
        if is_removed:
            kept.pop(key, None)
        else:
            kept[key] = key
            expected = [*expected, key][-most:]
        assert list(kept) == expected


def test_a_key_is_new_once() -> None:
    seen = SeenKeys(2)
    assert [seen.first_time(key) for key in "abbca"] == [True, True, False, True, True]


def test_a_repeated_key_does_not_stay_longer() -> None:
    seen = SeenKeys(2)
    assert [seen.first_time(key) for key in "abaca"] == [True, True, False, True, True]


def test_an_old_key_is_new_again() -> None:
    seen = SeenKeys(9, forget_after=60.0)
    assert [seen.first_time("a", now) for now in (0.0, 59.9, 60.0, 119.9, 120.0)] == [True, False, True, False, True]


def test_old_keys_take_no_memory() -> None:
    seen = SeenKeys(1_000, forget_after=60.0)
    for now in range(500):
        seen.first_time(now, float(now))
    assert len(seen) == 60


def test_a_clock_that_goes_back_makes_nothing_new() -> None:
    seen = SeenKeys(9, forget_after=60.0)
    assert [seen.first_time("a", now) for now in (100.0, 10.0)] == [True, False]
