"""The whole port `Host` on real servers, with dash and with busybox alone."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploybot.errors import StepFailed, Unreachable
from deploybot.hosts.host import SshHost
from tests.hosts.conftest import RUN, Reach, command, server_of
from tests.hosts.tls import make_tls
from tests.hosts_contract import PRINTED, HostContract, Task, Work
from tests.lab import Lab, Sshd


@pytest.fixture(params=["dash", "busybox"])
def server(request: pytest.FixtureRequest) -> Sshd:
    found = request.getfixturevalue({"dash": "sshd", "busybox": "busybox_server"}[request.param])
    assert isinstance(found, Sshd)
    return found


@pytest.fixture
def host(server: Sshd, reach: Reach) -> SshHost:
    return reach(server_of(server))


class TestSshHost(HostContract):
    """The same assertions as for the server in memory."""

    @pytest.fixture
    def work(self) -> Work:
        return Work(
            Task(RUN, command(f"printf %s '{PRINTED.decode()}'")),
            Task(RUN, command("exit 3")),
            Task(RUN, command("sleep 1000")),
        )
