"""One run: a bot, a server that lies, another one that does not, and people who ask and deploy all the while."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploybot.card import Card
from deploybot.memory_tuning import freeze_loaded
from tests.e2e.conftest import RunningBot, make_shop, open_running_bot, server_toml
from tests.fuzz.gauge import MIB, LagGauge, forget_most, most_memory
from tests.lab import Access, Engine, Lab, Repo

RATE = 0.6
LANES = 6
ANSWER_WITHIN = 60
END_WITHIN = 300
CANCEL_WITHIN = 30
RESTORE_WITHIN = 240
MOST_MEMORY = 60
MOST_LAG = 100
_SOCKET = "/var/run/docker.sock"
_APP = """
[apps.{app}]
repo = "{repo}"
strategy = "files"
directory = "{directory}"
build = "sh ./build"
restart = "sh ./restart"
step_timeout = "10s"
need_disk = "1MB"
logs = {{ docker = "*" }}
health = {{ http = "http://127.0.0.1:8000/healthz", within = "5s" }}
[apps.{app}.environments.live]
servers = ["{server}"]
"""
_QUESTIONS = ("status", "status shop", "servers", "logs shop", "logs shop since 5m", "history shop", "diff shop")
_LATE = re.compile(r"unknown|last known|no answer")
_VOLATILE = re.compile(r"CPU|\d [kMGT]?B\b| ago ")


@dataclass(slots=True)
class FuzzFigures:
    """What came of a run."""

    seed: str
    answers: int = 0
    memory: int = 0
    loop: float = 0.0
    others_changed: int = 0
    hung: int = 0
    findings: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)

    @property
    def good(self) -> bool:
        """Whether it is as promised."""
        return self.harmless and self.loop < MOST_LAG

    @property
    def harmless(self) -> bool:
        """Whether all but the time is as promised: beside other tests the loop may get no turn for a while."""
        return self.memory < MOST_MEMORY and not (self.others_changed or self.hung or self.findings)

    @property
    def line(self) -> str:
        """The line of figures."""
        return (
            f"fuzz: answers={self.answers} memory=+{self.memory} MiB loop={self.loop:.0f} ms "
            f"others_changed={self.others_changed} hung={self.hung} seed={self.seed}"
        )


class _Lies:
    """The folder by which the liar on the server is told what to do."""

    def __init__(self, engine: Engine, seed: str) -> None:
        self.folder = engine.sshd.home / "liar"
        self.folder.mkdir()
        for name, text in (("rate", "0"), ("seed", seed), ("answers", ""), ("earlier", "")):
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o666)
        shutil.copy(Path(__file__).with_name("liar.py"), self.folder / "liar.py")
        self.folder.chmod(0o777)
        self.socket = self.folder / "docker.sock"
        words = ("/usr/bin/python3", "-IS", self.folder / "liar.py", "engine", _SOCKET, self.socket)
        engine.box.serve(*words, log=engine.box.directory / "liar.log")

    @property
    def answers(self) -> int:
        """How many answers were changed."""
        return (self.folder / "answers").stat().st_size

    def rate(self, share: float) -> None:
        """Change this share of the answers from now on."""
        (self.folder / "rate").write_text(str(share))


class Fuzz:
    """The people who ask, and what they see."""

    def __init__(self, running: RunningBot, lies: _Lies, figures: FuzzFigures, most: int) -> None:
        """Take the bot, the liar, and how many answers are to be changed."""
        self._running = running
        self._lies = lies
        self._figures = figures
        self._most = most
        self._dice = random.Random(figures.seed)
        self._calm = ""

    async def go(self) -> None:
        """Lie until enough answers were changed, then let everything come to its end."""
        await self._warm_up()
        gauge, before = LagGauge(), most_memory()
        forget_most()
        self._lies.rate(RATE)
        async with gauge.running():
            lanes = [asyncio.create_task(self._ask_on()) for _ in range(LANES)]
            lanes += [asyncio.create_task(self._deploy_on()), asyncio.create_task(self._follow_on())]
            await asyncio.gather(*lanes)
        self._figures.memory = max(0, (most_memory() - before) // MIB)
        self._figures.loop = gauge.worst * 1000
        self._figures.answers = self._lies.answers

    async def _warm_up(self) -> None:
        """Everything once without lies, so that what is imported and opened only once is not counted."""
        for app in ("shop", "calm"):
            await self._running.deploy(f"deploy {app}@v1")
        for question in _QUESTIONS:
            await self._running.say(question)
        self._calm = _line_of(await self._running.say("status"), "calm/live")
        assert self._calm, "the other server is on the board"

    def _going(self) -> bool:
        if self._lies.answers < self._most:
            return True
        self._lies.rate(0)
        return False

    async def _ask_on(self) -> None:
        while self._going():
            question = self._dice.choice(_QUESTIONS)
            card = await self._asked(question)
            if card is None:
                continue
            if "broke on my side" in card.title:
                self._figures.findings.append(f"{question}: {card.title}")
            if question == "status" and await self._changed(seen := _line_of(card, "calm/live")):
                self._figures.others_changed += 1
                self._figures.findings.append(f"{self._calm!r} became {seen!r}")

    async def _changed(self, seen: str) -> bool:
        """Whether the line of the other server is another, and not only because its answer was late."""
        if seen == self._calm:
            return False
        if seen and not _LATE.search(seen):
            return True
        # On a busy machine an answer of the other server may be late, but not again and again.
        again = await self._asked("status")
        return again is None or _line_of(again, "calm/live") != self._calm

    async def _asked(self, text: str) -> Card | None:
        """An answer; None, and counted, where none comes."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return await self._running.say(text)
        except TimeoutError:
            self._figures.hung += 1
            self._figures.findings.append(f"{text}: no answer")
            return None

    async def _deploy_on(self) -> None:
        """Deploy again and again, and cancel now and then."""
        while self._going():
            card = await self._asked(f"deploy shop@{self._dice.choice(('v1', 'v2'))}")
            if card is None or not card.queued:
                continue
            number = int(card.key.partition(":")[2])
            within: float = END_WITHIN
            if self._dice.random() < 0.5 and await self._cancelled(number):
                within = CANCEL_WITHIN + RESTORE_WITHIN
            await self._ends(number, within)

    async def _cancelled(self, number: int) -> bool:
        """Whether it was told to stop, some time after it began."""
        await asyncio.sleep(self._dice.random() * 4)
        card = await self._asked(f"cancel #{number}")
        return card is not None and card.ok

    async def _ends(self, number: int, within: float) -> None:
        try:
            async with asyncio.timeout(within):
                await self._running.bot.deployments.queue.idle(number)
        except TimeoutError:
            self._figures.hung += 1
            self._figures.findings.append(await self._where_it_stands(number))
            return
        found = await self._running.bot.deployments.get(number)
        self._figures.ends[found.state.value if found else "gone"] += 1
        if found is None or not found.state.ended or "broke on my side" in found.outcome:
            self._figures.findings.append(f"#{number}: {found.outcome if found else 'gone'}")

    async def _where_it_stands(self, number: int) -> str:
        """A deployment that does not end: its card, the end of its log, and what the bot's tasks wait for."""
        tasks = (f"{task.get_name()}: {_waits_at(task)}" for task in asyncio.all_tasks())
        card = await self._running.read(f"history #{number}")
        log = (await self._running.log_of(number))[-2000:]
        return "\n".join((f"#{number} does not end", card, log, *tasks))

    async def _follow_on(self) -> None:
        """Follow the log a moment, again and again."""
        while self._going():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._dice.random() * 3):
                    await self._running.say("logs shop follow", "ben")


