"""Fakes that satisfy the ports, for tests of commands and of the core: in memory, at once, and never doubled.

servers = FakeServers([FakeHost("web1"), FakeHost("web2")])
servers["web1"].script("switch", Outcome(code=1, log=b"no space left"))
async with memory_store() as store: ...
"""

from deploybot.testing.chats import FakeChat, Message
from deploybot.testing.clock import FakeClock
from deploybot.testing.codes import FakeCodeSecrets
from deploybot.testing.engines import FakeEngine
from deploybot.testing.hosts import FakeHost, FakeServers, Outcome, Started
from deploybot.testing.images import FakeImages
from deploybot.testing.refs import FakeRefs
from deploybot.testing.services import Asked, FakeDeployments, FakeLogs, FakeReleases, FakeStatus
from deploybot.testing.stores import memory_store

__all__ = [
    "Asked",
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
    "FakeServers",
    "FakeStatus",
    "Message",
    "Outcome",
    "Started",
    "memory_store",
]
