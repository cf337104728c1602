#!/bin/sh
# Prints the end of a unit's journal, times in UTC, and with DEPLOYBOT_FOLLOW=1 everything that is written afterwards.
# Takes DEPLOYBOT_UNIT, DEPLOYBOT_LINES and DEPLOYBOT_SINCE (seconds since the epoch, or nothing). If there is no log,
# prints the reason after a byte 034, with exit code 66.
set -eu

command -v journalctl >/dev/null || {
    printf '\034this server has no journalctl\n'
    exit 66
}
set -- --unit "$DEPLOYBOT_UNIT" --lines "$DEPLOYBOT_LINES" --no-pager --quiet --utc --output short-iso-precise
[ -z "${DEPLOYBOT_SINCE:-}" ] || set -- "$@" --since "@$DEPLOYBOT_SINCE"
[ -z "${DEPLOYBOT_FOLLOW:-}" ] || set -- "$@" --follow
exec journalctl "$@"
