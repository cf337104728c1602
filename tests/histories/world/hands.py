"""What people do to an application on its server, by hand."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.histories.reality import Reality
from tests.histories.world.dice import Act
from tests.histories.world.ledger import Ledger
from tests.histories.world.shop import ShopApp, ShopStyle


def reality(app: ShopApp) -> Reality:
    """What an application really runs."""
    return app.server.reality(app.project, app.port, Path(app.directory))


def keep(app: ShopApp, text: str) -> None:
    """Put something into the volume, which has to stay there."""
    _kept(app).write_text(text)


def is_kept(app: ShopApp, text: str) -> bool:
    """Whether it is still there."""
    return _kept(app).is_file() and _kept(app).read_text() == text


def _kept(app: ShopApp) -> Path:
    disk = app.server.engine.disk
    assert disk
    return disk.outside / "volumes" / f"{app.project}_data" / "_data" / "kept"


def _hand_checkout(app: ShopApp, ledger: Ledger, dice: random.Random) -> None:
    version = dice.choice([*ledger.versions.values()])
    folder = app.server.checkout(app.repo, app.server.home / "checkouts" / app.name, version.commit)
    _up(app, folder, "--build" if app.style is ShopStyle.BUILD else "")


def _hand_folder(app: ShopApp, ledger: Ledger, dice: random.Random) -> None:
    del ledger
    releases = Path(app.directory) / "releases"
    folders = sorted(releases.iterdir()) if releases.is_dir() else []
    if folders:
        _up(app, dice.choice(folders), dice.choice(("", "--build")) if app.style is ShopStyle.BUILD else "")


def _up(app: ShopApp, folder: Path, more: str) -> None:
    # A version that does not build, or lacks a variable, fails by hand, too.
    app.server.hand(folder, f"{app.server.compose.command} -p {app.project} up -d {more} || :")


def _names(app: ShopApp, dice: random.Random) -> list[str]:
    found = [one.name for one in reality(app).containers]
    return found if dice.random() < 0.5 else dice.sample(found, min(len(found), 1))


def _stop(app: ShopApp, ledger: Ledger, dice: random.Random) -> None:
    del ledger
    if names := _names(app, dice):
        app.server.engine.docker("stop", "-t", "2", *names)


def _remove(app: ShopApp, ledger: Ledger, dice: random.Random) -> None:
    del ledger
    if names := _names(app, dice):
        app.server.engine.docker("rm", "-f", *names)


def _down(app: ShopApp, ledger: Ledger, dice: random.Random) -> None:
    del ledger, dice
    if names := [one.name for one in reality(app).containers]:
        app.server.engine.docker("rm", "-f", *names)
    if _has_network(app):
        app.server.engine.docker("network", "rm", f"{app.project}_default")


def _has_network(app: ShopApp) -> bool:
    return bool(app.server.engine.docker("network", "ls", "-q", "--filter", f"name=^{app.project}_default$").strip())


def _move_tag(app: ShopApp, ledger: Ledger, dice: random.Random) -> None:
    """Give the names of the application's images to another one, on the Engine and in the registry."""
    del ledger
    text = f"{app.name}-moved-{dice.randrange(1000)}"
    names = app.server.engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
    mine = [name for name in names if f"{app.project}" in name and "<none>" not in name]
    for name in dice.sample(mine, min(len(mine), 3)):
        app.server.engine.docker("tag", "lab/busybox", name)
    if app.style is ShopStyle.LATEST:
        app.push(text, ("latest",))


def _delete_folder(app: ShopApp, ledger: Ledger, dice: random.Random) -> None:
    del ledger
    releases = Path(app.directory) / "releases"
    folders = sorted(releases.iterdir()) if releases.is_dir() else []
    if folders:
        shutil.rmtree(dice.choice(folders))


def _change_current(app: ShopApp, ledger: Ledger, dice: random.Random) -> None:
    del ledger
    link = Path(app.directory) / "current"
    releases = Path(app.directory) / "releases"
    folders = sorted(one.name for one in releases.iterdir()) if releases.is_dir() else []
    if not link.is_symlink():
        return
    link.unlink()
    leads = dice.choice([*folders, "", "nowhere"])
    if leads:
        link.symlink_to(f"releases/{leads}")


def _prune(app: ShopApp, ledger: Ledger, dice: random.Random) -> None:
    del ledger, dice
    app.server.engine.docker("image", "prune", "-af")
    app.server.keep_base()


def _restart_engine(app: ShopApp, ledger: Ledger, dice: random.Random) -> None:
    del ledger
    engine = app.server.engine
    dice.choice((engine.stop, engine.kill))()
    engine.start()


ACTS: dict[Act, Callable[[ShopApp, Ledger, random.Random], None]] = {
    Act.HAND_CHECKOUT: _hand_checkout,
    Act.HAND_FOLDER: _hand_folder,
    Act.STOP: _stop,
    Act.REMOVE: _remove,
    Act.DOWN: _down,
    Act.MOVE_TAG: _move_tag,
    Act.DELETE_FOLDER: _delete_folder,
    Act.CHANGE_CURRENT: _change_current,
    Act.PRUNE: _prune,
    Act.RESTART_ENGINE: _restart_engine,
}
"""What each act does; nothing where there is nothing to do it to."""
