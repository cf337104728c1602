#!/bin/sh
# Prints the end of a log file, and with DEPLOYBOT_FOLLOW=1 everything that is written to it afterwards.
# Takes DEPLOYBOT_FILE and DEPLOYBOT_LINES. If there is no log, prints the reason after a byte 034, with exit code 66.
set -eu

fail() {
    printf '\034%s\n' "$1"
    exit 66
}

[ -e "$DEPLOYBOT_FILE" ] || fail "there is no file $DEPLOYBOT_FILE that the user $(id -un) can see"
[ ! -d "$DEPLOYBOT_FILE" ] || fail "$DEPLOYBOT_FILE is a folder"
[ -r "$DEPLOYBOT_FILE" ] || fail "the user $(id -un) may not read $DEPLOYBOT_FILE"

if [ -n "${DEPLOYBOT_FOLLOW:-}" ]; then
    # -F goes on with the new file after a rotation.
    exec tail -n "$DEPLOYBOT_LINES" -F "$DEPLOYBOT_FILE"
fi
exec tail -n "$DEPLOYBOT_LINES" "$DEPLOYBOT_FILE"
