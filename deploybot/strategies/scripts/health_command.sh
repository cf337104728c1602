#!/bin/sh
# Runs the health command of bot.toml until it succeeds or its time is over.
#   DEPLOYBOT_HEALTH   the command, shell text
#   DEPLOYBOT_WITHIN   seconds
set -eu
if [ -d "$DEPLOYBOT_DIRECTORY/current/" ]; then
    cd "$DEPLOYBOT_DIRECTORY/current/"
fi
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
