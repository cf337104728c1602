"""What works with every Python that deploybot supports, the oldest included."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
# `re` of Python 3.11 before 3.11.5 (Debian 12 has 3.11.2) loses matches there: python/cpython issue 106052.
_POSSESSIVE_GROUP = re.compile(r"(?<!\\)\)(?:[*+?]|\{\d*,?\d*\})\+|\(\?>")


def _texts(path: Path) -> list[str]:
    """The constant texts of a module, as a regular expression would have them."""
    found = (node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
    return [one.decode("latin-1") if isinstance(one, bytes) else one for one in found if isinstance(one, str | bytes)]


def test_no_group_of_a_regular_expression_is_repeated_possessively() -> None:
    modules = [*ROOT.glob("deploybot/**/*.py"), *ROOT.glob("commands/**/*.py")]
    found = {
        path.relative_to(ROOT).as_posix(): text
        for path in modules
        for text in _texts(path)
        if _POSSESSIVE_GROUP.search(text)
    }
    assert found == {}
    assert all(map(_POSSESSIVE_GROUP.search, ("(?:a|b)*+", "(ab?){2,3}+c", "(?>a)", "(?:a)?+", "(?:a)++")))
    assert not any(map(_POSSESSIVE_GROUP.search, (r"\)*+", "[ab)]*", "a*+", "(a)+", r"[ ]{1,3}+")))
