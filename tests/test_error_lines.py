"""Which lines are errors, and samples of logs for the watch."""

from __future__ import annotations

import pytest

from deploybot.applogs.error_lines import ErrorCounter, is_error, panic_kind
from deploybot.domain import MOST_KINDS

ERRORS = [
    "2026-01-01 ERROR could not connect",
    "java.lang.NullPointerException: null",
    "ValueError: invalid literal",
    "Traceback (most recent call last):",
    "panic: runtime error: index out of range",
    "thread 'main' panicked at src/main.rs:3",
    "FATAL:  the database system is shutting down",
    '{"level":"error","msg":"no"}',
    '{"severity": "CRITICAL", "msg": "no"}',
    '{"level":50,"msg":"pino"}',
    '10.0.0.1 - - [01/Jan/2026] "GET / HTTP/1.1" 502 123 "-"',
    '{"status": 500, "path": "/"}',
    "Segfault in worker",
    "kernel: Out of memory: Killed process 12",
    "2026/01/01 12:00:00 [ERR] no such table",
    "[2026-01-01 00:00:00 +0000] [7] [ERROR] worker failed",
    "E0101 12:00:00.000000 1 main.go:12] lost",
    "app[12]: ERROR lost",
    "ts=1 level=error msg=lost",
    '{"msg": "lost", "err": "no route"}',
    '{"level":"info","path":"/","status":500}',
    "level=info path=/ status=502",
    "GET /errors 500 12ms",
    '[GIN] 2026/01/01 - 12:00:00 | 500 | 12ms | 10.0.0.1 | GET "/"',
    "Unhandled rejection in job 5",
]
FINE = [
    "listening on :8000",
    '10.0.0.1 - - [01/Jan/2026] "GET /errors-and-omissions HTTP/1.1" 200 5023 "-"',
    '{"level":"info","error":null}',
    '{"level":"info","errors":0}',
    "finished with 0 errors",
    "no errors found",
    "terror alert",
    "mirrored 500 files",
    '{"level":30,"status":200}',
    '{"level":"info","path":"/panic","status":404}',
    "level=info path=/panic",
    'level=info msg="an error" path=/',
    "GET /errors 200 12ms",
    "10.0.0.1 asks for /panic?x=level=error",
    'ua="a status=500" asks for /',
    '{"msg":"hello","path":"/?\\"level\\":\\"error\\""}',
    "INFO 0 errors, 0 fatal",
    "2026-01-01 12:00:00.000  INFO 1 --- [main] c.x.Y : error handler ready",
    "[2026-01-01 00:00:00 +0000] [50] [INFO] Error handler ready",
    "I0101 12:00:00.000000 1 main.go:12] error handler ready",
    "I, [2026-01-01T00:00:00.1 #12]  INFO -- : error handler ready",
    "app[12]: WARNING: exception ignored",
    "non-fatal: cache miss",
    '{"msg":"done","errors":[],"fatal":false}',
    "error rate 0.0%",
    "see https://example.com/panic",
    "2026-01-01 00:00:00.000 UTC [1] LOG:  fatal is a word",
]
NO_PANICS = [
    *FINE,
    '10.0.0.1 - - [01/Jan/2026] "GET /panic HTTP/1.1" 500 123 "-"',
    '{"path":"/panic","status":500}',
    '{"level":"error","msg":"a search for panic"}',
    "ERROR could not connect, no panic",
    "someone searched for fatal",
    # What a visitor may have written:
    "ERROR login failed for user panic: bob",
    '{"level":"error","msg":"login failed for panic: bob"}',
    "[ERROR] auth: unknown user fatal error: x",
    "search: panic: x",
    "someone wrote level=fatal msg=x",
    '{"query":{"level":"fatal"},"level":"info","msg":"hit"}',
    '{"query":[{"level":"fatal"}],"level":"error","msg":"hit"}',
    '{"level":"error","req":{"msg":"panic: x"}}',
    'level=error msg="no user panic: bob"',
    # What only speaks of errors:
    "Error handling is enabled",
    "fatal errors are reported",
    "Uncaught exceptions handler installed",
]
PANICS = [
    ("panic: runtime error: index out of range [5]", "panic: runtime error: index"),
    ("2026-01-01 12:00:00 panic: runtime error", "panic: runtime error"),
    ("2026/01/01 00:00:00 http: panic serving 10.0.0.1:5: boom", "http: panic serving boom"),
    ("http: panic serving [2a01:db8:cafe::1]:443: boom", "http: panic serving boom"),
    (
        'Exception in thread "main" java.lang.IllegalStateException: gone',
        "Exception in thread # java.lang.IllegalStateException: gone",
    ),
    ("Fatal Python error: Segmentation fault", "Fatal Python error: Segmentation fault"),
    ("UnhandledPromiseRejectionWarning: Error: gone", "UnhandledPromiseRejectionWarning"),
    ("Unhandled promise rejection: Error: gone", "Unhandled promise rejection : Error: gone"),
    ("Unhandled exception occurred while serving", "Unhandled exception occurred while serving"),
    ('Uncaught PHP Exception App\\Gone: "no row" at Shop.php line 5', "Uncaught PHP Exception App\\Gone: # at"),
    ("ts=1 level=fatal msg=lost", "fatal: lost"),
    ('time="2026-01-01T00:00:00Z" level=fatal msg="db gone"', "fatal: db gone"),
    ('time="2026-01-01T00:00:00Z" level=fatal msg="no disk"', "fatal: no disk"),
    ("FATAL:  the database system is shutting down", "fatal: the database system"),
    ('FATAL:  no user "ana"', "fatal: no user #"),
    ("12:00:00 ERROR ValueError: no 5", "ValueError"),
    ("ValueError: no price for customer zed", "ValueError"),
    ("ERROR:root:Traceback (most recent call last):", "Traceback (most recent call last)"),
    ("php: PHP Fatal error:  Uncaught Exception", "php: PHP Fatal error: Uncaught Exception"),
    ("sh: line 1: 12 Segmentation fault (core dumped)", "sh: line #: # Segmentation fault"),
    ("fatal error: all goroutines are asleep - deadlock!", "fatal error: all goroutines are"),
    ("thread 'main' panicked at src/main.rs:3", "thread # panicked at src/main.rs:#"),
    ("Unhandled exception. NullReferenceException: no", "Unhandled exception . NullReferenceException: no"),
    ('{"level":"fatal","msg":"no table \\"a\\" 5"}', "fatal: no table #"),
    ('{"level":"error","msg":"panic: no map"}', "panic: no map"),
    ('{"level":60,"time":5,"msg":"lost"}', "fatal: lost"),
    ('{"level":"fatal","code":5}', "fatal:"),
    ('{"query":{"level":"info"},"level":"fatal","msg":"lost"}', "fatal: lost"),
]


