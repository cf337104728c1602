"""Git sources over real repositories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploybot.masking import Redactor
from deploybot.settings import App, FileRef, Secret
from deploybot.sources.git_source import GitSource

MakeApp = Callable[..., App]


@pytest.fixture
def source(tmp_path: Path) -> GitSource:
    return GitSource(tmp_path / "data with spaces", Redactor())


@pytest.fixture
def make_app() -> MakeApp:
    def make(repo: str, *, token: str = "", key: Path | None = None, host_key: str = "", **more: object) -> App:
        secret = None
        if token:
            secret = Secret(env="SHOP_TOKEN")
            secret.fill(token)
        app = App.model_validate(
            {
                "name": "shop",
                "repo": repo,
                "strategy": "files",
                "directory": "/srv/shop",
                "environments": {"production": {"servers": ["web1"]}},
                "repo_host_key": host_key or (),
                **more,
            }
        )
        return app.model_copy(update={"repo_token": secret, "repo_key": FileRef(file=key) if key else None})

    return make
