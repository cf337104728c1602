from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.domain import Gate, Release, ServerFacts, ServerPlan, ServerUpload, Step, UploadKind
from deploybot.errors import UserError
from deploybot.settings import App
from deploybot.strategies import STRATEGIES
from tests.lab import Repo
from tests.lab.run import run
from tests.strategies.conftest import MakeServer, StepEnded, env_of, make_app, site_of

FILES = STRATEGIES["files"]
OLD, NEW = Release.of_commit("a" * 40, ref="v1"), Release.of_commit("b" * 40, ref="v2")
FACTS = ServerFacts(home="/home/deploy", server="web1", git=True, directory="/srv/shop")
RUNS_OLD = ServerFacts(
    home="/home/deploy",
    server="web1",
    git=True,
    directory="/srv/shop",
    current=OLD.id,
    releases=(OLD.id,),
    have=(OLD.id,),
)


def ours(app: App, release: Release, previous: str = "", *, back: bool = False) -> dict[str, str]:
    """What every step of an app gets."""
    return {
        "DEPLOYBOT_APP": app.name,
        "DEPLOYBOT_DIRECTORY": "/srv/shop",
        "DEPLOYBOT_ENVIRONMENT": "production",
        "DEPLOYBOT_PREVIOUS": previous,
        "DEPLOYBOT_REF": release.ref,
        "DEPLOYBOT_RELEASE": release.id,
        "DEPLOYBOT_COMMIT": release.id,
        "DEPLOYBOT_SHORT": release.id[:10],
        "DEPLOYBOT_TAG": "",
        "DEPLOYBOT_COMMIT_TIME": "",
        "DEPLOYBOT_RESTORE": "yes" if back else "no",
    }


def test_first_deployment() -> None:
    app = make_app("files", build="make dist", output="dist", restart="systemctl restart shop")
    plan = FILES.deploy(site_of(app, FACTS), NEW, None)
    every = ours(app, NEW)
    target = f"/srv/shop/incoming/{NEW.id}.bundle"
    fetch = {
        "DEPLOYBOT_AGAIN": "yes",
        "DEPLOYBOT_BUILT": "no",
        "DEPLOYBOT_FROM": "bundle",
        "DEPLOYBOT_SHARED_FROM": "",
        "DEPLOYBOT_SHARED_PATHS": "",
        "DEPLOYBOT_UPLOAD": target,
    }
    build = {"DEPLOYBOT_COMMAND": "make dist", "DEPLOYBOT_OUTPUT": "dist"}
    switch = {"DEPLOYBOT_SCRIPT": "", "DEPLOYBOT_COMMAND": "systemctl restart shop"}
    assert plan == ServerPlan(
        server="web1",
        steps=(
            Step(
                name="fetch",
                script="fetch",
                env=tuple(sorted((every | fetch).items())),
                uploads=(ServerUpload(kind=UploadKind.BUNDLE, target=target, commit=NEW.id),),
            ),
            Step(name="build", script="build", env=tuple(sorted((every | build).items()))),
            Step(name="switch", script="switch", env=tuple(sorted((every | switch).items())), switches=True),
        ),
    )


def test_next_deployment_can_go_back() -> None:
    app = make_app("files", restart="reload", step_timeout="2m", health={"http": "http://127.0.0.1/"})
    plan = FILES.deploy(site_of(app, RUNS_OLD), NEW, OLD)
    switch = {"DEPLOYBOT_SCRIPT": "", "DEPLOYBOT_COMMAND": "reload"}
    assert [step.name for step in plan.steps] == ["fetch", "switch"]
    assert plan.steps[0].uploads[0].have == (OLD.id,)
    assert env_of(plan.steps[0])["DEPLOYBOT_BUILT"] == "yes"
    assert plan.replaces == OLD
    assert plan.gate == Gate(kind="http", target="http://127.0.0.1/", within=60.0)
    assert plan.restore == (
        Step(
            name="restore",
            script="switch",
            env=tuple(sorted((ours(app, OLD, NEW.id, back=True) | switch).items())),
            timeout=120.0,
            switches=True,
        ),
    )


