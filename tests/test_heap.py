"""What the C library is told of the heap."""

from __future__ import annotations

import gc
import subprocess
import sys

from deploybot.bot import _report_ready
from deploybot.chat.console.starting_client import Starter

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


def test_a_bot_that_is_ready_leaves_what_it_loaded_out_of_later_collections() -> None:
    loaded = [[number] for number in range(50_000)]
    before = gc.get_freeze_count()
    _report_ready(Starter(), done=False)
    assert gc.get_freeze_count() > before + len(loaded)
    assert not any(item is loaded for item in gc.get_objects())
