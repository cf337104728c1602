#!/bin/sh
# The end of a unit's journal, times in UTC, and with DEPLOYBOT_FOLLOW=1 what is written to it from then on.
# Takes DEPLOYBOT_UNIT, DEPLOYBOT_LINES and DEPLOYBOT_SINCE (seconds since the epoch, or nothing). Why there is no log
# is told behind a byte 034, with exit code 66.
set -eu

command -v journalctl >/dev/null || {
    printf '\034this server has no journalctl\n'
    exit 66
}
set -- --unit "$DEPLOYBOT_UNIT" --lines "$DEPLOYBOT_LINES" --no-pager --quiet --utc --output short-iso-precise
[ -z "${DEPLOYBOT_SINCE:-}" ] || set -- "$@" --since "@$DEPLOYBOT_SINCE"
[ -z "${DEPLOYBOT_FOLLOW:-}" ] || set -- "$@" --follow
exec journalctl "$@"