def test_what_is_there_is_not_fetched_or_built_again() -> None:
    app = make_app("files", build="make")
    plan = FILES.deploy(site_of(app, RUNS_OLD, OLD), OLD, OLD)
    assert [step.name for step in plan.steps] == ["switch"]
    failed = FILES.deploy(site_of(app, RUNS_OLD), OLD, None)
    assert [step.name for step in failed.steps] == ["fetch", "build", "switch"]
    only_commit = ServerFacts(home="/", git=True, have=(NEW.id,))
    fetch, *_ = FILES.deploy(site_of(app, only_commit), NEW, None).steps
    assert not fetch.uploads
    assert env_of(fetch)["DEPLOYBOT_FROM"] == "have"
    no_git = ServerFacts(home="/", have=(NEW.id,))
    fetch, *_ = FILES.deploy(site_of(app, no_git), NEW, None).steps
    assert fetch.uploads == (
        ServerUpload(kind=UploadKind.ARCHIVE, target=f"/srv/shop/incoming/{NEW.id}.tar.gz", commit=NEW.id),
    )


@pytest.mark.parametrize("used", ["running", "current", "switching"])
def test_a_release_in_use_is_never_replaced_even_if_it_never_succeeded(used: str) -> None:
    app = make_app("files", build="make")
    names = {used: OLD.id}
    facts = replace(FACTS, releases=(OLD.id,), current=names.get("current", ""), switching=names.get("switching", ""))
    site = replace(site_of(app, facts), running=names.get("running", ""))
    plan = FILES.deploy(site, OLD, None)
    assert env_of(plan.steps[0])["DEPLOYBOT_AGAIN"] == "no"
    assert plan.warnings == (
        "v1 (aaaaaaaaaa) is in use, so it is not built again: if its build is wrong, deploy a new commit",
    )
    other = FILES.deploy(site, NEW, None)
    assert (env_of(other.steps[0])["DEPLOYBOT_AGAIN"], other.warnings) == ("yes", ())


def test_only_a_build_that_is_left_out_is_warned_of() -> None:
    built, plain = make_app("files", build="make"), make_app("files")
    for site in (
        site_of(built, RUNS_OLD, OLD),
        site_of(plain, RUNS_OLD),
        site_of(built, replace(FACTS, current=OLD.id)),
    ):
        assert FILES.deploy(site, OLD, None).warnings == ()


def test_what_is_not_on_the_server_cannot_be_put_back() -> None:
    app = make_app("files")
    plan = FILES.deploy(site_of(app, FACTS), NEW, OLD)
    assert plan.replaces == OLD
    assert plan.restore == ()


def test_environment_and_secrets_reach_every_step() -> None:
    production = {
        "name": "production",
        "servers": ["web1"],
        "directory": "/srv/other",
        "env": {"B": "environment", "B2": "in the clear"},
        "secrets": {"TOKEN": {"file": "/x"}},
    }
    # bot.toml may have no such names; a step keeps its own values even if it had.
    forged = {
        "name": "shop",
        "repo": "/srv/git/shop.git",
        "strategy": "files",
        "directory": "/srv/shop",
        "env": {"A": "app", "B": "app", "DEPLOYBOT_RELEASE": "forged"},
        "secrets": {"KEY": {"env": "X"}, "DEPLOYBOT_UPLOAD": {"env": "X"}, "B2": {"env": "X"}},
        "environments": {"production": production},
        "build": "make",
    }
    app = App.model_validate(forged)
    plan = FILES.deploy(site_of(app, FACTS), NEW, None)
    assert len(plan.steps) == 3
    for step in plan.steps:
        env = env_of(step)
        assert (env["A"], env["B"], env["B2"]) == ("app", "environment", "in the clear")
        assert env["DEPLOYBOT_RELEASE"] == NEW.id
        assert env["DEPLOYBOT_DIRECTORY"] == "/srv/other"
        assert step.secrets == ("KEY", "TOKEN")


def test_restart_and_tasks() -> None:
    app = make_app("files", restart="reload", tasks={"clear": "rm -rf cache/*"})
    (step,) = FILES.restart(site_of(app, RUNS_OLD), OLD).steps
    assert (step.name, step.script, step.switches) == ("restart", "command", False)
    assert env_of(step) == ours(app, OLD) | {"DEPLOYBOT_COMMAND": "reload"}
    (step,) = FILES.task(site_of(app, RUNS_OLD), OLD, "clear").steps
    assert (step.name, env_of(step)["DEPLOYBOT_COMMAND"]) == ("clear", "rm -rf cache/*")
    with pytest.raises(UserError, match="no task `nothing`") as caught:
        FILES.task(site_of(app, RUNS_OLD), OLD, "nothing")
    assert caught.value.hint == "Its tasks: clear."
    with pytest.raises(UserError, match="Nothing of shop is deployed"):
        FILES.task(site_of(app, FACTS), OLD, "clear")
    with pytest.raises(UserError, match="has no restart command"):
        FILES.restart(site_of(make_app("files"), RUNS_OLD), OLD)


