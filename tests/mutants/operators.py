"""What is changed beside mutmut's own operators: conditions, orders, and whole statements.

mutmut changes operators, values and arguments. It does not take a condition, an operand, a `reversed` or a statement
away, which is how promises get lost in practice.
"""

from __future__ import annotations

from collections.abc import Iterable

import libcst as cst
import libcst.matchers as m
from mutmut.mutation import mutators

_ORDERS = m.Call(func=m.Name("reversed") | m.Name("sorted"))
_LOGS = m.Call(func=m.Attribute(value=m.Name("log")))
_NO_EFFECT = m.SimpleString() | m.ConcatenatedString() | m.Ellipsis() | m.Yield() | _LOGS


def add() -> None:
    """Have mutmut use these, too."""
    mutators.mutation_operators.extend(  # type: ignore[attr-defined]  # a list behind the type of a sequence
        (
            (cst.If, _condition),
            (cst.CompIf, _condition),
            (cst.While, _never),
            (cst.BooleanOperation, _operand),
            (cst.Call, _order),
            (cst.Expr, _statement),
        )
    )


def _never(node: cst.While) -> Iterable[cst.While]:
    """Replace the condition by False; by True, it would go on for ever."""
    if not m.matches(node.test, m.Name("True")):
        yield node.with_changes(test=cst.Name("False"))


def _condition(node: cst.If | cst.CompIf) -> Iterable[cst.If | cst.CompIf]:
    """Replace a condition by False and by True. What it asks is asked nevertheless, so that names stay bound."""
    test = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    for operator, value in ((cst.And(), "False"), (cst.Or(), "True")):
        yield node.with_changes(test=cst.BooleanOperation(left=test, operator=operator, right=cst.Name(value)))


def _operand(node: cst.BooleanOperation) -> Iterable[cst.BaseExpression]:
    """Take one side of `and` and `or` away."""
    for side in (node.left, node.right):
        yield side.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


def _order(node: cst.Call) -> Iterable[cst.BaseExpression]:
    """Leave things in the order in which they come."""
    if m.matches(node, _ORDERS):
        yield cst.Call(func=cst.Name("list"), args=[cst.Arg(node.args[0].value)])


def _statement(node: cst.Expr) -> Iterable[cst.Pass]:
    """Take a call away whose result nobody uses."""
    if not m.matches(node.value, _NO_EFFECT):
        yield cst.Pass()
