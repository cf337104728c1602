"""A headless Chromium, driven by its own protocol (https://chromedevtools.github.io/devtools-protocol/)."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

_WITHIN = 60.0
_LONGEST_ANSWER = 64 << 20
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_LOOK = 0.05


def program() -> str:
    """The browser of this machine; empty where it has none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), "")


def missing() -> str:
    """What is missing for a test with a browser, with the cure; empty where nothing is."""
    return "" if program() else "a browser is needed: run sudo tests/lab/install"


class Browser:
    """One page of it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        """One command of the protocol; its result. RuntimeError where the browser refuses it."""
        number = next(self._numbers)
        async with asyncio.timeout(_WITHIN):
            await self._socket.send_json({"id": number, "method": method, "params": params})
            while True:
                answer = await self._socket.receive_json()
                if answer.get("id") == number:
                    break
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def open(self, url: str, *, ready: str = "true") -> None:
        """Go to an address, and wait until it is there; `ready` is what its own script makes true."""
        await self.call("Page.navigate", url=url)
        await self.until(f"document.readyState === 'complete' && {ready}")

    async def ask(self, script: str) -> Any:  # noqa: ANN401  whatever the script gives
        """The value of an expression in the page."""
        result = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    async def until(self, script: str, *, within: float = _WITHIN) -> None:
        """Wait until an expression is true. AssertionError with what the page says where it does not become so."""
        try:
            async with asyncio.timeout(within):
                while not await self.ask(script):  # noqa: ASYNC110  the page tells of nothing
                    await asyncio.sleep(_LOOK)
        except TimeoutError:
            there = await self.ask("document.body.innerText")
            raise AssertionError(f"{script} did not come true within {within:g} s; the page says:\n{there}") from None

    async def type(self, selector: str, text: str) -> None:
        """Type into a field, as keys that are pressed, and Enter."""
        await self.ask(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.call("Input.insertText", text=text)
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13
            )

    async def click(self, label: str) -> None:
        """Press the last button of that label."""
        found = f"[...document.querySelectorAll('main button')].filter(one => one.textContent === {json.dumps(label)})"
        await self.until(f"{found}.length > 0")
        await self.ask(f"{found}.pop().click()")

    async def picture(self) -> bytes:
        """What is to be seen, as a PNG."""
        shot = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])


@asynccontextmanager
async def browser(folder: Path, *, width: int = 1100, height: int = 760) -> AsyncIterator[Browser]:
    """Start one with its profile in `folder`, and end it."""
    process = await asyncio.create_subprocess_exec(
        *(program(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--no-first-run", "--disable-extensions", "--disable-background-networking", "--hide-scrollbars"),
        *("--remote-debugging-port=0", f"--user-data-dir={folder}", f"--window-size={width},{height}", "about:blank"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with aiohttp.ClientSession() as session:
            address = await _page_of(session, await _port(process))
            async with session.ws_connect(address, max_msg_size=_LONGEST_ANSWER) as socket:
                made = Browser(socket)
                size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
                await made.call("Emulation.setDeviceMetricsOverride", **size)
                yield made
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _port(process: asyncio.subprocess.Process) -> int:
    """The port that it says when it listens."""
    assert process.stderr is not None
    said: list[str] = []
    async with asyncio.timeout(_WITHIN):
        async for line in process.stderr:
            said.append(line.decode(errors="replace"))
            if "DevTools listening on " in said[-1]:
                return int(said[-1].partition("://")[2].partition("/")[0].rpartition(":")[2])
    raise RuntimeError(f"the browser did not start: {''.join(said)}")


async def _page_of(session: aiohttp.ClientSession, port: int) -> str:
    """The socket of its first page."""
    async with asyncio.timeout(_WITHIN):
        while True:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [one for one in await answer.json() if one["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
            await asyncio.sleep(_LOOK)