def test_prune() -> None:
    app = make_app("files")
    third = "c" * 40
    facts = ServerFacts(home="/", releases=(OLD.id, NEW.id, third), current=NEW.id)
    (step,) = FILES.prune(site_of(app, facts), (third,))
    assert (step.name, step.script, step.bind) == ("prune", "prune", "prune")
    env = env_of(step)
    assert (env["DEPLOYBOT_KEEP"], env["DEPLOYBOT_IMAGES"]) == (third, "")
    assert FILES.prune(site_of(app, facts), (third, OLD.id)) == ()


# --- for real ----------------------------------------------------------------


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    repo = make_repo("shop")
    repo.commit(
        {
            "index.html": "one",
            "bin/run": "#!/bin/sh\necho hi\n",
            "with space/ü": "x",
            ".hidden": "h",
            ".gitattributes": "index.html export-ignore\n",
        }
    )
    repo.tag("v1")
    repo.commit({"index.html": "two"})
    repo.tag("v2")
    return repo


def test_real_cycle(make_server: MakeServer, repo: Repo) -> None:
    server = make_server(
        make_app("files", repo=repo.url, build="mkdir dist && cp index.html dist/ && umask >dist/umask", output="dist")
    )
    server.deploy("v1")
    root = server.current()
    assert root == server.directory / "releases" / repo.sha("v1")
    assert (root / "dist/index.html").read_text() == "one"
    assert (root / "bin/run").stat().st_mode & 0o777 == 0o755
    assert (root / "index.html").stat().st_mode & 0o777 == 0o644
    assert (root / "with space/ü").exists()
    assert (root / ".hidden").exists()
    assert (root / "dist/umask").read_text() == "0022\n"
    assert stat.S_IMODE(root.stat().st_mode) == 0o755

    plan = server.plan("v2")
    server.run(plan.steps)
    assert (server.directory / "current/dist/index.html").read_text() == "two"
    assert server.facts().switching == ""
    assert (server.directory / "current").readlink() == Path("releases") / repo.sha("v2")

    # v2 is not healthy: v1 is restored, and v2 is prepared again from scratch the next time.
    server.run(plan.restore)
    assert (server.directory / "current/dist/index.html").read_text() == "one"
    (server.directory / "releases" / repo.sha("v2") / "rubbish").touch()
    plan = server.deploy("v2")
    assert not (server.current() / "rubbish").exists()
    assert [step.name for step in plan.steps] == ["fetch", "build", "switch"]
    assert not plan.steps[0].uploads or not server.git
    assert (server.directory / "current/dist/index.html").read_text() == "two"

    # v1 was good once: a failed way back to it costs it nothing.
    plan = server.deploy("v1")
    assert [step.name for step in plan.steps] == ["switch"]
    server.run(plan.restore)
    assert set(server.facts().releases) == {repo.sha("v1"), repo.sha("v2")}
    left = sorted(path.name for path in server.directory.iterdir())
    assert left == sorted([".deploybot", "current", "incoming", "releases", *(["repo.git"] if server.git else [])])
    marks = server.directory / ".deploybot/releases" / repo.sha("v2")
    assert {path.name for path in marks.iterdir()} == {"fetched", "complete"}
    assert not list(server.current().glob(".deploybot*"))
    assert not list((server.directory / "incoming").iterdir())


def test_the_link_never_misses(make_server: MakeServer, repo: Repo) -> None:
    server = make_server(make_app("files", repo=repo.url))
    for ref in ("v1", "v2"):
        server.deploy(ref)
    misses: list[OSError] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                (server.directory / "current/index.html").read_text()
            except OSError as problem:
                misses.append(problem)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(20):
        server.deploy("v1" if number % 2 else "v2")
    stop.set()
    reader.join()
    assert not misses


