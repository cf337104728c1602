#!/bin/sh
# The end of a unit's journal, and what is written to it from then on, with times in UTC.
# Takes DEPLOYBOT_UNIT, DEPLOYBOT_LINES, DEPLOYBOT_SINCE (seconds since the epoch, or nothing), and to follow
# DEPLOYBOT_FOLLOW=1 and DEPLOYBOT_SECONDS.
set -eu

# While it is followed a NUL goes out every two seconds. When writing it fails nobody listens any more.
follow() {
    "$@" &
    reader=$!
    trap 'kill "$reader" 2>/dev/null || :' EXIT
    trap 'exit 1' HUP INT TERM
    trap '' PIPE
    left=$DEPLOYBOT_SECONDS
    while [ "$left" -gt 0 ] && kill -0 "$reader" 2>/dev/null && printf '\000' 2>/dev/null; do
        sleep 2
        left=$((left - 2))
    done
}

command -v journalctl >/dev/null || {
    echo "this server has no journalctl" >&2
    exit 69
}
set -- --unit "$DEPLOYBOT_UNIT" --lines "$DEPLOYBOT_LINES" --no-pager --quiet --utc --output short-iso-precise
[ -z "${DEPLOYBOT_SINCE:-}" ] || set -- "$@" --since "@$DEPLOYBOT_SINCE"

if [ -n "${DEPLOYBOT_FOLLOW:-}" ]; then
    follow journalctl "$@" --follow
else
    exec journalctl "$@"
fi
