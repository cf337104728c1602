"""deploybot's public API: everything that a command may import."""

from __future__ import annotations

from deploybot.card import MARKS, Button, Card, File, Line, Link, Table, Tone, narrow_rows
from deploybot.command import Command, Context, command
from deploybot.command_parameters import Code, Day, Duration, Follow, StartTime, Task, start_time
from deploybot.domain import (
    Changes,
    Commit,
    Deployment,
    GrantChange,
    Kind,
    Lock,
    Person,
    Pin,
    Release,
    Role,
    State,
    image_changes,
    target_name,
)
from deploybot.domain.log_query import LogQuery
from deploybot.errors import Denied, DeploybotError, Locked, Unreachable, UserError
from deploybot.settings import App, Environment, Server, Settings
from deploybot.units import show_duration, show_size, show_time

__version__ = "0.1.0"

__all__ = [
    "MARKS",
    "App",
    "Button",
    "Card",
    "Changes",
    "Code",
    "Command",
    "Commit",
    "Context",
    "Day",
    "Denied",
    "DeploybotError",
    "Deployment",
    "Duration",
    "Environment",
    "File",
    "Follow",
    "GrantChange",
    "Kind",
    "Line",
    "Link",
    "Lock",
    "Locked",
    "LogQuery",
    "Person",
    "Pin",
    "Release",
    "Role",
    "Server",
    "Settings",
    "StartTime",
    "State",
    "Table",
    "Task",
    "Tone",
    "Unreachable",
    "UserError",
    "command",
    "image_changes",
    "narrow_rows",
    "show_duration",
    "show_size",
    "show_time",
    "start_time",
    "target_name",
]
