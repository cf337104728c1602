"""What the C library is told of the heap."""

from __future__ import annotations

import subprocess
import sys

_LARGE = """
from deploybot.memory_tuning import keep_large_apart

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1])

import re
keep_large_apart()
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
