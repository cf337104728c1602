"""Slack as a chat. Importing this package imports nothing of Slack's libraries; `adapter` does.

api        the Web API: paced, bounded, its errors as ours
blocks     a card as Block Kit; pure
bolt       what Slack hands over, in either mode, acknowledged at once
heard      a payload as what a person did; pure
link       Socket Mode: a socket that is watched, and replaced when it dies
people     who is a member, and who is nobody
files      long texts and logs, uploaded into a card's thread
views      modals and the home tab; pure
corner     where one message is answered: its channel, or its sender alone
reception  what is done with what people did
repeats    commands that are sent again because Slack was slow
adapter    the chat itself
manifest   the app's manifest, made from the commands; pure
probe      what `deploybot check` tries
"""