def _waits_at(task: asyncio.Task[object]) -> str:
    frames = [
        f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_qualname}"
        for frame in task.get_stack(limit=1)
    ]
    coroutine = task.get_coro()
    while (inner := getattr(coroutine, "cr_await", None)) is not None:
        coroutine = inner
        if frame := getattr(inner, "cr_frame", None):
            frames.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}")
    return " > ".join(frames)


def _line_of(card: Card, name: str) -> str:
    """What a board says of an app: release, health and tone, without what changes by itself."""
    return " ".join(
        f"{line.name} {line.tone} {' · '.join(part for part in line.text.split(' · ') if not _VOLATILE.search(part))}"
        for line in card.lines
        if line.name.startswith(name)
    )


@asynccontextmanager
async def _places(lab: Lab, folder: Path, figures: FuzzFigures) -> AsyncIterator[tuple[RunningBot, _Lies]]:
    """A server that can lie, one that cannot, and a bot for both."""
    forced = Access(lines=("ForceCommand /usr/bin/python3 -IS ~/liar/liar.py",))
    false, true = lab.engine("false", access=forced), lab.engine("true")
    repo = Repo(folder / "shop.git")
    make_shop(repo)
    lies = _Lies(false, figures.seed)
    text = f'[bot]\ndata = "{folder / "data"}"\n'
    for app, name, engine, docker in (("shop", "web1", false, lies.socket), ("calm", "web2", true, _SOCKET)):
        labels = ("--label", f"com.docker.compose.project={app}-live", "--label", "com.docker.compose.service=web")
        engine.docker("run", "-d", *labels, "lab/busybox:latest", "sh", "-c", "while sleep 1; do echo line; done")
        text += server_toml(engine.sshd, name, more=f'docker = "{docker}"')
        text += _APP.format(app=app, repo=repo.url, directory=engine.sshd.home / app, server=name)
    path = folder / "bot.toml"
    await asyncio.to_thread(path.write_text, text)
    try:
        async with open_running_bot(path) as running:
            # As the bot's own process does when it is ready.
            freeze_loaded()
            yield running, lies
    finally:
        for engine in (false, true):
            lab.discard(engine.box)


async def fuzz(lab: Lab, folder: Path, *, answers: int, seed: str, say: Callable[[str], None]) -> FuzzFigures:
    """Change so many answers; the figures, which are said in the end, after what was found."""
    figures = FuzzFigures(seed)
    async with _places(lab, folder, figures) as (running, lies):
        await Fuzz(running, lies, figures, answers).go()
    for finding in dict.fromkeys(figures.findings):
        say(finding)
    say(f"deployments: {', '.join(f'{count} {state}' for state, count in figures.ends.most_common())}")
    say(figures.line)
    return figures
