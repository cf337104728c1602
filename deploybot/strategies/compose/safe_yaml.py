"""Loads YAML with a limit on size and depth, and without merge keys."""

from __future__ import annotations

import yaml

_PROBLEMS = (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError)


def load(text: str, *, most_events: int, deepest: int) -> object:
    """Load a document like SafeLoader. Raises ValueError, whose text continues “cannot be read: …”."""
    try:
        bounded = _is_bounded(text, most_events, deepest)
        # The loader is a SafeLoader.
        value: object = yaml.load(text, Loader=_Loader) if bounded else None  # noqa: S506
    except _PROBLEMS as problem:
        raise ValueError("it is not YAML") from problem
    if not bounded:
        raise ValueError("it is too large or nested too deeply")
    return value


def _is_bounded(text: str, most_events: int, deepest: int) -> bool:
    """Check the events before objects are built from them: libyaml's composer recurses without a limit."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.CSafeLoader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if count > most_events or depth > deepest:
            return False
    return True


class _Loader(yaml.CSafeLoader):
    """SafeLoader without merge keys: nested merges can take forever. Compose resolves them in its output."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Treat `<<` like any other key."""


def _as_string(loader: _Loader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


def _as_nothing(_loader: _Loader, _suffix: str, _node: yaml.Node) -> None:
    """Read Compose's own tags, such as `!reset`, as None."""


_Loader.add_constructor("tag:yaml.org,2002:merge", _as_string)
_Loader.add_multi_constructor("!", _as_nothing)
