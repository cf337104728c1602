"""Libraries without their docstrings: nobody reads them in a running bot, and they take 4 MiB of its memory.

`python -m deploybot.lean` compiles the libraries a second time, without docstrings, beside their usual bytecode (an
optimisation tag of our own, PEP 488). The command line imports what was compiled so; everything else, and every other
program, imports as usual. Nothing but docstrings is left out: asserts stay, and lines keep their numbers.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import cache_from_source
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

LIBRARIES = (
    "aiohttp",
    "asyncssh",
    "attr",
    "cryptography",
    "docker",
    "httpcore",
    "httpx",
    "pydantic",
    "pydantic_core",
    "requests",
    "slack_bolt",
    "slack_sdk",
    "sqlite_utils",
    "telegram",
    "urllib3",
    "yarl",
)
"""Those whose docstrings take the most. None of them reads its own."""

_TAG = "nodocs"
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def leave_out_docs() -> None:
    """From now on import libraries without docstrings, as far as they were compiled so."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


def compile_without_docs(names: Sequence[str] = LIBRARIES) -> Iterator[Path]:
    """Compile packages that are installed, without docstrings; gives each file of bytecode.

    Raises OSError where their folders cannot be written to.
    """
    sys.dont_write_bytecode = False  # writing it is all that this is for
    for name in names:
        spec = importlib.util.find_spec(name)
        for folder in (spec.submodule_search_locations if spec else None) or ():
            for source in sorted(Path(folder).rglob("*.py")):
                yield _compile(source)


def _compile(source: Path) -> Path:
    _Loader(source.stem, str(source)).get_code(source.stem)
    return Path(_cached(str(source)))


def _cached(source: str) -> str:
    return cache_from_source(source, optimization=_TAG)


class _Loader(SourceFileLoader):
    """The usual loader, but with bytecode of its own."""

    def get_data(self, path: str) -> bytes:
        return super().get_data(self._ours(path))

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:  # noqa: ANN401  bytes or like them
        super().set_data(self._ours(path), data, _mode=_mode)  # atomically, as it does

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> CodeType:  # type: ignore[override]  # noqa: ANN401  as wide as what it overrides
        return super().source_to_code(_without_docs(ast.parse(data)), path)

    def _ours(self, path: str) -> str:
        return _cached(self.path) if path.endswith(".pyc") else path


class _Finder:
    """Finds the libraries as everybody does, and loads from our bytecode what there is of it."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] not in LIBRARIES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec and type(spec.loader) is SourceFileLoader and Path(_cached(spec.loader.path)).exists():
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def _without_docs(tree: ast.Module) -> ast.Module:
    """The same module without docstrings. A body that was nothing else becomes `pass`."""
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            doc = node.body.pop(0)
            if not node.body:
                node.body.append(ast.copy_location(ast.Pass(), doc))
    return tree


if __name__ == "__main__":
    print(f"{sum(1 for _ in compile_without_docs())} modules compiled without docstrings")  # noqa: T201  what it is for