@pytest.mark.parametrize("line", ERRORS)
def test_a_line_about_an_error(line: str) -> None:
    assert is_error(line.encode())


@pytest.mark.parametrize("line", FINE)
def test_a_line_about_none(line: str) -> None:
    assert not is_error(line.encode())


@pytest.mark.parametrize("line", NO_PANICS)
def test_a_line_that_is_no_panic(line: str) -> None:
    assert panic_kind(line.encode()) == ""


@pytest.mark.parametrize(("line", "kind"), PANICS)
def test_the_kind_of_a_panic_is_its_message(line: str, kind: str) -> None:
    assert is_error(line.encode())
    assert panic_kind(line.encode()) == kind


def test_more_kinds_than_are_kept_are_known_to_be_there() -> None:
    counter = ErrorCounter(0.0, 15.0)
    names = [f"panic: {chr(97 + at // 26 % 26)}{chr(97 + at % 26)}" for at in range(MOST_KINDS + 1)]
    counter.add((1.0, name.encode()) for name in names[:-1])
    assert not counter.counts().full
    counter.add([(1.0, names[-1].encode()), (11.0, names[-1].encode())])
    found = counter.counts()
    assert (len(found.kinds), found.kinds[0][1], found.full) == (MOST_KINDS, 2, True)


def test_lines_of_a_stack_trace_are_no_load() -> None:
    counter = ErrorCounter(0.0, 15.0)
    lines = b"served", b"  at a.b", b"at a.b(c)", b"... 5 more", b"served"
    counter.add((1.0, line) for line in lines)
    assert counter.counts().fine == (2, 0, 0)


def test_a_line_that_denies_one_error_and_has_another_is_one() -> None:
    assert is_error(b"FATAL: 0 errors before, but now the disk is full")


def test_the_kind_of_a_panic_has_nothing_that_changes() -> None:
    first, second = (panic_kind(f"panic: index {n} of 0xdead{n} in 'a{n}'".encode()) for n in (1, 22))
    assert first == second == "panic: index # of"
    assert panic_kind(b"ERROR could not connect") == ""


def test_lines_are_counted_in_windows_of_five_seconds() -> None:
    counter = ErrorCounter(100.0, 121.0)
    bad, fine = b"ERROR no", b"ok"
    counter.add([(99.9, bad), (100.0, bad), (104.9, bad), (105.0, fine), (119.9, bad), (120.0, bad)])
    found = counter.counts()
    assert (found.windows, found.fine, found.end) == ((2, 0, 0, 1), (0, 1, 0, 0), 120.0)


def test_a_part_that_was_not_read_does_not_count_as_quiet() -> None:
    counter = ErrorCounter(100.0, 120.0)
    counter.begins(107.0)
    counter.add([(111.0, b"ERROR no")])
    assert counter.counts().windows == (1, 0)


def test_kinds_count_the_windows_that_have_them() -> None:
    counter = ErrorCounter(0.0, 15.0)
    counter.add([(1.0, b"panic: 1"), (2.0, b"panic: 2"), (11.0, b"panic: 3")])
    assert counter.counts().kinds == (("panic: #", 2),)
    assert counter.counts().recent_kinds == (("panic: #", (0, 2)),)


def test_only_the_windows_of_the_last_minute_are_recent() -> None:
    counter = ErrorCounter(0.0, 70.0)
    counter.add([(1.0, b"panic: 1"), (11.0, b"panic: 2"), (69.0, b"panic: 3")])
    assert counter.counts().recent_kinds == (("panic: #", (0, 11)),)
    counter = ErrorCounter(0.0, 70.0)
    counter.add([(1.0, b"panic: 1")])
    assert counter.counts().recent_kinds == ()


def test_a_line_of_json_may_be_cut_anywhere() -> None:
    line = b'{"a":{"level":"fatal","b":[{"msg":"x"}]},"level":"error","msg":"panic: {"}'
    for end in range(1, len(line)):
        assert not panic_kind(line[:end]).startswith("fatal")
    assert panic_kind(line) == "panic: {"
