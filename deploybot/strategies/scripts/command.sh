#!/bin/sh
# Runs a command of bot.toml in the directory of the current release.
#   DEPLOYBOT_DIRECTORY, DEPLOYBOT_RELEASE
#   DEPLOYBOT_INSIDE    `release`: in the directory of DEPLOYBOT_RELEASE, whatever is current
#   DEPLOYBOT_FILES     the directory to run it in instead, where the app's own files are on the server
#   DEPLOYBOT_COMMAND   shell text
# Where the release is run by Compose, plain `docker compose` means this app's project.
set -eu
umask 022

cd -- "$DEPLOYBOT_DIRECTORY"
if [ "${DEPLOYBOT_INSIDE:-}" = release ]; then
    link=$DEPLOYBOT_RELEASE
else
    link=$(readlink current) || { echo "Nothing is deployed in $DEPLOYBOT_DIRECTORY yet." >&2; exit 1; }
fi
# The way that Compose was called when it started the containers: another path would be another configuration.
cd -- "${DEPLOYBOT_FILES:-releases/${link##*/}}"
marks=$DEPLOYBOT_DIRECTORY/.deploybot/releases/${link##*/}
files=$marks/files
# What a task before the switch needs.
if [ "${DEPLOYBOT_INSIDE:-}" = release ] && [ -f "$marks/ready" ]; then
    files=$marks/ready
fi
if [ -f "$files" ]; then
    COMPOSE_FILE=$(cat "$files")
    COMPOSE_PATH_SEPARATOR='
'
    export COMPOSE_FILE COMPOSE_PATH_SEPARATOR
fi
# The bot's copy of a configuration runs: with its profiles, and whatever the env file is now.
if [ -f "$files.kept" ]; then
    kept=$DEPLOYBOT_DIRECTORY/.deploybot/configurations
    COMPOSE_PROFILES=$(cat "$kept/$(cat "$files.kept").profiles" 2>/dev/null || :)
    COMPOSE_ENV_FILES=$kept/none.env
    export COMPOSE_PROFILES COMPOSE_ENV_FILES
fi
# As for `up`: Compose must read files that stay where they are the same for each release.
[ -z "${DEPLOYBOT_FILES:-}" ] || unset DEPLOYBOT_RELEASE DEPLOYBOT_COMMIT DEPLOYBOT_SHORT DEPLOYBOT_REF \
    DEPLOYBOT_TAG DEPLOYBOT_COMMIT_TIME DEPLOYBOT_PREVIOUS DEPLOYBOT_RESTORE
exec sh -c "$DEPLOYBOT_COMMAND"