def test_failed_build_switches_nothing_and_is_started_anew(make_server: MakeServer, repo: Repo) -> None:
    server = make_server(make_app("files", repo=repo.url, build="touch built; test -e ../../fixed", output="built"))
    plan = server.plan("v1")
    with pytest.raises(StepEnded, match="build ended with 1"):
        server.run(plan.steps)
    assert server.facts().current == ""
    assert server.facts().releases == ()
    (server.directory / "fixed").touch()
    (server.directory / "releases" / repo.sha("v1") / "rubbish").touch()
    server.deploy("v1")
    assert not (server.current() / "rubbish").exists()

    server.app = server.app.model_copy(update={"build": "true", "output": "nothing"})
    with pytest.raises(StepEnded, match="did not create nothing"):
        server.deploy("v2")
    assert server.facts().current == repo.sha("v1")


def test_a_release_that_serves_but_never_succeeded_serves_on_while_it_is_deployed_again(
    make_server: MakeServer, repo: Repo
) -> None:
    server = make_server(make_app("files", repo=repo.url, build="mkdir dist && cp index.html dist/", output="dist"))
    server.run(server.plan("v1").steps)
    served = server.directory / "current/dist/index.html"
    there = served.stat().st_ino
    planned_before = server.plan("v1")
    server.app = server.app.model_copy(update={"build": "false"})
    for step in server.plan("v1").steps:
        server.run([step])
        assert served.stat().st_ino == there
    # An older plan may want it from scratch, and an interrupted attempt may have left no marks.
    shutil.rmtree(server.directory / ".deploybot/releases" / repo.sha("v1"))
    fetch = planned_before.steps[0]
    again = replace(fetch, env=tuple(sorted((env_of(fetch) | {"DEPLOYBOT_AGAIN": "yes"}).items())))
    assert "is here already" in server.run([again])
    assert served.stat().st_ino == there
    # The folder is gone: then there is nothing to lose.
    shutil.rmtree(server.directory / "releases" / repo.sha("v1"))
    server.app = server.app.model_copy(update={"build": "mkdir dist && cp index.html dist/"})
    server.run(server.plan("v1").steps)
    assert served.read_text() == "one"


def test_failed_restart_reports_where_it_stands(make_server: MakeServer, repo: Repo) -> None:
    server = make_server(make_app("files", repo=repo.url))
    server.deploy("v1")
    server.app = server.app.model_copy(
        update={"restart": 'echo "reloading $DEPLOYBOT_REF"; test "$DEPLOYBOT_REF" = v1'}
    )
    plan = server.plan("v2")
    with pytest.raises(StepEnded, match="reloading v2"):
        server.run(plan.steps)
    assert (server.facts().current, server.facts().switching) == (repo.sha("v2"), repo.sha("v2"))


def test_shared_files_are_linked_into_releases(make_server: MakeServer, repo: Repo) -> None:
    repo.commit({"uploads/.gitkeep": "", "config/app.toml": "x", "config/key": "from git", ".env": "from git"})
    server = make_server(make_app("files", repo=repo.url))
    shared = server.directory / "shared"
    for name in ("uploads/cat.jpg", "config/key", ".env", "storage/deep/x", "an odd name/..x"):
        path = shared / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("shared")
    server.deploy("main")
    root = server.current()
    assert (root / "uploads").readlink() == shared / "uploads"
    assert (root / "config/key").readlink() == shared / "config/key"
    assert (root / "config/app.toml").read_text() == "x"
    assert (root / ".env").read_text() == "shared"
    assert (root / "storage").readlink() == shared / "storage"
    assert (root / "an odd name/..x").read_text() == "shared"


