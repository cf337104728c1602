"""Suggest what a person probably meant by a word that does not fit. Suggestions are never run automatically."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from deploybot.errors import UserError
from deploybot.parsing.grammar import Cell, Group
from deploybot.parsing.message_reader import LEADS, Reader
from deploybot.parsing.message_text import Token
from deploybot.parsing.parameter_types import KINDS, NoSuch, Unfit, nearest, shown

_LINKS = frozenset({"to", "from", "in", "into", "on", "onto", "at", "for", "of", "with"})
_ORDER = {kind: position for position, kind in enumerate(KINDS)}


class Better(Unfit):
    """A word that does not fit. `command` is the whole message as probably meant."""

    def __init__(self, word: str, command: str) -> None:
        """Name the word and suggest the command."""
        super().__init__(f"I do not understand `{shown(word)}`, did you mean `{command}`?")
        self.command = command


def corrected(reader: Reader, problem: NoSuch) -> str:
    """Return the whole message with a mistyped name corrected; empty if no name is near."""
    token = reader.token
    if not problem.near or token is None:
        return ""
    return _with(reader, token, reader.words.text[token.start : token.end].replace(problem.given, problem.near, 1))


def leftover(reader: Reader, token: Token) -> UserError:
    """Return the error for a token that no open group accepts."""
    word = token.text.lower()
    used = [group.word for group in reader.form.grammar.groups if group not in reader.open]
    if word in used and not token.quoted:
        return Unfit(f"`{word}` appears twice.")
    unknown = _unknown_environment(reader, token)
    groups = {group.word: group for group in reader.open if group.word}
    near = nearest(word, groups)
    # `in nowhere` means an environment, and `in 2h` the group `--in`.
    if near and (unknown is None or reader.objection(groups[near].parts[1:], ahead=1) is None):
        return Better(token.text, _with(reader, token, near))
    problems = [reader.objection(group.parts) for group in reader.open if _may_be_meant(reader, group, token)]
    for problem in problems:
        if isinstance(problem, NoSuch) and problem.near:
            return problem
    if better := next(_better(reader, token), None) if unknown is None or unknown.near else None:
        return Better(token.text, better)
    if unknown is not None:
        return unknown
    return next((problem for problem in problems if problem), Unfit(f"I do not understand `{shown(token.text)}`."))


def _may_be_meant(reader: Reader, group: Group, token: Token) -> bool:
    """Return whether a word can be meant for a group without a word of its own. A time is only meant by `25:00`."""
    cell = group.parts[0]
    is_time = isinstance(cell, Cell) and reader.form.parameters[cell.name].types == (dt.time,)
    return not group.word and (not is_time or ":" in token.text)


def _unknown_environment(reader: Reader, token: Token) -> NoSuch | None:
    """Return the problem of the word after `to`, `from`, `in` or `on`, where an environment may come."""
    if token.quoted or token.text.lower() not in LEADS or reader.at + 1 >= len(reader.words.tokens):
        return None
    cells = [group.parts[-1:] for group in reader.open if reader.has_environment(group.parts[-1])]
    problem = reader.objection(cells[0], ahead=1) if cells else None
    return problem if isinstance(problem, NoSuch) else None


def _with(reader: Reader, token: Token, new: str) -> str:
    text = reader.words.text
    return text[: token.start] + new + text[token.end :]


def _group_order(reader: Reader, group: Group) -> int:
    cells = (part for part in group.parts if isinstance(part, Cell))
    return max((_ORDER[kind] for cell in cells for kind in reader.form.parameters[cell.name].types), default=0)


def _better(reader: Reader, token: Token) -> Iterator[str]:
    """Yield messages that would parse: with a word inserted or replaced, or joined by `@`."""
    text, tokens = reader.words.text, reader.words.tokens
    is_link = token.text.lower() in _LINKS and reader.at + 1 < len(tokens)
    start = tokens[reader.at + is_link].start
    for group in sorted(reader.open, key=lambda group: _group_order(reader, group)):
        values = group.parts[1:] if group.word else group.parts
        # `from Fri` is the opposite of `until Fri`.
        opposite = group.word == "until" and token.text.lower() in {"from", "on"}
        if not values or opposite or (not group.word and not is_link):
            continue
        objection = reader.objection(values, ahead=is_link)
        lead = f"{group.word} " if group.word else ""
        if objection is None:
            yield text[: token.start] + lead + text[start:]
        elif isinstance(objection, NoSuch) and objection.near:
            wrong = tokens[reader.at + is_link]
            right = text[wrong.start : wrong.end].replace(objection.given, objection.near, 1)
            yield text[: token.start] + lead + right + text[wrong.end :]
    yield from _glued(reader, token)


def _glued(reader: Reader, token: Token) -> Iterator[str]:
    """Suggest `deploy shop@v2` for `deploy shop v2`."""
    before, app = reader.words.tokens[reader.at - 1], reader.scope.app
    if app is None or before.text.lower() != app.name:
        return
    for cell, group in reader.form.grammar.cells():
        for glued in cell.glued if group is None and cell.name in reader.arguments else ():
            if glued.name not in reader.arguments and reader.objection((Cell(glued.name),)) is None:
                text = reader.words.text
                yield text[: before.end] + glued.sign + text[token.start :]
