"""Every way out of the bot, by name: what leaves by it is masked, however a secret is hidden in it."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pytest
from opentelemetry.sdk.resources import Resource

import deploybot
from deploybot.bot_log import formatter
from deploybot.card import Card
from deploybot.command import Context
from deploybot.deployments.step_logs import Journal
from deploybot.domain import Kind, Report
from deploybot.errors import StepFailed, UserError
from deploybot.masking import Redactor
from deploybot.reporting.otel_traces import _Trace, _TracedRows
from deploybot.sources.git_errors import explained
from deploybot.sources.git_process import GitFailed
from deploybot.testing import memory_store
from tests.dispatch.conftest import made
from tests.events.channel import open_channel, push
from tests.kit.command_bot import open_command_bot
from tests.status.log_bot import LogBot, container, container_app, stamped
from tests.store.examples import CONSOLE, NOW, ann, plan, step_row

SECRET = "correct-horse-battery"
HIDDEN = {
    "plain": SECRET,
    "with a colour in it": "correct-\x1b[1mhorse\x1b[0m-battery",
    "with signs that are not seen": "correct-\u200bhorse-\u2060battery",
    "as JSON": "correct\\u002dhorse\\u002dbattery",
    "in percents": quote("correct-horse-battery").replace("-", "%2d"),
    "in hexadecimal digits": SECRET.encode().hex(":"),
}
Leave = Callable[[Redactor, str, Path], Awaitable[str]]


async def card_for_a_chat(redactor: Redactor, text: str, _: Path) -> str:
    async with memory_store(redactor) as store:
        await store.write(lambda tables: tables.outbox.put(CONSOLE, Card(title="log", code=(text,)), NOW))
        return str(await store.read(lambda tables: tables.outbox.due(NOW)))


async def row_of_the_audit(redactor: Redactor, text: str, _: Path) -> str:
    async with memory_store(redactor) as store:
        row = await store.write(
            lambda tables: tables.audit.append(actor=text, action="request", subject=text, detail=text, now=NOW)
        )
        return str(row)


async def report_for_a_forge_or_a_call(redactor: Redactor, text: str, _: Path) -> str:
    report = Report(
        deployment=1,
        app="shop",
        environment="production",
        kind=Kind.DEPLOY,
        word="failed",
        commit="c" * 40,
        ref=text,
        subject=text,
        by=text,
        reason=text,
        outcome=text,
    )
    async with memory_store(redactor) as store:
        await store.write(
            lambda tables: tables.deployments.add(plan(), requester=ann(tables), reason="", channel=None, now=NOW)
        )
        await store.write(lambda tables: tables.reports.put("outgoing:board", report, NOW))
        return str(await store.read(lambda tables: tables.reports.due(NOW)))


async def span_of_a_trace(redactor: Redactor, text: str, _: Path) -> str:
    async with memory_store() as store:
        deployment = await store.write(
            lambda tables: tables.deployments.add(plan(), requester=ann(tables), reason="", channel=None, now=NOW)
        )
    rows = _TracedRows(replace(deployment, requester_name=text), (step_row(name=text),), None)
    spans = _Trace("ab" * 16, Resource({}), rows, redactor.text).spans()
    return "".join(f"{span.name} {span.attributes}" for span in spans)


async def answer_to_a_command(redactor: Redactor, text: str, _: Path) -> str:
    del redactor  # the bot has one of the same secret

    async def leak(ctx: Context) -> Card | None:
        await ctx.reply(Card(title=f"on the way {text}"))
        return Card(title=text, hint=text)

    async def refuse(_: Context) -> Card | None:
        raise UserError(text, hint=text)

    async def fail(_: Context) -> Card | None:
        raise StepFailed("build", "web1", 1, (text,))

    commands = made("leak", leak), made("refuse", refuse), made("fail", fail)
    async with open_command_bot(*commands, secrets=(SECRET,)) as bot:
        said = [await bot.say(word) for word in ("leak", "refuse", "fail")]
        return "".join(map(str, (*said, *bot.replies, *await bot.audit())))


async def notification_of_an_event(redactor: Redactor, text: str, _: Path) -> str:
    del redactor
    async with open_channel() as channel:
        channel.telling._redactor = Redactor((SECRET,))
        event = push()
        await channel.hear(replace(event, commits=tuple(replace(one, message=text) for one in event.commits)))
        return str(await channel.messages())


async def _own_log(kind: Literal["text", "json"], redactor: Redactor, text: str) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(kind, redactor.text))
    log = logging.Logger("own")  # noqa: LOG001  nobody else may hear it
    log.addHandler(handler)
    log.error("broke on %s", text, exc_info=RuntimeError(text))
    return "".join(map(str, map(json.loads, stream.getvalue().splitlines()))) if kind == "json" else stream.getvalue()


async def own_log_as_text(redactor: Redactor, text: str, _: Path) -> str:
    return await _own_log("text", redactor, text)


async def own_log_as_json(redactor: Redactor, text: str, _: Path) -> str:
    return await _own_log("json", redactor, text)


async def log_of_a_step(redactor: Redactor, text: str, folder: Path) -> str:
    journal = Journal(folder, redactor, limit=50_000)
    data = f"building with {text}\n".encode()
    row = await journal.take(step_row(), data[:20], last=False)
    row = await journal.take(row, data[row.offset :], last=True)
    shown = "".join(journal.tail(row, 10))
    return shown + journal.path(row).read_text() + journal.whole(row.deployment).read_text()


def _log_bot(folder: Path, text: str) -> LogBot:
    bot = LogBot(folder)
    bot.put("web1", container("one"), one=[part.encode() for part in re.split("(?<=-)", stamped(1, text).decode())])
    bot.put("web2", container("two"), two=[stamped(2, "nothing")])
    return bot


async def lines_of_a_log(redactor: Redactor, text: str, folder: Path) -> str:
    del redactor  # the scene has one of the same secret
    return str(await _log_bot(folder, text).show())


def _unpacked(path: str) -> str:
    return gzip.decompress(Path(path).read_bytes()).decode()


async def file_of_a_log(redactor: Redactor, text: str, folder: Path) -> str:
    del redactor
    card = await _log_bot(folder, text).show(file=True)
    return str(card.title) + await asyncio.to_thread(_unpacked, card.files[0].path)


async def log_that_is_followed(redactor: Redactor, text: str, folder: Path) -> str:
    del redactor
    bot = _log_bot(folder, "before")
    task = bot.follow(server="web1")
    bot.engines["web1"].write("one", stamped(3, text))
    bot.engines["web1"].write("one", stamped(4, "the end"))
    await bot.until(lambda: any("the end" in line for line in bot.lines))
    task.cancel()
    return "".join(bot.lines)


async def words_of_git(redactor: Redactor, text: str, folder: Path) -> str:
    return str(explained(container_app(folder).apps["shop"], GitFailed(128, f"fatal: {text}"), redactor))


EXITS: dict[Leave, tuple[str, ...]] = {
    card_for_a_chat: ("store/outbox_rows.py", "store/all_tables.py", "store/database_writer.py", "store/database.py"),
    row_of_the_audit: ("store/audit_rows.py",),
    report_for_a_forge_or_a_call: ("store/report_rows.py",),
    span_of_a_trace: ("reporting/otel_traces.py", "reporting/reporter_port.py"),
    answer_to_a_command: ("dispatch/dispatcher.py", "dispatch/error_replies.py", "dispatch/request_audit.py"),
    notification_of_an_event: ("notifications/notifier.py",),
    own_log_as_text: ("bot_log.py", "bot.py"),
    own_log_as_json: ("bot_log.py",),
    log_of_a_step: ("deployments/step_logs.py",),
    lines_of_a_log: ("applogs/log_sources.py", "applogs/log_tail.py", "applogs/log_reader.py"),
    file_of_a_log: ("applogs/whole_log.py",),
    log_that_is_followed: ("applogs/log_follower.py",),
    words_of_git: ("sources/git_errors.py", "sources/git_source.py"),
}
"""Each way out, and the modules that mask on it."""
ELSEWHERE = {
    "wiring/infrastructure.py": "makes the one Redactor",
    "wiring/adapters.py": "hands it on",
    "wiring/deployment_wiring.py": "hands it on",
    "check/__init__.py": "tests/test_check.py",
    "applogs/log_samples.py": "hands it on",
    "deployments/watch_card.py": "its cards are masked again when they are queued",
    "deployments/card_details.py": "tests/deployments/test_phone.py",
    "deployments/deployment_card.py": "tests/deployments/test_phone.py",
    "deployments/deployment_service.py": "hands it on",
    "deployments/card_publisher.py": "hands it on",
    "deployments/dry_run.py": "hands it on",
    "dispatch/missing_parts.py": "hands it on",
    "dispatch/rollback_question.py": "tests/deployments/test_rollback_menu.py",
    "deployments/step_progress.py": "tests/deployments/test_progress.py",
    "cli/check_command.py": "tests/test_check.py",
    "cli/command_base.py": "hands it on",
    "reporting/audit_sinks/audit_worker.py": "tests/reporting/test_audit_worker.py",
    "config/__init__.py": "tests/config/test_secret_values.py",
    "monitoring/monitoring_routes.py": "tests/monitoring/test_routes.py",
    "ports/infrastructure_ports.py": "the protocol",
    "ports/__init__.py": "the protocol",
    "testing/memory_stores.py": "for tests",
}


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN.keys())
@pytest.mark.parametrize("leave", EXITS, ids=lambda leave: leave.__name__)
async def test_no_secret_leaves(leave: Leave, hidden: str, tmp_path: Path) -> None:
    out = await leave(Redactor((SECRET,)), f"password is {hidden} here", tmp_path)
    assert "•••" in out
    for text in (SECRET, hidden, "horse", "battery", SECRET.encode().hex(":")[9:24]):
        assert text not in out


def _masks() -> Iterator[str]:
    """The modules that mask, or hand on what does."""
    house = Path(deploybot.__file__).parent
    for file in house.rglob("*.py"):
        name = file.relative_to(house).as_posix()
        if not name.startswith(("masking/", "demo/")) and re.search(r"[Rr]edactor|\bmask[(:=]", file.read_text()):
            yield name


def test_every_module_that_masks_is_named_here() -> None:
    named = {module for modules in EXITS.values() for module in modules} | ELSEWHERE.keys()
    assert set(_masks()) == named


def test_what_leaves_by_a_row_is_written_by_the_store_alone() -> None:
    """So whoever queues a card, a report or a row of the audit cannot forget to mask it."""
    house = Path(deploybot.__file__).parent
    writers = {
        file.relative_to(house).as_posix()
        for file in house.rglob("*.py")
        if re.search(r"INSERT INTO (outbox|audit|reports)\b", file.read_text())
    }
    assert writers - {"store/schema/initial_schema.py"} == {
        "store/outbox_rows.py",
        "store/audit_rows.py",
        "store/report_rows.py",
    }