def test_links_out_of_the_tree_are_not_followed(make_server: MakeServer, repo: Repo, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("keep")
    repo.git(
        "fast-import",
        "--quiet",
        stdin=f"commit refs/heads/link\ncommitter A <a@example.com> 1700000000 +0000\ndata 1\nx"
        f"M 120000 inline uploads\ndata {len(str(outside))}\n{outside}",
    )
    server = make_server(make_app("files", repo=repo.url))
    (server.directory / "shared/uploads").mkdir(parents=True)
    (server.directory / "shared/uploads/precious").write_text("other")
    server.deploy("link")
    assert (outside / "precious").read_text() == "keep"
    assert (server.current() / "uploads").readlink() == server.directory / "shared/uploads"


def test_submodules_and_lfs_are_named(make_server: MakeServer, repo: Repo) -> None:
    repo.commit({".gitmodules": "[submodule]", ".gitattributes": "*.bin filter=lfs -text\n"})
    server = make_server(make_app("files", repo=repo.url))
    said = server.run(server.plan("main").steps)
    assert "submodules, which stay empty" in said
    assert "Git LFS are pointers" in said


def test_current_that_is_a_folder_is_left_alone(make_server: MakeServer, repo: Repo) -> None:
    server = make_server(make_app("files", repo=repo.url))
    plan = server.plan("v1")
    (server.directory / "current").mkdir()
    (server.directory / "current/index.html").write_text("by hand")
    with pytest.raises(UserError, match="current on web1 is a folder, but deploybot needs a link there"):
        server.plan("v1")
    with pytest.raises(StepEnded, match="is a folder, but deploybot needs a link there"):
        server.run(plan.steps)
    assert (server.directory / "current/index.html").read_text() == "by hand"


def test_incomplete_release_is_not_switched_to(make_server: MakeServer, repo: Repo) -> None:
    server = make_server(make_app("files", repo=repo.url))
    plan = server.plan("v1")
    with pytest.raises(StepEnded, match="is not complete"):
        server.run(plan.steps[-1:])
    assert server.facts().switching == ""


def test_commands_run_in_the_current_release(make_server: MakeServer, repo: Repo) -> None:
    app = make_app("files", repo=repo.url, tasks={"show": 'cat index.html; echo " $KEY $A"'}, env={"A": "it's; `a`"})
    app = app.model_copy(update={"secrets": make_app("files", secrets={"KEY": {"env": "X"}}).secrets})
    server = make_server(app)
    server.deploy("v2")
    plan = FILES.task(server.site(), server.release("v2"), "show")
    assert server.run(plan.steps, {"KEY": "k$(x)"}) == "two k$(x) it's; `a`\n"


def test_values_are_never_run(make_server: MakeServer, repo: Repo, tmp_path: Path) -> None:
    evil = f"$(touch {tmp_path}/canary)`touch {tmp_path}/canary`;touch {tmp_path}/canary #'\"\n-rf *"
    server = make_server(make_app("files", repo=repo.url, env={"EVIL": evil}, output="index.html", build="true"))
    release = Release.of_commit(repo.sha("v1"), ref=evil)
    for step in FILES.deploy(server.site(), release, Release.of_commit(evil)).steps:
        server.run([step])
    assert not (tmp_path / "canary").exists()
    assert server.facts().current == repo.sha("v1")


def test_prune_for_real(make_server: MakeServer, repo: Repo) -> None:
    server = make_server(make_app("files", repo=repo.url))
    commits = []
    for number in range(6):
        repo.commit({"index.html": str(number)})
        server.deploy("main")
        commits.append(repo.sha("main"))
    releases = server.directory / "releases"
    # Of processes that have ended and that run.
    ended, lives = f"{commits[0]}.tmp-{1 << 30}", f"{commits[0]}.tmp-{os.getpid()}"
    for name in ("0" * 40, "by-hand", ended, f"{commits[0]}.tmp-old", lives):
        (releases / name).mkdir()
    (releases / f"{ended}.index").touch()
    (releases / f"{lives}.index").touch()
    (server.directory / ".deploybot/switching").write_text(commits[1] + "\n")
    steps = FILES.prune(server.site(), (commits[3],))
    server.run(steps)
    left = {path.name for path in releases.iterdir()}
    assert left == {commits[1], commits[3], commits[5], "0" * 40, "by-hand", lives, f"{lives}.index"}
    if server.git:
        assert set(server.facts().have) == {commits[1], commits[3], commits[5]}
    # What is left can be gone back to.
    (server.directory / ".deploybot/switching").unlink()
    repo.branch("back", commits[3])
    server.deploy("back")
    assert (server.directory / "current/index.html").read_text() == "3"
    # And what was pruned comes back.
    repo.branch("back", commits[2])
    server.deploy("back")
    assert (server.directory / "current/index.html").read_text() == "2"


@pytest.mark.usefixtures("lab")
def test_prune_reports_what_it_cannot_delete(make_server: MakeServer, repo: Repo) -> None:
    server = make_server(make_app("files", repo=repo.url))
    for ref in ("v1", "v2"):
        server.deploy(ref)
    stuck = server.directory / "releases" / repo.sha("v1")
    run("mount", "--bind", stuck / "bin", stuck / "bin")
    try:
        with pytest.raises(StepEnded, match="could not be deleted: delete it by hand"):
            server.run(FILES.prune(server.site(), (repo.sha("v2"),)))
    finally:
        run("umount", f"{stuck}.tmp-gone/bin")
    assert server.facts().releases == (repo.sha("v2"),)
