"""A bot with a console and nothing behind it: as a handler for tests, and as a program for the client to start."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploybot.card import Button, Card, Line, Table, Tone
from deploybot.chat.chat_dependencies import Parts, Reply
from deploybot.chat.console.console_chat import Console
from deploybot.chat.console.console_protocol import SOCKET
from deploybot.chat.console.console_session import CHANNEL
from deploybot.command import Incoming
from deploybot.domain import Identity
from deploybot.errors import Unreachable
from deploybot.store.single_bot import single_bot

WORDS = ("deploy", "diff", "status")
STEPS = ("fetch", "build", "switch")


class SystemClock:
    def now(self) -> float:
        return time.time()


@dataclass
class Bot:
    """Answers a few commands the way the real bot would.

    `pace` is the seconds that a step takes. With `steps`, each one takes until a test releases it.
    """

    path: Path
    pace: float = 0.05
    steps: asyncio.Semaphore | None = None
    received: list[Incoming] = field(default_factory=list)
    cards: dict[str, Card] = field(default_factory=dict)
    logs: dict[str, asyncio.Event] = field(default_factory=dict)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    lost: list[str] = field(default_factory=list)
    sent: int = 0

    def __post_init__(self) -> None:
        parts = Parts(
            handle=self.handle, complete=self.complete, recall=self.recall, clock=SystemClock(), bot="0.0-stub"
        )
        self.console = Console(self.path, parts)

    async def complete(self, identity: Identity, text: str) -> tuple[int, tuple[str, ...]]:
        assert identity.platform == "console"
        word = text.rpartition(" ")[2]
        return len(word), tuple(one for one in WORDS if one.startswith(word))

    async def recall(self, key: str) -> Card | None:
        return self.cards.get(key)

    async def handle(self, incoming: Incoming, reply: Reply) -> Card | None:
        self.received.append(incoming)
        verb, _, rest = incoming.text.partition(" ")
        answer = getattr(self, f"say_{verb}", None)
        if answer is None:
            return Card(title=f"No command `{verb}`.", tone=Tone.BAD, ok=False)
        card: Card | None = await answer(rest, reply)
        return card

    async def say_echo(self, rest: str, _: Reply) -> Card:
        return Card(title=rest)

    async def say_tell(self, rest: str, _: Reply) -> Card:
        await self.console.send(CHANNEL, Card(title=rest))
        return Card(title="told")

    async def say_nothing(self, *_: object) -> None:
        return None

    async def say_fail(self, *_: object) -> Card:
        return Card(title="No.", tone=Tone.BAD, ok=False, hint="Ask for less.")

    async def say_break(self, rest: str, _: Reply) -> Card:
        raise RuntimeError(rest)

    async def say_status(self, *_: object) -> Card:
        rows = (("shop", "web1", "v2"), ("blog", "web2", "v1"))
        return Card(title="Status", table=Table(("app", "server", "release"), rows, (Tone.GOOD, Tone.BAD)))

    async def say_wait(self, rest: str, _: Reply) -> Card:
        await self.gate.wait()
        return Card(title=f"waited for {rest}")

    async def say_steps(self, _: str, reply: Reply) -> Card:
        for number in range(3):
            await reply(Card(title=f"step {number}", key="steps", tone=Tone.BUSY, final=False))
        return Card(title="all steps", key="steps", tone=Tone.GOOD)

    async def say_cancel(self, name: str, _: Reply) -> Card:
        self.logs[name].set()
        return Card(title=f"{name} stops")

    async def say_die(self, *_: object) -> Card:
        os._exit(9)

    async def say_deploy(self, how: str, _: Reply) -> Card:
        number = len(self.cards) + 1
        card = self.card(number, Tone.BUSY, "running", ())
        self.cards[card.key] = card
        self.spawn(self.rollout(number, how))
        return Card(title=card.title, key=card.key, tone=Tone.BUSY, final=False, queued=True)

    async def say_follow(self, rest: str, reply: Reply) -> Card:
        """Follow a log of so many lines, or one that goes on until it is stopped."""
        lines = int(rest or 1_000_000)
        name = f"log-{len(self.logs) + 1}"
        stop = self.logs[name] = asyncio.Event()
        begin = Card(
            title=f"shop staging, {name}",
            key=name,
            tone=Tone.BUSY,
            stream=True,
            final=False,
            buttons=(Button("Stop", f"cancel {name}"),),
        )
        self.sent = 0
        try:
            while self.sent < lines and not stop.is_set():
                code = tuple(f"line {number} of the log" for number in range(self.sent, min(self.sent + 20, lines)))
                await reply(replace(begin, code=code))
                self.sent += len(code)
                with suppress(TimeoutError):
                    async with asyncio.timeout(0 if rest else self.pace):
                        await stop.wait()
        except Unreachable as error:
            self.lost.append(str(error))
            raise
        return Card(title=f"{name} ended after {self.sent} lines", key=name, stream=True)

    def card(self, number: int, tone: Tone, word: str, done: tuple[str, ...]) -> Card:
        going = word == "running"
        text = ", ".join([f"{step} 0.1 s" for step in done] + (["…"] if going else []))
        return Card(
            title=f"#{number} deploy v2 (0123456789) to shop staging — {word}",
            key=f"deployment:{number}",
            tone=tone,
            text="replaces v1 (abcdef0123)",
            lines=(Line("web1", text, tone),),
            buttons=(Button("Cancel", f"cancel #{number}", danger=True),) if going else (),
            footer="by ben" if going else "by ben, took 0.3 s",
            final=not going,
            ok=tone in {Tone.BUSY, Tone.GOOD},
        )

    async def rollout(self, number: int, how: str) -> None:
        for count in range(len(STEPS) + 1):
            await self.tell(self.card(number, Tone.BUSY, "running", STEPS[:count]))
            await (self.steps.acquire() if self.steps is not None else asyncio.sleep(self.pace))
        tone, word = {"bad": (Tone.BAD, "failed"), "lost": (Tone.UNKNOWN, "end unknown")}.get(how, (Tone.GOOD, "done"))
        await self.tell(self.card(number, tone, word, STEPS))

    async def tell(self, card: Card) -> None:
        self.cards[card.key] = card
        await self.console.edit(CHANNEL, card.key, card)

    def spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


async def main(data: Path) -> None:
    """Run as the client's own bot."""
    bot = Bot(data / SOCKET, pace=float(os.environ.get("PACE", "0.1")))
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await bot.console.start()
    if os.environ.get("RESUME"):
        bot.spawn(bot.rollout(1, "ok"))
    if ready := os.environ.get("DEPLOYBOT_READY_FD"):
        os.write(int(ready), b"ready\n")
        os.close(int(ready))
    if life := os.environ.get("DEPLOYBOT_LIFE_FD"):
        loop.add_reader(int(life), stop.set)
    await stop.wait()
    await bot.console.close()


if __name__ == "__main__":
    with single_bot(Path(sys.argv[1])):
        asyncio.run(main(Path(sys.argv[1])))
