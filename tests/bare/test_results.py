"""Reading what pytest prints: real runs of it on small files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bare.results import Results

PASS = "def test_{0}():\n    pass\n"
FAIL = "def test_fails():\n    assert not 'well'\n"
BREAK = "@pytest.fixture\ndef broken():\n    raise OSError\ndef test_breaks(broken):\n    pass\n"
SKIP = "@pytest.mark.parametrize('i', range(3))\ndef test_skips(i):\n    pytest.skip('needs a: b (c)')\n"
MARK = "@pytest.mark.skipif(True, reason='no time')\ndef test_mark():\n    pass\n"
MUTE = "def test_mute():\n    pytest.skip()\n"
MUTE_MARK = "@pytest.mark.skip\ndef test_mute_mark():\n    pass\n"


def results(tmp_path: Path, *tests: str, options: tuple[str, ...] = ()) -> Results:
    (tmp_path / "test_it.py").write_text("import pytest\n" + "".join(tests))
    argv = [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", *options]
    env = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run([*argv, tmp_path], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True, check=False)
    return Results.read(f"make: Entering '/'\n{done.stdout}make: *** [Makefile:29: test] Error 1\n")


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "2")], ids=["alone", "xdist"])
def test_everything_is_counted(tmp_path: Path, options: tuple[str, ...]) -> None:
    found = results(tmp_path, PASS.format("one"), PASS.format("two"), FAIL, BREAK, SKIP, MARK, options=options)
    assert (found.passed, found.failed, found.skipped) == (2, 2, 4)
    assert found.reasons == {"needs a: b (c)": 3, "no time": 1}
    assert str(found) == "passed=2 skipped=4 failed=2"
    assert found.problems(least=0) == ["2 tests failed"]


def test_what_passes_and_skips_with_reasons_is_well(tmp_path: Path) -> None:
    found = results(tmp_path, PASS.format("one"), SKIP)
    assert found.problems(least=1) == []
    assert found.problems(least=2) == ["only 1 tests passed; at least 2 have to"]


@pytest.mark.parametrize("mute", [MUTE, MUTE_MARK], ids=["call", "mark"])
def test_a_skip_without_a_reason_is_a_problem(tmp_path: Path, mute: str) -> None:
    assert results(tmp_path, PASS.format("one"), SKIP, mute).problems(least=1) == [
        "1 tests were skipped without a reason"
    ]


def test_a_run_that_broke_off_has_passed_nothing() -> None:
    assert Results.read("tests/test_a.py ....\nTerminated\n").problems(least=1) == [
        "only 0 tests passed; at least 1 have to"
    ]
