"""What mkdocs calls while `make docs` builds the site: https://www.mkdocs.org/user-guide/configuration/#hooks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

# mkdocs imports this file by its path, in an environment without this repository.
sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.site.pages import DOCS, OUTSIDE, ROOT, adapted, slug


def on_config(config: Any) -> Any:  # noqa: ANN401 - mkdocs is not installed where this is checked
    """Make anchors the way GitHub does, so that one link works in both."""
    config.mdx_configs.setdefault("toc", {})["slugify"] = slug
    return config


def on_files(files: Any, config: Any) -> Any:  # noqa: ANN401 - same
    """Add the files that are outside of docs/."""
    from mkdocs.structure.files import File  # type: ignore[import-not-found]  # noqa: PLC0415 - same

    for source, name in OUTSIDE.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, **_more: Any) -> str:  # noqa: ANN401 - same
    """Adapt each page."""
    sources = {name: ROOT / source for source, name in OUTSIDE.items()}
    name = page.file.src_uri
    return adapted(sources.get(name, DOCS / name), markdown)
