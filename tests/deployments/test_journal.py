"""The log files of a deployment: exact over crashes, whole lines, bounded, masked."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.deployments.step_logs import LINE_LIMIT, TAIL_BYTES, Journal
from deploybot.domain import Phase, StepRow, StepState
from deploybot.errors import StoreError
from deploybot.masking import Redactor
from tests.lab import FullDisk

SECRET = "correct-horse-battery"
ROW = StepRow(
    deployment=7,
    phase=Phase.FORWARD,
    server="web1",
    position=0,
    name="build",
    job="7-f-web1-0-abc",
    state=StepState.STARTED,
)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "logs", Redactor((SECRET,)), limit=50_000)


def test_only_whole_lines_are_taken_while_a_job_runs(journal: Journal) -> None:
    row = journal.append(ROW, b"one\ntw", last=False)
    assert (row.offset, journal.path(row).read_bytes()) == (4, b"one\n")
    row = journal.append(row, b"two", last=True)
    assert (row.offset, journal.path(row).read_bytes()) == (7, b"one\ntwo")


def test_a_line_without_an_end_is_taken_at_last(journal: Journal) -> None:
    assert journal.append(ROW, b"x" * (LINE_LIMIT - 1), last=False) == ROW
    assert journal.append(ROW, b"x" * LINE_LIMIT, last=False).offset == LINE_LIMIT


def test_a_secret_is_masked_wherever_the_pieces_were_cut(journal: Journal) -> None:
    text = f"using {SECRET} now\n".encode()
    for cut in range(1, len(text)):
        row = replace(ROW, position=cut)
        row = journal.append(row, text[:cut], last=False)
        row = journal.append(row, text[row.offset :], last=True)
        assert journal.path(row).read_text() == "using ••• now\n"


def test_invalid_utf8_is_kept_readable(journal: Journal) -> None:
    row = journal.append(ROW, b"\xff\xfe ok\n", last=True)
    assert journal.path(row).read_text().endswith("ok\n")
    assert row.offset == 6


def test_what_was_written_after_the_last_commit_is_cut_off(journal: Journal) -> None:
    committed = journal.append(ROW, b"one\n", last=False)
    journal.append(committed, b"two\n", last=False)
    assert journal.mend(committed) == committed
    assert journal.path(committed).read_bytes() == b"one\n"


def test_a_file_that_lost_bytes_is_fetched_anew(journal: Journal) -> None:
    committed = journal.append(ROW, b"one\ntwo\n", last=False)
    journal.path(committed).write_bytes(b"one\n")
    mended = journal.mend(committed)
    assert (mended.offset, mended.size) == (0, 0)
    assert not journal.path(committed).exists()


def test_no_byte_is_lost_or_doubled_wherever_the_bot_dies(journal: Journal) -> None:
    draw = random.Random(7)
    for run in range(200):
        text = b"".join(b"line %d\n" % number for number in range(draw.randint(1, 60)))
        row = committed = replace(ROW, deployment=100 + run)
        while committed.offset < len(text):
            size = draw.randint(1, 40)
            piece = text[row.offset : row.offset + size]
            row = journal.append(row, piece, last=row.offset + size >= len(text))
            if draw.random() < 0.3:  # killed between the file and the commit
                row = journal.mend(committed)
            else:
                committed = row
            if row.offset == committed.offset and len(piece) < 9:
                row = journal.append(row, text[row.offset : row.offset + 64], last=row.offset + 64 >= len(text))
                committed = row
        assert journal.path(committed).read_bytes() == text


def test_the_middle_of_a_flood_is_left_out_and_its_end_is_kept(journal: Journal) -> None:
    row = journal.append(ROW, b"first\n" + b"flood\n" * 20_000, last=False)
    row = journal.skip(row, 10_000_000)
    assert row.offset == 10_000_000 - TAIL_BYTES
    row = journal.append(row, b"flood\n" * 100 + b"the error\n", last=True)
    text = journal.path(row).read_text()
    assert text.startswith("first\n")
    assert "longer than keep_logs" in text
    assert journal.tail(row, 1) == ("the error",)
    assert len(text) < 50_000 + 2 * TAIL_BYTES


def test_a_full_disk_is_a_store_error_that_says_what_to_do(full_disk: FullDisk) -> None:
    journal = Journal(full_disk.path / "logs", Redactor(), limit=50_000)
    with pytest.raises(StoreError, match=r"cannot be saved in .*: No space left on device\. Free some space there"):
        journal.append(ROW, b"one\n" * 1000, last=True)
    full_disk.empty()
    assert journal.append(journal.mend(ROW), b"one\n", last=True).offset == 4
    assert journal.path(ROW).read_bytes() == b"one\n"


def test_the_whole_log_is_one_private_file(journal: Journal) -> None:
    journal.append(ROW, b"built\n", last=True)
    journal.append(replace(ROW, position=1, name="switch"), b"switched\n", last=True)
    path = journal.whole(7)
    assert path.read_text() == "== 1-web1-00-build ==\nbuilt\n\n== 1-web1-01-switch ==\nswitched\n\n"
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
