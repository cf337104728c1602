"""Slack as a chat. Importing this package does not import Slack's libraries; `slack_chat` does.

slack_part            its entry: settings, rules, checks, without Slack's libraries
slack_settings        the table of bot.toml
slack_chat            the chat itself
slack_api             the Web API: rate-limited, bounded, with our own errors
bolt_app              acknowledge payloads at once, in either mode
slack_incoming        parse a payload into what a person did; pure
slack_connection      Socket Mode: watch the socket, and replace it when it dies
slack_handler         handle messages, commands and button presses
slack_members         look up who is a member of the workspace
slack_reply_target    where one message is answered: its channel, or its sender alone
slack_rendering       render a card as Block Kit; pure
slack_views           modals and the home tab; pure
slack_files           upload long texts and logs into a card's thread
repeated_commands     commands that are sent again because Slack was slow
app_manifest          create the app's manifest from the commands; pure
slack_check           the checks of `deploybot check`
"""
