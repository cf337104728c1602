#!/bin/sh
# Runs the health command of bot.toml until it succeeds or its time is over.
#   DEPLOYBOT_HEALTH   the command, shell text
#   DEPLOYBOT_WITHIN   seconds
#   DEPLOYBOT_FILES    the directory to run it in instead, where the app's own files are on the server
#   DEPLOYBOT_RELEASE  nothing where what ran before the bot came is restored, from DEPLOYBOT_FOLDER
set -eu
cd -- "$DEPLOYBOT_DIRECTORY"
name=
if [ -z "$DEPLOYBOT_RELEASE" ]; then
    name=before
    # There may be no link yet, or it leads to the release that failed.
    cd -- "$DEPLOYBOT_FOLDER"
    [ -e "${COMPOSE_ENV_FILES:-.}" ] || unset COMPOSE_ENV_FILES
elif link=$(readlink current); then
    # Compose would take the way through the link for another project directory.
    cd -- "${DEPLOYBOT_FILES:-releases/${link##*/}}"
    name=${link##*/}
fi
marks=$DEPLOYBOT_DIRECTORY/.deploybot/releases/$name
if [ -f "$marks/files" ]; then
    COMPOSE_FILE=$(cat "$marks/files")
    COMPOSE_PATH_SEPARATOR='
'
    export COMPOSE_FILE COMPOSE_PATH_SEPARATOR
fi
# The bot's copy of a configuration runs: with its profiles, and whatever the env file is now.
if [ -f "$marks/files.kept" ]; then
    kept=$DEPLOYBOT_DIRECTORY/.deploybot/configurations
    COMPOSE_PROFILES=$(cat "$kept/$(cat "$marks/files.kept").profiles" 2>/dev/null || :)
    COMPOSE_ENV_FILES=$kept/none.env
    export COMPOSE_PROFILES COMPOSE_ENV_FILES
fi
# As for `up`: Compose must read files that stay where they are the same for each release.
[ -z "${DEPLOYBOT_FILES:-}" ] || unset DEPLOYBOT_RELEASE DEPLOYBOT_COMMIT DEPLOYBOT_SHORT DEPLOYBOT_REF \
    DEPLOYBOT_TAG DEPLOYBOT_COMMIT_TIME DEPLOYBOT_PREVIOUS DEPLOYBOT_RESTORE
end=$(($(date +%s) + DEPLOYBOT_WITHIN))
code=0
while :; do
    code=0
    sh -c "$DEPLOYBOT_HEALTH" || code=$?
    [ "$code" -ne 0 ] || exit 0
    [ "$(date +%s)" -lt "$end" ] || break
    sleep 1
done
echo "the health command still ends with $code after $DEPLOYBOT_WITHIN s" >&2
exit 1
