"""A double of Slack that is stricter than Slack: see `SlackDouble`."""

from tests.doubles.slack.double import APP_TOKEN, BOT_TOKEN, TEAM, SlackDouble

__all__ = ["APP_TOKEN", "BOT_TOKEN", "TEAM", "SlackDouble"]
