#!/bin/sh
# What a command of bot.toml prints as the log of an app, stdout and stderr.
# Takes DEPLOYBOT_COMMAND, DEPLOYBOT_DIRECTORY, and to follow DEPLOYBOT_FOLLOW=1 and DEPLOYBOT_SECONDS. The command
# finds these and DEPLOYBOT_LINES and DEPLOYBOT_SINCE in its environment, and may keep to them. It runs where the
# current release is, or in the app's directory, if they are there.
set -eu

# While it is followed a NUL goes out every two seconds. When writing it fails nobody listens any more.
follow() {
    # In a group of its own, so that what the command starts ends with it.
    setsid "$@" &
    reader=$!
    trap 'kill -TERM "-$reader" 2>/dev/null || :' EXIT
    trap 'exit 1' HUP INT TERM
    trap '' PIPE
    left=$DEPLOYBOT_SECONDS
    while [ "$left" -gt 0 ] && kill -0 "$reader" 2>/dev/null && printf '\000' 2>/dev/null; do
        sleep 2
        left=$((left - 2))
    done
}

cd -- "$DEPLOYBOT_DIRECTORY/current" 2>/dev/null || cd -- "$DEPLOYBOT_DIRECTORY" 2>/dev/null || :
if [ -n "${DEPLOYBOT_FOLLOW:-}" ]; then
    follow sh -c "$DEPLOYBOT_COMMAND" 2>&1
else
    exec sh -c "$DEPLOYBOT_COMMAND" 2>&1
fi
