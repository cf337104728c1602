"""What `status` says of each server and of an app: what runs, its health, and what differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.card import Tone
from deploybot.domain import (
    Lock,
    Pin,
    State,
    Usage,
)
from deploybot.store.database import Database
from tests.status.conftest import NOW, V1, V2, StatusBot
from tests.status.log_bot import container


async def test_one_line_for_each_server_says_all_that_is_wanted(bot: StatusBot) -> None:
    await bot.deployed()
    bot.engines["web1"].usages["web1-1"] = Usage(12.0, 120_000_000, 1_000_000_000)
    card = await bot.show()
    assert card.title == "2 targets: all OK"
    assert [line.name for line in card.lines] == ["shop/production web1", "shop/production web2"]
    assert card.lines[0].text == "v2 (2222222222) · 3 min ago (#1 by ana) · healthy · 120 MB · disk 50 GB free"
    assert [line.tone for line in card.lines] == [Tone.GOOD, Tone.GOOD]


async def test_before_the_first_deployment(bot: StatusBot) -> None:
    card = await bot.show()
    assert card.lines[0].text == "nothing deployed yet · disk 50 GB free"


async def test_a_person_who_may_see_nothing(bot: StatusBot) -> None:
    assert (await bot.board.board([])).title == "You have no permission to see any app here."
    assert (await bot.board.servers([])).title == "You have no permission to see any server here."


async def test_what_runs_though_the_bot_put_something_else_there_is_called_out(bot: StatusBot) -> None:
    await bot.deployed()
    bot.facts("web1", current="3" * 40)
    bot.facts("web2", current="")
    card = await bot.show()
    assert card.lines[0].text.startswith("runs 3333333333, but #1 deployed v2 (2222222222) · ")
    assert card.lines[1].text.startswith("#1 deployed v2 (2222222222), but it is gone from /srv/shop · ")
    assert [line.tone for line in card.lines] == [Tone.BAD, Tone.BAD]
    assert card.title == "2 targets: 2 need attention"


async def test_what_somebody_else_put_there_is_called_out(bot: StatusBot) -> None:
    bot.facts("web1", current="3" * 40)
    assert (
        (await bot.show())
        .lines[0]
        .text.startswith("nothing deployed yet · `current` points to 3333333333, which has no containers · ")
    )


async def test_a_half_switched_server_is_called_out(bot: StatusBot) -> None:
    await bot.deployed()
    bot.facts("web1", switching="3" * 40)
    line = (await bot.show()).lines[0]
    assert "partly switched from 2222222222 to 3333333333" in line.text
    assert line.tone is Tone.BAD


@pytest.mark.parametrize(
    ("changes", "says", "tone"),
    [
        ({"health": "unhealthy"}, "web unhealthy", Tone.BAD),
        ({"health": "starting"}, "starting", Tone.BUSY),
        ({"health": ""}, "running", Tone.GOOD),
        ({"health": "", "state": "exited", "exit_code": 137}, "web is stopped (exit code 137)", Tone.BAD),
        ({"health": "", "state": "restarting"}, "web is restarting", Tone.BAD),
        ({"restarts": 3}, "3 restarts", Tone.WARN),
        ({"health": "", "state": "exited"}, "web is stopped", Tone.BAD),
    ],
)
async def test_the_health_of_containers(bot: StatusBot, changes: dict[str, object], says: str, tone: Tone) -> None:
    await bot.deployed()
    (one,) = bot.engines["web1"].all["shop-production"]
    bot.engines["web1"].all["shop-production"] = (replace(one, **changes),)  # type: ignore[arg-type]
    line = (await bot.show()).lines[0]
    assert f" · {says} · " in line.text
    assert line.tone is tone


async def test_containers_that_the_bot_did_not_deploy_are_named_whatever_the_link_says(bot: StatusBot) -> None:
    """As after a take-over that failed: what ran before runs again, but the link stays on the failed release."""
    bot.facts("web1", current=V2.id, releases=(V2.id,))
    bot.facts("web2", current=V2.id, releases=(V2.id,))
    bot.engines["web1"].all["shop-production"] = (
        container("a", image="acme/shop:old"),
        container("b", "db", image="postgres:16"),
        container("c", "migrate", image="acme/shop:new", oneoff=True),
    )
    bot.engines["web2"].down = "the daemon is stopped"
    first, second = (await bot.show()).lines
    assert first.text.startswith(
        "runs db (image postgres:16), web (image acme/shop:old), which deploybot did not deploy · "
    )
    assert second.text.startswith("runs 2222222222, which deploybot did not deploy · ")


async def test_no_containers_where_there_should_be_some(bot: StatusBot) -> None:
    await bot.deployed()
    bot.engines["web1"].all.clear()
    assert " · no containers · " in (await bot.show()).lines[0].text


@pytest.mark.parametrize(
    ("status", "says", "tone"),
    [(200, "healthy", Tone.GOOD), (503, "answers 503", Tone.BAD), (0, "does not answer", Tone.BAD)],
)
async def test_the_http_check_is_made_now(store: Database, tmp_path: Path, status: int, says: str, tone: Tone) -> None:
    bot = StatusBot(store, tmp_path, strategy="files", health={"http": "http://127.0.0.1:80/"})
    await bot.deployed()
    bot.hosts["web1"].http["http://127.0.0.1:80/"] = (status, "x")
    line = (await bot.show()).lines[0]
    assert f" · {says} · " in line.text
    assert line.tone is tone


async def test_nothing_is_wrong_where_nothing_was_deployed_and_nothing_answers(store: Database, tmp_path: Path) -> None:
    bot = StatusBot(store, tmp_path, strategy="files", health={"http": "http://127.0.0.1:80/"})
    for host in bot.hosts:
        host.http["http://127.0.0.1:80/"] = (0, "")
    for card in (await bot.show(), await bot.board.detail(bot.app, [bot.production])):
        assert {line.tone for line in card.lines} <= {Tone.PLAIN}
        assert "nothing deployed yet · disk" in card.lines[0].text
        assert not any("answer" in line.text for line in card.lines)


@pytest.mark.parametrize(("closed", "says"), [(False, "healthy"), (True, "does not answer")])
async def test_the_tcp_check_is_made_now(store: Database, tmp_path: Path, says: str, *, closed: bool) -> None:
    bot = StatusBot(store, tmp_path, strategy="files", health={"tcp": "127.0.0.1:80"})
    await bot.deployed()
    if closed:
        bot.hosts["web1"].closed.add(("127.0.0.1", 80))
    assert f" · {says} · " in (await bot.show()).lines[0].text


async def test_what_cannot_be_checked_is_called_unknown(store: Database, tmp_path: Path) -> None:
    bot = StatusBot(store, tmp_path, strategy="files", health={"command": "./check"})
    await bot.deployed()
    line = (await bot.show()).lines[0]
    assert " · health unknown · " in line.text
    assert line.tone is Tone.UNKNOWN


async def test_what_has_no_check_is_not_called_ill(store: Database, tmp_path: Path) -> None:
    bot = StatusBot(store, tmp_path, strategy="files", health=None)
    await bot.deployed()
    card = await bot.show()
    assert " · no health check · " in card.lines[0].text
    assert card.title == "2 targets: all OK"


async def test_locks_and_what_goes_on_are_reported(bot: StatusBot) -> None:
    await bot.deployed(V1)
    await bot.deployed(V2, "web1", state=State.RUNNING)
    lock = Lock("shop", "production", 1, "ben", "release day", NOW - 60, NOW + 3600)
    await bot.store.write(lambda tables: tables.locks.take(lock))
    line = (await bot.show()).lines[0]
    assert line.text.endswith(
        " · #2 v2 (2222222222) running for 3 min 10 s · locked by ben 1 min ago, 1 h left: release day"
    )
    assert line.tone is Tone.BUSY


async def test_a_disk_that_runs_full_is_warned_about(bot: StatusBot) -> None:
    bot.facts("web1", disk_free=5_000_000_000)
    bot.facts("web2", disk_free=-1)
    first, second = (await bot.show()).lines
    assert (first.text, first.tone) == ("nothing deployed yet · disk 5.0 GB free", Tone.WARN)
    assert (second.text, second.tone) == ("nothing deployed yet · disk unknown", Tone.UNKNOWN)


async def test_the_whole_story(bot: StatusBot) -> None:
    await bot.deployed(V1)
    await bot.deployed(V2)
    bot.engines["web1"].usages["web1-1"] = Usage(12.4, 120_000_000, 1_000_000_000)
    bot.facts("web1", releases=("1" * 40, "2" * 40), memory_available=700_000_000)
    card = await bot.tell()
    assert card.title == "shop in production"
    told = {line.name: line for line in card.lines}
    assert told["web1"].text == (
        "v2 (2222222222) · 3 min ago (#2 by ana) · healthy · CPU 12 % · 120 MB · disk 50 GB free"
        " · memory 700 MB free · 2 releases kept"
    )
    assert told["before that"].text == "v1 (1111111111)"
    assert told["#2"].text == "deploy v2 (2222222222): succeeded 3 min ago by ana, because it is time"
    assert card.table is not None
    assert card.table.columns == ("server", "container", "state", "up", "restarts", "CPU", "memory")
    assert card.table.rows[0] == ("web1", "web1-1", "healthy", "1 min 40 s", "0", "12 %", "120 MB")
    assert card.table.rows[1] == ("web2", "web2-1", "healthy", "1 min 40 s", "0", "unknown", "unknown")
    assert card.tone is Tone.GOOD


async def test_a_past_failure_is_shown_with_its_outcome_and_does_not_colour_the_card(bot: StatusBot) -> None:
    await bot.deployed(V1, state=State.FAILED)
    await bot.deployed(V2)
    card = await bot.tell()
    failed = next(line for line in card.lines if line.name == "#1")
    assert failed.text.endswith(", because it is time; as it went")
    assert (failed.tone, card.tone) == (Tone.BAD, Tone.GOOD)


async def test_a_stopped_container_has_no_uptime(bot: StatusBot) -> None:
    await bot.deployed()
    bot.engines["web1"].all["shop-production"] = (container("once", state="exited", started=NOW - 50),)
    bot.engines["web2"].all.clear()
    card = await bot.tell()
    assert card.table is not None
    assert card.table.rows == (("once", "exited with 0", "-", "0", "-", "-"),)
    assert card.table.tones == (Tone.WARN,)


@pytest.mark.parametrize(
    ("condition", "says", "tone"),
    [
        ("migrate:service_completed_successfully:false", "healthy", Tone.GOOD),
        ("db:service_healthy:false,migrate:service_completed_successfully:true", "healthy", Tone.GOOD),
        ("migrate:service_started:false", "migrate is stopped", Tone.WARN),
        ("", "migrate is stopped", Tone.WARN),
    ],
)
async def test_a_service_that_ends_is_fine_only_where_another_waits_for_its_end(
    bot: StatusBot, condition: str, says: str, tone: Tone
) -> None:
    await bot.deployed()
    (web,) = bot.engines["web1"].all["shop-production"]
    web = replace(web, labels=(("com.docker.compose.depends_on", condition),))
    bot.engines["web1"].all["shop-production"] = (web, container("m", "migrate", state="exited"))
    line = (await bot.show()).lines[0]
    assert f" · {says} · " in line.text
    assert line.tone is tone


async def test_a_container_of_another_image_is_called_out(bot: StatusBot) -> None:
    pin = Pin("web", "acme/shop", "1.4.3", f"sha256:{'3' * 64}")
    release = V2.with_images([pin, replace(pin, service="side")])
    await bot.deployed(release)
    (web,) = bot.engines["web1"].all["shop-production"]
    good = f"v2 (2222222222) with 2 images ({release.id[41:47]}) · "
    bad = "runs something other than #1 deployed: web "
    other = f"{bad}runs a different image than 1.4.3 sha256:3333333333 (image shop) · "
    by_hand = f"{bad}was started by hand (image shop) · "
    cases = {pin.reference: good, f"acme/shop@sha256:{'4' * 64}": other, "": by_hand}
    for label, says in cases.items():
        labels = (("deploybot.image", label),) if label else ()
        bot.engines["web1"].all["shop-production"] = (replace(web, labels=labels),)
        line = (await bot.show()).lines[0]
        assert line.text.startswith(says)
        assert line.tone is (Tone.GOOD if says == good else Tone.BAD)


async def test_servers_as_a_table(bot: StatusBot) -> None:
    bot.facts("web1", system="Debian 12", docker="20.10.24", compose_version="2.26.1")
    bot.hosts["web2"].down = "no route to host"
    card = await bot.board.servers(["web1", "web2"])
    assert card.title == "2 servers: 1 of 2 answer"
    assert card.table is not None
    assert card.table.rows == (
        ("web1", "as deploy", "Debian 12", "20.10.24", "2.26.1", "50 GB of 100 GB", "2.0 GB"),
        ("web2", "no", "unknown", "unknown", "unknown", "unknown", "unknown"),
    )
    assert card.table.tones == (Tone.GOOD, Tone.BAD)
    assert "no route to host" in card.lines[0].text
