"""Fakes that implement the ports, for tests of commands and of the core.

They work in memory, answer at once, and run nothing twice.

servers = FakeServers([FakeHost("web1"), FakeHost("web2")])
servers["web1"].script("switch", Outcome(code=1, log=b"no space left"))
async with memory_store() as store: ...
"""

from deploybot.testing.fake_chats import FakeChat, Message
from deploybot.testing.fake_clock import FakeClock
from deploybot.testing.fake_codes import FakeCodeSecrets
from deploybot.testing.fake_engines import FakeEngine
from deploybot.testing.fake_hosts import FakeHost, FakeServers, Outcome, Started
from deploybot.testing.fake_images import FakeImages
from deploybot.testing.fake_refs import FakeRefs
from deploybot.testing.fake_services import FakeDeployments, FakeLogs, FakeReleases, FakeRequest, FakeStatus
from deploybot.testing.memory_stores import memory_store

__all__ = [
    "FakeChat",
    "FakeClock",
    "FakeCodeSecrets",
    "FakeDeployments",
    "FakeEngine",
    "FakeHost",
    "FakeImages",
    "FakeLogs",
    "FakeRefs",
    "FakeReleases",
    "FakeRequest",
    "FakeServers",
    "FakeStatus",
    "Message",
    "Outcome",
    "Started",
    "memory_store",
]
