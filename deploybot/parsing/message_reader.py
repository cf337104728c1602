"""Read a message token by token, according to a form."""

from __future__ import annotations

from dataclasses import dataclass, field

from deploybot.domain import Action, Deployment, Release
from deploybot.errors import PickError, UserError
from deploybot.parsing.command_form import Form, Parameter
from deploybot.parsing.grammar import Cell, Group, Part
from deploybot.parsing.message_text import Token, Words, without_stop
from deploybot.parsing.parameter_types import KINDS, NoSuch, Number, Ref, Scope, Unfit, default_environment, shown
from deploybot.parsing.pickers import MOST_PICKS, OFFERS, changes, completed, environments, only_name, question
from deploybot.settings import App, Environment

LEADS = frozenset({"to", "from", "in", "on"})
"""Words that every command accepts before an environment, whichever its usage has."""


def with_article(noun: str) -> str:
    """Return a noun with its article: `an app`, `a role`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


class Missing(Unfit):
    """The message ends before the required `part`. `choices` are messages with it, if its values are known."""

    def __init__(self, sentence: str, part: Part, choices: tuple[tuple[str, str], ...] = ()) -> None:
        """Take the sentence and the missing part."""
        super().__init__(sentence)
        self.part = part
        self.choices = choices


class FilledIn(UserError):
    """A part needs no question, because there is only one. `text` is the message with it."""

    def __init__(self, text: str) -> None:
        """Take the completed message."""
        super().__init__(text)
        self.text = text


@dataclass(slots=True)
class Reader:
    """The state of one reading: position, open groups, and values so far. Raises NoSuch or Unfit.

    With `picks`, it raises PickError for a part that the sender can pick, and FilledIn for one that needs no question.
    With `can_pick`, the sender picks the rest of a command that offers it, if they typed nothing but its app.
    `filled` is whether it filled in something that was not typed. With `assumes`, the only app may be left out.
    """

    form: Form
    words: Words
    scope: Scope
    at: int = 1
    arguments: dict[str, object] = field(default_factory=dict)
    open: list[Group] = field(default_factory=list)
    picks: bool = False
    filled: bool = False
    assumes: bool = True
    can_pick: bool = False

    @property
    def token(self) -> Token | None:
        """Return the next token; None at the end."""
        return self.words.tokens[self.at] if self.at < len(self.words.tokens) else None

    def is_word(self, word: str) -> bool:
        """Return whether the next token is this word."""
        return self.token is not None and not self.token.quoted and self._text(self.token).lower() == word

    def _text(self, token: Token) -> str:
        """Return a token's text; of the last one without a full stop."""
        return without_stop(token) if token is self.words.tokens[-1] else token.text

    def required(self) -> None:
        """Read the required parts in order. The only app may be left out."""
        self._required(self.form.grammar.required)
        self.open = list(self.form.grammar.groups)

    def _required(self, parts: tuple[Part, ...]) -> None:
        for number, part in enumerate(parts):
            if isinstance(part, Cell) and self._is_left_out(part, parts[number + 1 :]):
                continue
            if isinstance(part, Cell) and self.has_environment(part):
                self.at += self._lead((part,))
            self.part(part)

    def options(self) -> None:
        """Read optional groups in any order, as long as one fits. The only app may be left out."""
        while self.token is not None and (self._environment() or self._next() or self._only_app()):
            pass

    def _next(self) -> bool:
        """Read the next group; return whether one fits."""
        named = (group for group in self.open if group.word and self.is_word(group.word))
        unnamed = (group for group in self.open if not group.word and self.objection(group.parts) is None)
        group = next(named, None) or next(unnamed, None)
        if group is not None:
            self.group(group)
        return group is not None

    def _environment(self) -> bool:
        """Read `to ENV`, `from ENV`, `in ENV` or `ENV` for a group with another of these forms; return whether it fits.

        A word that another group begins with belongs to that group, unless it is `to` before an environment.
        """
        group = next((one for one in self.open if self.has_environment(one.parts[-1])), None)
        if group is None or (group.word and self.is_word(group.word)):
            return False
        cells = group.parts[1:] if group.word else group.parts
        lead = self._lead(cells)
        own_word_follows = any(one.text.lower() == group.word for one in self.words.tokens[self.at + 1 :])
        is_keyword = any(one.word and self.is_word(one.word) for one in self.open)
        if own_word_follows or (is_keyword and not lead) or self.objection(cells, lead) is not None:
            return False
        self.at += lead
        for cell in cells:
            self.part(cell)
        self.open.remove(group)
        return True

    def has_environment(self, part: Part) -> bool:
        """Return whether a part is read as an environment."""
        return isinstance(part, Cell) and Environment in self.form.parameters[part.name].types

    def _lead(self, cells: tuple[Part, ...]) -> int:
        """Return 1 if the next word only leads to an environment, otherwise 0."""
        is_lead = any(map(self.is_word, LEADS))
        return int(is_lead and self.objection(cells, 1) is None and self.objection(cells) is not None)

    def _is_left_out(self, cell: Cell, later: tuple[Part, ...]) -> bool:
        """Take the only app if it is not typed, and all that is typed can be read with it; return whether it can."""
        parameter = self.form.parameters[cell.name]
        if App not in parameter.types or (self.token is None and self.picks) or self.objection((cell,)) is None:
            return False
        app = self._only(parameter)
        if app is None:
            return False
        scope = Scope(self.scope.settings, self.scope.visible, app)
        trial = Reader(self.form, self.words, scope, self.at, {**self.arguments, cell.name: app})
        try:
            trial._required(later)
            trial.open = list(self.form.grammar.groups)
            trial.options()
        except (NoSuch, Unfit):
            return False
        if trial.token is None:
            self.arguments[cell.name] = self.scope.app = app
        return trial.token is None

    def _only_app(self) -> bool:
        """Take the only app for an optional one that is not typed, if the next word can be read with it."""
        for group in self.open:
            part = group.parts[0]
            if not isinstance(part, Cell) or self.form.parameters[part.name].types != (App,):
                continue
            app = self._only(self.form.parameters[part.name])
            rest = [one for one in self.open if one is not group]
            trial = Reader(self.form, self.words, self.fresh_scope(), self.at, {**self.arguments}, rest)
            trial.scope.app = app
            if app is not None and trial._environment():
                self.arguments[part.name] = self.scope.app = app
                self.open.remove(group)
                return True
        return False

    def _only(self, parameter: Parameter) -> App | None:
        one = self.assumes and App in parameter.types and not parameter.many
        name = only_name(self.form, parameter, self.scope, App) if one else ""
        return self.scope.settings.apps.get(name)

    def objection(self, parts: tuple[Part, ...], ahead: int = 0) -> UserError | None:
        """Return why these parts can't be read at this position, or `ahead` tokens further; None if they can."""
        trial = Reader(self.form, self.words, self.fresh_scope(), self.at + ahead, assumes=self.assumes)
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
        if token is None and self.picks and self.form.parameters[cell.name].types[0] is Deployment:
            self.arguments[cell.name] = Number(0, asks=True)
            self.filled = True
            return
        if token is None:
            raise self._missing(cell)
        if not token.quoted and token.text.startswith("-"):
            raise Unfit(f"I do not understand `{shown(token.text)}`.")
        last = self.form.parameters[cell.names[-1]].types[-1]
        name, rest = cell.name, token.text if last is str else self._text(token)
        for glued in () if token.quoted else cell.glued:
            piece, sign, tail = rest.partition(glued.sign)
            app = self._only(self.form.parameters[name]) if sign and not piece else None
            if app is not None:
                self.arguments[name] = self.scope.app = app
                name, rest = glued.name, tail
            elif sign:
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
        kinds = parameter.types
        if parameter.is_app_or_deployment:
            kinds = (Deployment,) if text.startswith("#") else (App,)
        for kind in kinds:
            try:
                return self._read_as(kind, text)
            except (NoSuch, Unfit) as found:
                problem = found
        if problem is not None and len(kinds) == 1:
            raise problem
        known = [f"{with_article(KINDS[kind].noun)} such as {KINDS[kind].such}" for kind in kinds if KINDS[kind].such]
        what = f"neither {', nor '.join(known)}" if known[1:] else f"not {with_article(parameter.noun)}"
        raise Unfit(f"`{shown(text)}` is {what}.")

    def _read_as(self, kind: object, text: str) -> object:
        number = next((one for one in self.arguments.values() if isinstance(one, Number)), None)
        if kind is Environment and number is not None:
            taken = f"#{number.value} is a deployment, which has its environment already"
            raise Unfit(f"{taken}: leave `{shown(text)}` out.")
        return KINDS[kind].read(text, self.scope)

    def _missing(self, cell: Cell) -> UserError:
        parameter = self.form.parameters[cell.name]
        if self.picks and (names := KINDS[parameter.types[0]].names(self.scope)):
            return self._pick(parameter, names)
        before = shown(self.words.tokens[self.at - 1].text)
        names = KINDS[parameter.types[0]].names(self.scope)
        which = f": {', '.join(names)}" if names else ""
        what = f"`<{cell.name}>`" if parameter.types == (str,) else with_article(parameter.noun)
        text, end = self.words.text, self.words.end
        choices = tuple((name, f"{text[:end]} {name}{text[end:]}") for name in names[:MOST_PICKS])
        return Missing(f"Add {what} after `{before}`{which}.", cell, choices)

    def _pick(self, parameter: Parameter, names: tuple[str, ...]) -> UserError:
        """Return the question for a part that the sender picks, or FilledIn if there is only one."""
        only = only_name(self.form, parameter, self.scope)
        if only:
            return FilledIn(completed(self.form, self.words, parameter.name, only))
        return question(self.form, self.words, parameter, self.scope, names)

    def find_out(self) -> None:
        """Fill in values that were not typed: the app's default environment, the newest release."""
        self.picks = self.picks or (self.can_pick and self._is_offered())
        asks = self.picks and changes(self.form)
        for parameter in self.form.parameters.values():
            is_release = parameter.types == (Release,)
            if parameter.name in self.arguments or not (parameter.found_out or (asks and is_release)):
                continue
            self.filled = True
            self.arguments[parameter.name] = Ref("", asks=asks) if is_release else self._found_environment(parameter)

    def _is_offered(self) -> bool:
        """Return whether the command offers the rest after what was typed: its app, and nothing else."""
        typed = [one for name in self.arguments if (one := self.form.parameters.get(name)) and one.types == (App,)]
        return self.form.command.name in OFFERS and len(typed) == len(self.arguments)

    def _found_environment(self, parameter: Parameter) -> Environment | None:
        """Return the environment that was not typed; None for a deployment, which has its own.

        Raises PickError or FilledIn if the sender is asked for it.
        """
        if parameter.absent and self.scope.app is None:
            return None
        names = environments(self.form, self.scope)
        if self.picks and changes(self.form) and names:
            raise self._pick(parameter, names)
        try:
            return self._default_environment(parameter)
        except UserError as problem:
            if not self.picks or not problem.choices:
                raise
            raise PickError(problem.sentence, hint=problem.hint, choices=problem.choices) from None

    def _default_environment(self, parameter: Parameter) -> Environment:
        app = self.scope.app
        if app is None:
            raise Unfit(f"Add an app after `{self.form.grammar.name}`.")
        names, after = environments(self.form, self.scope), self.form.command.after
        found = default_environment(app, changes=self.form.command.needs is not Action.VIEW, visible=names, after=after)
        if after and not names:
            raise _has_no_after(app)
        if found is None or found.name not in names:
            choices = [
                (name, completed(self.form, self.words, parameter.name, name)) for name in names or ["ENVIRONMENT"]
            ]
            raise UserError(
                f"Which environment of {app.name} do you mean" + (f": {', '.join(names)}?" if names else "?"),
                hint=f"For example: {choices[0][1]}",
                choices=tuple(choices) if names else (),
            )
        self.scope.environment = found
        return found


def _has_no_after(app: App) -> UserError:
    return UserError(
        f"There is no environment of {app.name} that you can promote to.",
        hint='In bot.toml, `after` names the environment before: `after = "staging"`.',
    )
