"""The mutants' own parts: what is taken away, and a table and a list that name what is there."""

from __future__ import annotations

import tomllib
from pathlib import Path

import libcst as cst
import pytest
from mutmut.mutation import mutators

from tests.mutants import operators
from tests.mutants.group import ROOT, TABLE, groups
from tests.mutants.report import LISTED, Survivor, Tally, listed, starts


def mutated(source: str, kind: type[cst.CSTNode], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What our own operators make of each node of a kind in a source."""
    monkeypatch.setattr(mutators, "mutation_operators", [])
    operators.add()
    module = cst.parse_module(source)
    made: list[object] = []

    class Visitor(cst.CSTVisitor):
        def on_visit(self, node: cst.CSTNode) -> bool:
            for of, operator in mutators.mutation_operators:
                if isinstance(node, kind) and isinstance(node, of):
                    made.extend(module.deep_replace(node, new) for new in operator(node))
            return True

    module.visit(Visitor())
    return [one.code for one in made if isinstance(one, cst.Module)]


@pytest.mark.parametrize(
    ("source", "kind", "mutants"),
    [
        ("if a or b: x()", cst.If, ["if (a or b) and False: x()", "if (a or b) or True: x()"]),
        ("[a for a in b if c]", cst.CompIf, ["[a for a in b if (c) and False]", "[a for a in b if (c) or True]"]),
        ("while a: x()", cst.While, ["while False: x()"]),
        ("while True: x()", cst.While, []),
        ("a and not b", cst.BooleanOperation, ["(a)", "(not b)"]),
        ("for a in reversed(b): x()", cst.Call, ["for a in list(b): x()"]),
        ("a = sorted(b, key=c)", cst.Call, ["a = list(b)"]),
        ("await x()", cst.Expr, ["pass"]),
        ("log.info('x')", cst.Expr, []),
        ('"""A docstring."""', cst.Expr, []),
    ],
)
def test_what_is_taken_away(
    source: str, kind: type[cst.CSTNode], mutants: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mutated(source, kind, monkeypatch) == mutants


WHOLE = ("access", "deployments", "masking", "policy")
"""Packages of which every module is changed, but for those below."""
NOT_CHANGED = frozenset(
    f"deploybot/deployments/{name}.py"
    for name in (
        # Cards, messages and links for people; their tests compare whole texts.
        *("approval_card", "batch_progress", "card_details", "card_mentions", "card_publisher", "card_titles"),
        *("compare_links", "deployment_card", "log_lines", "phone_rows", "queue_card", "server_lines", "step_progress"),
        # Only numbers, which tests replace.
        "timeouts",
        # Not yet.
        *("cancellation", "deployment_service", "file_uploads", "legacy_releases", "step_logs"),
    )
)


def test_the_table_names_tests_that_are_there_and_no_module_twice() -> None:
    table = tomllib.loads(TABLE.read_text())
    named = [one.partition("::")[0] for row in table.values() for one in (*row["tests"], *row["without"])]
    assert {one for one in named if not (ROOT / one).exists()} == set()
    deselected = [one for row in table.values() for one in row["without"] if "::" in one]
    assert {one for one in deselected if f"def {one.partition('::')[2]}(" not in _text(one.partition("::")[0])} == set()
    modules = [module for group in groups() for module in group.modules]
    assert len(modules) == len(set(modules)) > 10


def _text(path: str) -> str:
    return (ROOT / path).read_text()


def test_no_name_in_the_table_is_that_of_a_module_that_was_moved() -> None:
    globs = [glob for row in tomllib.loads(TABLE.read_text()).values() for glob in row["modules"]]
    assert [glob for glob in globs if not any(ROOT.glob(glob))] == []


def test_no_module_that_decides_about_rights_is_forgotten() -> None:
    """A new module of these packages needs a group in table.toml, or a reason to have none."""
    changed = {module for group in groups() for module in group.modules}
    there = {
        path.relative_to(ROOT).as_posix()
        for package in WHOLE
        for path in (ROOT / "deploybot" / package).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert there - changed == NOT_CHANGED


def test_words_choose_modules() -> None:
    (group,) = groups(["deployments/step_runner"])
    assert group.modules == ("deploybot/deployments/step_runner.py",)
    assert groups(["no such module"]) == []


def test_every_listed_survivor_is_about_lines_that_are_there_and_has_a_reason() -> None:
    rows = tomllib.loads(LISTED.read_text())["survivor"]
    assert len(listed()) == len(rows), "one is listed twice"
    for row in rows:
        path: Path = ROOT / row["module"]
        lines = {line.strip() for line in path.read_text().splitlines()}
        assert set(row["old"].splitlines()) <= lines, row
        assert row["function"] in starts(path.read_text()), row
        assert row["why"]


def test_a_score_counts_timeouts_as_noticed_and_is_never_rounded_up() -> None:
    counts = Tally(killed=18, survived=1, timeout=1) + Tally(killed=1)
    assert counts.line("total") == "mutants: total killed=19 survived=1 timeout=1 score=95.2%"
    assert Tally(killed=9499, survived=501).line("x").endswith("score=94.9%")
    assert Tally().score == 100.0


def test_a_survivor_is_known_by_what_changed_and_not_by_its_line() -> None:
    one, other = (Survivor("a.py", line, "f", "x = 1", "x = 2", "") for line in (1, 9))
    assert one.key == other.key
