"""Logs as people ask for them, on servers in memory."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from deploybot.applogs import log_reader as module
from deploybot.applogs.log_follower import SHOW_MOST
from deploybot.card import Card, Tone
from deploybot.domain import LocalTime
from deploybot.errors import DeploybotError, EngineError, StepFailed, StoreError, Unreachable, UserError
from deploybot.masking import MASK
from deploybot.testing import FakeHost
from tests.status.log_bot import SECRET, LogBot, container, stamped


@pytest.fixture
def bot(tmp_path: Path) -> LogBot:
    made = LogBot(tmp_path)
    made.put("web1", container("one"), one=[stamped(1, "a"), stamped(4, "d")])
    made.put("web2", container("two"), two=[stamped(2, "b"), stamped(3, "c")])
    return made


async def test_all_servers_by_time_each_line_with_its_server(bot: LogBot) -> None:
    card = await bot.show()
    assert card.code == ("web1 | a", "web2 | b", "web2 | c", "web1 | d")
    assert (card.title, card.tone, card.ok) == ("The log of shop in production", Tone.PLAIN, True)


async def test_one_server_needs_no_name_before_its_lines(bot: LogBot) -> None:
    card = await bot.show(server="web2")
    assert card.code == ("b", "c")
    assert card.title == "The log of shop in production on web2"


async def test_the_number_is_for_each_server(bot: LogBot) -> None:
    bot.put("web1", container("one"), container("uno", "api"), uno=[stamped(5, "e")])
    card = await bot.show(lines=2)
    assert card.code == ("web2 | b", "web2 | c", "web1/web | d", "web1/api | e")
    assert "the last 2 lines of each server" in card.footer.lower()


async def test_several_containers_of_a_service_are_distinguished_by_name(bot: LogBot) -> None:
    bot.put("web1", container("web-1"), container("web-2"), **{"web-1": [stamped(1, "x")], "web-2": []})
    assert (await bot.show(server="web1")).code == ("web-1 | x",)


async def test_one_service_is_shown_alone_where_bot_toml_says_so(tmp_path: Path) -> None:
    bot = LogBot(tmp_path, logs={"docker": "web"})
    once = container("once", oneoff=True)
    bot.put("web1", container("one"), container("db", "db"), once, one=[stamped(1, "a")], db=[stamped(2, "no")])
    assert (await bot.show(server="web1")).code == ("a",)


async def test_a_service_that_is_not_there_is_reported_with_those_that_are(tmp_path: Path) -> None:
    bot = LogBot(tmp_path, logs={"docker": "wep"})
    bot.put("web1", container("one"), container("db", "db"))
    with pytest.raises(UserError, match=r"web1 has no container of the service wep\. It has: db, web"):
        await bot.show(server="web1")


async def test_grep_takes_text_as_it_is_in_either_case(bot: LogBot) -> None:
    bot.put("web1", container("one"), one=[stamped(1, "An ERROR (a.b)"), stamped(2, "error aXb"), stamped(3, "ÄRGER")])
    assert (await bot.show(server="web1", grep="error (A.")).code == ("An ERROR (a.b)",)
    assert (await bot.show(server="web1", grep="ärger")).code == ("ÄRGER",)
    assert bot.engines["web1"].asked[-1][1] == module.SEARCHED
    nothing = await bot.show(server="web1", grep="nope", since=90.0)
    assert nothing.text == "No line contains “nope” and was written in the last 1 min 30 s."


async def test_since_is_asked_of_the_engine(bot: LogBot) -> None:
    await bot.show(server="web1", since=60.0, lines=7)
    assert bot.engines["web1"].asked == [("one", 7, bot.clock.now() - 60)]


@pytest.mark.parametrize("ahead", [7200, -7200])
async def test_the_clock_of_an_engine_may_be_wrong_by_hours(bot: LogBot, ahead: int) -> None:
    """What it wrote in the last minute is asked for by its own clock."""
    there = bot.clock.now() + ahead
    bot.put("web1", container("one", asked=there), one=[stamped(1, "late")])
    assert (await bot.show(server="web1", since=60.0)).code == ("late",)
    assert bot.engines["web1"].asked == [("one", 50, there - 60)]
    bot.put("web1", container("one", asked=bot.clock.now() + 3), one=[])
    await bot.show(server="web1", since=60.0)
    assert bot.engines["web1"].asked[-1][2] == bot.clock.now() - 60


async def test_secrets_are_masked_and_cannot_be_searched_for(bot: LogBot) -> None:
    half, rest = stamped(1, f"password {SECRET}")[:50], stamped(1, f"password {SECRET}")[50:]
    bot.put("web1", container("one"), one=[half, rest])
    assert (await bot.show(server="web1")).code == (f"password {MASK}",)
    assert (await bot.show(server="web1", grep=SECRET[:6])).code == ()


async def test_what_no_chat_can_show_is_cleaned_and_cut(bot: LogBot) -> None:
    junk = bytes(byte for byte in range(256) if byte != 10)
    bot.put("web1", container("one"), one=[stamped(1, "x" * 1_000_000), stamped(2, "")[:-1] + junk + b"\n"])
    first, second = (await bot.show(server="web1")).code
    assert first == "x" * module.LINE_SHOWN + " …"
    assert second.isprintable() or "\t" in second


async def test_a_silent_server_costs_only_its_own_lines(bot: LogBot) -> None:
    bot.engines["web2"].down = "no route to host"
    card = await bot.show()
    assert card.code == ("web1 | a", "web1 | d")
    assert (card.tone, card.ok) == (Tone.WARN, False)
    assert [(line.name, line.tone) for line in card.lines] == [("web2", Tone.BAD)]
    assert "no route to host" in card.lines[0].text


async def test_when_no_server_answers_the_first_reason_is_the_answer(bot: LogBot) -> None:
    for engine in bot.engines.values():
        engine.down = "no route to host"
    with pytest.raises(Unreachable, match="no route to host"):
        await bot.show()


async def test_a_log_that_cannot_be_read_is_reported_beside_the_others(bot: LogBot) -> None:
    del bot.engines["web1"].chunks["one"]
    card = await bot.show()
    assert card.code == ("web2 | b", "web2 | c")
    assert "no container one" in card.lines[0].text


async def test_an_app_without_a_known_log_is_reported_with_how_to_name_one(tmp_path: Path) -> None:
    bot = LogBot(tmp_path, strategy="files")
    with pytest.raises(UserError, match="does not say where the log of shop is") as caught:
        await bot.show()
    assert "[apps.shop]" in caught.value.hint


async def test_a_server_without_docker_is_reported_with_how_to_get_it(tmp_path: Path) -> None:
    bot = LogBot(tmp_path, engines={})
    with pytest.raises(UserError, match=r"bot\.toml sets no Docker for web1") as caught:
        await bot.show(server="web1")
    assert "[servers.web1]" in caught.value.hint


@pytest.mark.parametrize(
    ("source", "script", "values"),
    [
        ({"file": "/var/log/shop.log"}, "logs_file", {"DEPLOYBOT_FILE": "/var/log/shop.log"}),
        ({"journald": "shop.service"}, "logs_journald", {"DEPLOYBOT_UNIT": "shop.service"}),
        ({"command": "cat x"}, "logs_command", {"DEPLOYBOT_COMMAND": "cat x", "DEPLOYBOT_DIRECTORY": "/srv/shop"}),
    ],
)
async def test_other_sources_are_packaged_scripts(
    tmp_path: Path, source: dict[str, str], script: str, values: dict[str, str]
) -> None:
    bot = LogBot(tmp_path, logs=source)
    bot.hosts["web1"].streams[script] = [b"2026-11-21T01:24:50.000000+0000 web1 shop[1]: one\ntwo\n"]
    card = await bot.show(server="web1", lines=9, since=60.0)
    assert card.code[-1] == "two"
    (started,) = bot.hosts["web1"].started
    assert started.script == script
    expected = {"DEPLOYBOT_LINES": "9", "DEPLOYBOT_SINCE": "1795224240", "DEPLOYBOT_FOLLOW": ""}
    assert (values | expected).items() <= started.env.items()


class Failing(FakeHost):
    """A server on which every script prints something and ends badly."""

    said = b""

    async def stream(self, script: str, env: Mapping[str, str], *, timeout: float) -> AsyncIterator[bytes]:
        async for chunk in super().stream(script, env, timeout=timeout):
            yield chunk
        yield self.said
        raise StepFailed(self.name, script, 66)


async def test_a_script_that_finds_no_log_says_why(tmp_path: Path) -> None:
    bot = LogBot(tmp_path, logs={"file": "/x"}, hosts={"web1": Failing("web1"), "web2": FakeHost("web2")})
    Failing.said = b"\x1cthere is no file /x\n"
    with pytest.raises(UserError, match=r"web1: there is no file /x\."):
        await bot.show(server="web1")


async def test_a_script_that_ends_badly_has_its_lines_shown(tmp_path: Path) -> None:
    bot = LogBot(tmp_path, logs={"command": "x"}, hosts={"web1": Failing("web1"), "web2": FakeHost("web2")})
    Failing.said = b"a line\n"
    card = await bot.show(server="web1")
    assert card.code == ("a line",)
    assert card.lines[0].text == "the command that reads the log exited with code 66."


async def test_lines_of_a_file_from_before_are_left_out_where_their_time_is_known(tmp_path: Path) -> None:
    bot = LogBot(tmp_path, logs={"file": "/x"})
    lines = [b"older\n", b"2026-11-21 01:00:00 old\n", b"  old, too\n", b"2026-11-21 01:24:50 new\n", b"  new, too\n"]
    bot.hosts["web1"].streams["logs_file"] = lines
    card = await bot.show(server="web1", since=60.0)
    assert card.code == ("2026-11-21 01:24:50 new", "  new, too")
    assert card.lines == ()


async def test_since_notes_that_a_log_has_no_times_and_shows_its_end(tmp_path: Path) -> None:
    bot = LogBot(tmp_path, logs={"file": "/x"})
    bot.hosts["web1"].streams["logs_file"] = [b"one\ntwo\n"]
    bot.hosts["web2"].streams["logs_file"] = [b"2026-11-21 01:00:00 old\n"]
    card = await bot.show(since=60.0)
    assert card.code == ("web1 | one", "web1 | two")
    assert [(line.name, line.tone) for line in card.lines] == [("web1", Tone.WARN)]
    assert "no readable time" in card.lines[0].text
    assert card.ok
    nothing = await bot.show(since=60.0, grep="three")
    assert (nothing.code, nothing.lines) == ((), ())
    file = await bot.show(since=60.0, file=True)
    assert unpacked(file) == ["web1 | one", "web1 | two"]
    assert [line.name for line in file.lines] == ["web1"]


async def test_since_notes_once_that_a_followed_log_has_no_times(tmp_path: Path) -> None:
    bot = LogBot(tmp_path, logs={"file": "/x"})
    bot.hosts["web1"].streams["logs_file"] = [b"one\n", b"two\n"]
    await bot.show(follow=True, server="web1", since=60.0)
    assert sorted(line for line in bot.lines if not line.startswith("--")) == ["one", "two"]
    assert sum("no readable time" in line for line in bot.lines) == 1


async def test_times_without_a_zone_are_the_servers_or_those_of_bot_toml(tmp_path: Path) -> None:
    berlin, tokyo = FakeHost("web1"), FakeHost("web2")
    for host, zone in ((berlin, "Europe/Berlin"), (tokyo, "Asia/Tokyo")):
        host.server_facts = replace(host.server_facts, local_time=LocalTime(zone=zone))
    berlin.streams["logs_file"] = [b"2026-11-21 02:24:10 first\n", b"2026-11-21 02:24:30 third\n"]
    tokyo.streams["logs_file"] = [b"2026-11-21 10:24:20 second\n", b"2026-11-21 10:24:40 fourth\n"]
    hosts = {"web1": berlin, "web2": tokyo}
    bot = LogBot(tmp_path, logs={"file": "/x"}, hosts=hosts)
    card = await bot.show(since=45.0)
    assert [line.rpartition(" ")[2] for line in card.code] == ["second", "third", "fourth"]
    assert await bot.show(since=45.0) == card
    bot = LogBot(tmp_path, logs={"file": "/x", "timezone": "Asia/Tokyo"}, hosts=hosts)
    card = await bot.show(since=45.0)
    assert [line.rpartition(" ")[2] for line in card.code] == ["second", "fourth"]


async def test_a_time_of_day_is_the_last_there_was_by_the_bots_clock(bot: LogBot) -> None:
    card = await bot.show(server="web1", since_time=time(1, 23))
    assert bot.engines["web1"].asked[-1][2] == bot.clock.now() - 120
    assert card.footer.startswith("Since 01:23 (UTC)")
    bot.put("web1", container("one"), one=[])
    assert (await bot.show(server="web1", since_time=time(1, 26))).text == "No line was written since 01:26 (UTC)."
    assert bot.engines["web1"].asked[-1][2] == bot.clock.now() + 60 - 86_400


def test_of_a_time_of_day_that_was_twice_the_first_counts() -> None:
    berlin, now = ZoneInfo("Europe/Berlin"), 1_761_444_000.0  # 2025-10-26 02:00 UTC
    assert module.seconds_since(time(2, 30), berlin, now) == 90 * 60
    assert module.seconds_since(time(2, 30), berlin, now - 5_400 + 60) == 60


async def test_a_long_line_of_json_has_its_time_at_its_end(tmp_path: Path) -> None:
    bot = LogBot(tmp_path, logs={"file": "/x"})
    line = '{"msg":"' + "x" * 5_000 + '","time":"2026-11-21T01:%s:00Z"}\n'
    bot.hosts["web1"].streams["logs_file"] = [(line % "00").encode(), (line % "24").encode()]
    card = await bot.show(server="web1", since=90.0)
    assert len(card.code) == 1
    assert len(card.code[0]) == module.LINE_SHOWN + 2


def unpacked(card: Card) -> list[str]:
    (file,) = card.files
    return gzip.decompress(Path(file.path).read_bytes()).decode().splitlines()


async def test_a_file_holds_all_lines_by_time_with_their_times(bot: LogBot) -> None:
    card = await bot.show(file=True, lines=1000)
    assert unpacked(card) == [
        "2026-11-21T01:23:01.000000000Z web1 | a",
        "2026-11-21T01:23:02.000000000Z web2 | b",
        "2026-11-21T01:23:03.000000000Z web2 | c",
        "2026-11-21T01:23:04.000000000Z web1 | d",
    ]
    assert card.files[0].name.startswith("shop-production-20261121-012500-")
    assert card.title.startswith("The log of shop in production: 4 lines, 160 B (")


async def test_who_asks_for_much_gets_a_file(bot: LogBot) -> None:
    bot.put("web1", container("one"), one=[stamped(number % 60, f"line {number}") for number in range(5000)])
    card = await bot.show(server="web1", lines=5000)
    assert card.code == ()
    assert unpacked(card)[4999].endswith(" line 4999")


async def test_one_log_in_a_file_is_as_it_was_written_and_several_have_their_times(bot: LogBot) -> None:
    await bot.show(server="web1", file=True)
    assert bot.engines["web1"].times == [False]
    await bot.show(file=True)
    assert bot.engines["web1"].times == [False, True]


async def test_a_file_is_masked_and_searched_too(bot: LogBot) -> None:
    bot.put("web1", container("one"), one=[stamped(1, f"an {SECRET}"), stamped(2, "other"), stamped(3, "An end")])
    card = await bot.show(server="web1", file=True, grep="an", lines=100)
    assert [line[31:] for line in unpacked(card)] == [f"an {MASK}", "An end"]


async def test_a_log_that_breaks_off_is_reported_in_its_file(bot: LogBot) -> None:
    del bot.engines["web2"].chunks["two"]
    card = await bot.show(file=True)
    assert unpacked(card)[0] == "web2 | -- the log ends here: there is no container two"
    assert (card.tone, card.ok) == (Tone.WARN, False)
    assert len(unpacked(card)) == 3


async def test_the_word_nothing_is_said_where_nothing_is(bot: LogBot) -> None:
    bot.put("web1", container("one"), one=[])
    assert (await bot.show(server="web1")).text == "The log is empty."


def test_what_stands_in_the_help_is_true() -> None:
    assert module.FOLLOW_WITHIN == 3600


async def test_whatever_one_server_breaks_is_reported_and_logged_and_the_others_are_shown(
    bot: LogBot, caplog: pytest.LogCaptureFixture
) -> None:
    bot.put("web2", container("two"), two=[stamped(1, "here")])
    bot.engines["web1"].all["shop-production"] = 7  # type: ignore[assignment]  # broken on purpose
    card = await bot.show()
    assert [line.name for line in card.lines] == ["web1"]
    assert "it cannot be read (TypeError)" in card.lines[0].text
    assert "here" in card.code[0]
    assert "'int' object is not iterable" in caplog.text


async def test_following_shows_lines_as_they_come_until_it_is_stopped(bot: LogBot) -> None:
    task = bot.follow()
    bot.engines["web1"].write("one", stamped(1, "hello"))
    await bot.until(lambda: "web1 | hello" in bot.lines)
    bot.engines["web2"].write("two", stamped(2, f"there {SECRET}"))
    await bot.until(lambda: f"web2 | there {MASK}" in bot.lines)
    followed = bot.logs.following("log-1")
    assert followed is not None
    assert (followed.name, followed.app, followed.environment) == ("log-1", "shop", "production")
    assert bot.logs.stop("log-1")
    card = await task
    assert card.title == "log-1: stopped following the log of shop in production"
    assert (card.key, card.stream, card.final, card.buttons) == ("log:1", True, True, ())
    assert {(one.key, one.stream, one.final) for one in bot.cards} == {("log:1", True, False)}
    assert bot.cards[0].buttons[0].command == "cancel log-1"
    assert not bot.logs.stop("log-1")
    assert bot.logs.following("log-1") is None


async def test_following_can_search(bot: LogBot) -> None:
    task = bot.follow(server="web1", grep="ERR")
    bot.engines["web1"].write("one", stamped(1, "fine") + stamped(2, "an error") + stamped(3, "fine"))
    await bot.until(lambda: bool(bot.lines))
    assert bot.lines == ["an error"]
    bot.logs.stop("log-1")
    await task


async def test_a_server_that_dies_says_so_in_a_line_and_the_others_go_on(bot: LogBot) -> None:
    task = bot.follow()
    bot.engines["web1"].write("one", stamped(1, "hello"))
    await bot.until(lambda: "web1 | hello" in bot.lines)
    bot.engines["web1"].fail("one", EngineError("the engine is gone"))
    await bot.until(lambda: "-- web1: the engine is gone" in bot.lines)
    bot.engines["web2"].write("two", stamped(2, "still here"))
    await bot.until(lambda: "web2 | still here" in bot.lines)
    bot.logs.stop("log-1")
    await task


async def test_a_server_that_is_silent_from_the_start_is_reported_and_the_others_go_on(bot: LogBot) -> None:
    bot.engines["web2"].down = "no route to host"
    task = bot.follow()
    bot.engines["web1"].write("one", stamped(1, "hello"))
    await bot.until(lambda: "web1 | hello" in bot.lines)
    assert any(line.startswith("-- web2: ") and "retrying" in line for line in bot.lines)
    bot.logs.stop("log-1")
    await task


async def test_a_flood_is_counted_and_its_end_is_shown(bot: LogBot) -> None:
    task = bot.follow(server="web1")
    bot.engines["web1"].write("one", b"".join(stamped(1, f"line {number}") for number in range(100_000)))
    await bot.until(lambda: any("line 99999" in line for line in bot.lines))
    assert all(len(card.code) <= SHOW_MOST + 1 for card in bot.cards)  # and the line that counts the others
    assert len(bot.lines) < 10_000
    assert any("lines left out" in line for line in bot.lines)
    bot.logs.stop("log-1")
    await task


async def test_following_ends_when_the_reader_may_no_longer_read_it(bot: LogBot) -> None:
    task = bot.follow()
    bot.engines["web1"].write("one", stamped(1, "hello"))
    await bot.until(lambda: "web1 | hello" in bot.lines)
    bot.refused = True
    bot.engines["web1"].write("one", stamped(2, "secret plans"))
    card = await task
    assert card.title == "log-1: you may no longer read this log"
    assert (card.key, card.stream, card.final, card.code, card.ok) == ("log:1", True, True, (), False)
    assert "web1 | secret plans" not in bot.lines
    assert bot.logs.following("log-1") is None


async def test_following_ends_if_nobody_can_tell_whether_it_is_allowed(bot: LogBot) -> None:
    task = bot.follow()
    await bot.until(lambda: bool(bot.cards))
    bot.refused = StoreError("the database is gone")
    with pytest.raises(StoreError, match="the database is gone"):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_who_goes_away_leaves_nothing_open(bot: LogBot) -> None:
    task = bot.follow()
    await bot.until(lambda: bool(bot.cards))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bot.logs.following("log-1") is None
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_followed_scripts_that_end_end_the_following(tmp_path: Path) -> None:
    bot = LogBot(tmp_path, logs={"file": "/var/log/shop.log"})
    bot.hosts["web1"].streams["logs_file"] = [b"one\n", b"two\n"]
    card = await bot.show(follow=True, server="web1")
    assert bot.lines[:2] == ["one", "two"]
    assert bot.lines[-1] == "-- web1: has ended"
    assert card.title == "log-1: ended following the log of shop in production on web1"
    assert bot.hosts["web1"].started[0].env["DEPLOYBOT_FOLLOW"] == "1"


def test_errors_that_people_see_are_ours() -> None:
    assert issubclass(EngineError, DeploybotError)
