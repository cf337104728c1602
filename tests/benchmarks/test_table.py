from __future__ import annotations

from benchmarks.rounds import Times, compared, interleaved
from benchmarks.table import Row, markdown, mebibytes, seconds


def test_columns_line_up() -> None:
    rows = [
        Row(what="start", ours="0.9 s", target="≤ 1.0 s", met=True, count=7),
        Row(what="log", ours="2.5 s", peer="2.0 s other", ratio="1.25", target="≤ 1", met=False, count=5),
    ]
    assert markdown(rows).splitlines() == [
        "| what  | deploybot | peer        | ratio | target  | met | N |",
        "| ----- | --------- | ----------- | ----- | ------- | --- | - |",
        "| start | 0.9 s     | -           | -     | ≤ 1.0 s | yes | 7 |",
        "| log   | 2.5 s     | 2.0 s other | 1.25  | ≤ 1     | NO  | 5 |",
    ]


def test_units() -> None:
    assert [seconds(0.1234), seconds(1.0), seconds(12.345)] == ["123 ms", "1.00 s", "12.35 s"]
    assert mebibytes(3 << 19) == "1.5 MiB"


def test_a_ratio_is_the_median_of_the_rounds_and_not_of_the_medians() -> None:
    ours, peer = Times((1.0, 2.0, 9.0)), Times((10.0, 4.0, 10.0))
    row = compared("x", ours, peer, "peer", at_most=0.5)
    assert (row.ours, row.peer, row.ratio, row.target, row.met) == ("2.00 s", "10.00 s peer", "0.50", "≤ 0.5", True)
    assert compared("x", peer, ours, "peer", at_most=0.5).met is False
    assert compared("x", ours, peer, "peer", at_most=None).met is None


def test_sides_take_turns_and_the_first_round_does_not_count() -> None:
    said: list[str] = []
    one, two = interleaved(lambda: said.append("one"), lambda: said.append("two"), rounds=3)
    assert (len(one.all), len(two.all)) == (3, 3)
    assert said == ["one", "two", "two", "one", "one", "two", "two", "one"]
