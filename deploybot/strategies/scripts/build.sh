#!/bin/sh
# Builds a fetched release in its own directory, which is complete afterwards. A release is built once.
#   DEPLOYBOT_DIRECTORY, DEPLOYBOT_RELEASE
#   DEPLOYBOT_COMMAND   the build command of bot.toml, shell text
#   DEPLOYBOT_OUTPUT    a path that must be there afterwards, or nothing
set -eu
umask 022

marks=$DEPLOYBOT_DIRECTORY/.deploybot/releases/$DEPLOYBOT_RELEASE
cd -- "$DEPLOYBOT_DIRECTORY/releases/$DEPLOYBOT_RELEASE"
if [ -f "$marks/complete" ]; then
    echo "built before"
    exit 0
fi
sh -c "$DEPLOYBOT_COMMAND"
if [ -n "$DEPLOYBOT_OUTPUT" ] && [ ! -e "$DEPLOYBOT_OUTPUT" ]; then
    echo "The build command succeeded, but did not create $DEPLOYBOT_OUTPUT in $PWD." >&2
    exit 1
fi
# Not all systems can write out one folder only.
sync -f . 2>/dev/null || sync
mkdir -p -- "$marks"
: >"$marks/complete"
rm -f -- "$DEPLOYBOT_DIRECTORY/incoming/$DEPLOYBOT_RELEASE".*
