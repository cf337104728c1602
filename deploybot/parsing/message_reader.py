"""Read a message token by token, according to a form."""

from __future__ import annotations

from dataclasses import dataclass, field

from deploybot.domain import Action
from deploybot.errors import UserError
from deploybot.parsing.command_form import Form, Parameter
from deploybot.parsing.grammar import Cell, Group, Part
from deploybot.parsing.message_text import Token, Words
from deploybot.parsing.parameter_types import KINDS, NoSuch, Ref, Scope, Unfit, default_environment, shown
from deploybot.settings import Environment


def with_article(noun: str) -> str:
    """Return a noun with its article: `an app`, `a role`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


class Missing(Unfit):
    """The message ends before the required `part`."""

    def __init__(self, sentence: str, part: Part) -> None:
        """Take the sentence and the missing part."""
        super().__init__(sentence)
        self.part = part


@dataclass(slots=True)
class Reader:
    """The state of one reading: position, open groups, and values so far. Raises NoSuch or Unfit."""

    form: Form
    words: Words
    scope: Scope
    at: int = 1
    arguments: dict[str, object] = field(default_factory=dict)
    open: list[Group] = field(default_factory=list)

    @property
    def token(self) -> Token | None:
        """Return the next token; None at the end."""
        return self.words.tokens[self.at] if self.at < len(self.words.tokens) else None

    def is_word(self, word: str) -> bool:
        """Return whether the next token is this word."""
        return self.token is not None and not self.token.quoted and self.token.text.lower() == word

    def required(self) -> None:
        """Read the required parts in order."""
        for part in self.form.grammar.required:
            self.part(part)
        self.open = list(self.form.grammar.groups)

    def options(self) -> None:
        """Read optional groups in any order, as long as one fits."""
        while self.token is not None and (group := self._next_group()) is not None:
            self.group(group)

    def _next_group(self) -> Group | None:
        named = (group for group in self.open if group.word and self.is_word(group.word))
        unnamed = (group for group in self.open if not group.word and self.objection(group.parts) is None)
        return next(named, None) or next(unnamed, None)

    def objection(self, parts: tuple[Part, ...], ahead: int = 0) -> UserError | None:
        """Return why these parts can't be read at this position, or `ahead` tokens further; None if they can."""
        trial = Reader(self.form, self.words, self.fresh_scope(), self.at + ahead)
        try:
            for part in parts:
                trial.part(part)
        except (NoSuch, Unfit) as problem:
            return problem
        return None

    def fresh_scope(self) -> Scope:
        """Return a copy of the scope, for a trial without side effects."""
        return Scope(self.scope.settings, self.scope.visible, self.scope.app, self.scope.environment)

    def group(self, group: Group) -> None:
        """Read a whole group."""
        for part in group.parts:
            self.part(part)
        if group.is_word and group.word in self.form.flags:
            self.arguments[self.form.flags[group.word]] = True
        self.open.remove(group)

    def part(self, part: Part) -> None:
        """Read a word or a cell that is required here."""
        if isinstance(part, Cell):
            self._cell(part)
        elif self.is_word(part):
            self.at += 1
        else:
            sentence = f"Add `{part}` after `{shown(self.words.tokens[self.at - 1].text)}`."
            raise Unfit(sentence) if self.token else Missing(sentence, part)

    def _cell(self, cell: Cell) -> None:
        token = self.token
        if token is None:
            raise self._missing(cell)
        if not token.quoted and token.text.startswith("-"):
            raise Unfit(f"I do not understand `{shown(token.text)}` there.")
        name, rest = cell.name, token.text
        for glued in () if token.quoted else cell.glued:
            piece, sign, tail = rest.partition(glued.sign)
            if sign:
                self._piece(name, piece, token)
                name, rest = glued.name, tail
            elif not glued.optional:
                noun = self.form.parameters[glued.name].noun
                raise Unfit(f"Add `{glued.sign}` and {with_article(noun)} after `{shown(token.text)}`.")
        self._piece(name, rest, token)
        self.at += 1

    def _piece(self, name: str, text: str, token: Token) -> None:
        parameter = self.form.parameters[name]
        pieces = text.split(",") if parameter.many else [text]
        if not all(pieces):
            raise Unfit(f"{with_article(parameter.noun).capitalize()} is missing in `{shown(token.text)}`.")
        values = tuple(self._value(parameter, piece) for piece in dict.fromkeys(pieces))
        self.arguments[name] = values if parameter.many else values[0]

    def _value(self, parameter: Parameter, text: str) -> object:
        """Read a word as the first of the parameter's types that accepts it."""
        problem: UserError | None = None
        for kind in parameter.types:
            try:
                return KINDS[kind].read(text, self.scope)
            except (NoSuch, Unfit) as found:
                problem = found
        if problem is not None and len(parameter.types) == 1:
            raise problem
        kinds = [KINDS[kind] for kind in parameter.types]
        what = " or ".join(f"{kind.noun} such as {kind.such}" for kind in kinds if kind.such)
        raise Unfit(f"`{shown(text)}` is not {with_article(what or parameter.noun)}.")

    def _missing(self, cell: Cell) -> Missing:
        parameter = self.form.parameters[cell.name]
        before = shown(self.words.tokens[self.at - 1].text)
        names = KINDS[parameter.types[0]].names(self.scope)
        which = f": {', '.join(names)}" if names else ""
        text = parameter.types == (str,)
        what = f"`<{cell.name}>`" if text else with_article(parameter.noun)
        return Missing(f"Add {what} after `{before}`{which}.", cell)

    def find_out(self) -> None:
        """Fill in values that were not typed: the app's default environment, the newest release."""
        for parameter in self.form.parameters.values():
            if parameter.name not in self.arguments and parameter.found_out:
                is_place = parameter.types == (Environment,)
                self.arguments[parameter.name] = self._default_environment(parameter) if is_place else Ref("")

    def _default_environment(self, parameter: Parameter) -> Environment:
        app = self.scope.app
        if app is None:
            raise Unfit(f"Add an app after `{self.form.grammar.name}`.")
        names = self.scope.environments()
        found = default_environment(app, changes=self.form.command.needs is not Action.VIEW, visible=names)
        if found is None or found.name not in names:
            raise UserError(
                f"Which environment of {app.name} do you mean" + (f": {', '.join(names)}?" if names else "?"),
                hint=f"For example: {self._completed(parameter.name, names[0] if names else 'ENVIRONMENT')}",
                choices=tuple((name, self._completed(parameter.name, name)) for name in names),
            )
        self.scope.environment = found
        return found

    def _completed(self, name: str, value: str) -> str:
        """Return the message with a parameter inserted before `because`."""
        group = next(group for cell, group in self.form.grammar.cells() if cell.name == name)
        words = [part for part in group.parts if isinstance(part, str)] if group else []
        end = self.words.end
        return self.words.text[:end] + " ".join(["", *words, value]) + self.words.text[end:]
