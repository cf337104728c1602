"""What the runner answers: whole, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploybot.domain import JobState, JobStatus
from deploybot.ssh.runner_answers import RunnerAnswer, has_started, parse

END = b"\ndeploybot/1 end\n"


def test_a_status_with_its_log() -> None:
    answer = parse(b"deploybot/1 done 3 5 5 its log is cut\nhello" + END)
    assert answer == RunnerAnswer("done", 3, 5, "its log is cut", b"hello")
    assert answer.status == JobStatus(JobState.DONE, 3, 5, "its log is cut")


def test_a_start_that_ran_to_its_end_at_once() -> None:
    output = b"deploybot/1 started -1 0 0\ndeploybot/1 done 0 -1 -1 \nhello" + END
    assert has_started(output)
    assert parse(output) == RunnerAnswer("done", 0, 5, "", b"hello")


def test_what_a_login_shell_prints_first_is_passed_over() -> None:
    noise = b"Welcome to deploybot/1 done 0 0 0\nmotd\n"
    assert parse(noise + b"deploybot/1 running -1 0 0 \n" + END) == RunnerAnswer("running", -1, 0, "", b"")


@pytest.mark.parametrize(
    "output",
    [
        b"",
        b"sh: not found\n",
        b"deploybot/1 done 0 5 5 \nhello",
        b"deploybot/1 done 0 5 5 \nhell" + END,
        b"deploybot/1 done 0 5 5 \nhello!" + END,
        b"deploybot/1 started -1 0 0\n",
        b"deploybot/1 started -1 0 0\ndeploybot/1 done 0 -1 -1 \nhel",
        b"deploybot/1 done zero 0 0 \n" + END,
        b"deploybot/1 done" + END,
    ],
)
def test_what_is_not_whole_is_nothing(output: bytes) -> None:
    assert parse(output) is None


@given(st.binary())
def test_a_log_cannot_speak_for_the_runner(log: bytes) -> None:
    for tail in (log, b"deploybot/1 done 0 0 0 \n" + END, END + log, b"\n" + END):
        answer = parse(b"deploybot/1 running -1 %d %d \n%b" % (len(tail), len(tail), tail) + END)
        assert answer == RunnerAnswer("running", -1, len(tail), "", tail)


@given(st.binary())
def test_no_output_breaks_it(output: bytes) -> None:
    for tried in (output, b"deploybot/1 " + output, b"deploybot/1 " + output + END):
        parse(tried)
        has_started(tried)
