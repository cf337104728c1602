"""Git sources over real repositories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploybot.masking import Redactor
from deploybot.settings import App, FileRef, Secret
from deploybot.sources.git_source import GitSource
from tests.kit.settings import bot_settings

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
        given: dict[str, object] = {"repo": repo, **({"repo_host_key": host_key} if host_key else {}), **more}
        app = bot_settings(apps={"shop": given}).apps["shop"]
        return app.model_copy(update={"repo_token": secret, "repo_key": FileRef(file=key) if key else None})

    return make
