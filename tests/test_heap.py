"""What the C library is told of the heap."""

from __future__ import annotations

import subprocess
import sys

_FILL = """
import re, sys, threading
from deploybot.heap import give_back, keep_one_heap

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1])

if sys.argv[1] == "one":
    keep_one_heap()
kept = [bytearray(1000) for _ in range(50_000)]
before = resident()
spared = kept[::1000]
del kept
give_back()
print(before - resident(), len(spared))
"""


def test_what_was_let_go_of_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", _FILL, "one"], capture_output=True, check=True, timeout=60, text=True)
    given_back, _ = map(int, done.stdout.split())
    assert given_back > 20_000, "kB of 50,000 that were let go of"


_LARGE = """
from deploybot.heap import keep_one_heap

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1])

import re
keep_one_heap()
before = resident()
for _ in range(3):
    body = bytearray(25 << 20)
    kept = [bytearray(100_000) for _ in range(20)]
    del body
print(resident() - before)
"""


def test_what_a_large_body_took_is_given_back_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", _LARGE], capture_output=True, check=True, timeout=60, text=True)
    assert int(done.stdout) < 15_000, "kB that stay, of 25,600 that were let go of"
