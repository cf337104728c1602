#!/bin/sh
# What a command of bot.toml prints as the log of an app, stdout and stderr.
# Takes DEPLOYBOT_COMMAND, DEPLOYBOT_DIRECTORY and, where the app's own files are elsewhere, DEPLOYBOT_FILES. The command
# finds DEPLOYBOT_LINES, DEPLOYBOT_SINCE and DEPLOYBOT_FOLLOW in its environment, and may keep to them. It runs where the
# current release or the app's own files are, or in the app's directory.
set -eu

cd -- "${DEPLOYBOT_FILES:-$DEPLOYBOT_DIRECTORY/current}" 2>/dev/null || cd -- "$DEPLOYBOT_DIRECTORY" 2>/dev/null || :
exec sh -c "$DEPLOYBOT_COMMAND" 2>&1
