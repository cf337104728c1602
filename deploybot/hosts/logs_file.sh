#!/bin/sh
# The end of a log file, and what is written to it from then on.
# Takes DEPLOYBOT_FILE, DEPLOYBOT_LINES, and to follow DEPLOYBOT_FOLLOW=1 and DEPLOYBOT_SECONDS.
set -eu

fail() {
    printf '%s\n' "$1" >&2
    exit 66
}

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

[ -e "$DEPLOYBOT_FILE" ] || fail "there is no file $DEPLOYBOT_FILE"
[ -f "$DEPLOYBOT_FILE" ] || [ -p "$DEPLOYBOT_FILE" ] || fail "$DEPLOYBOT_FILE is no file"
[ -r "$DEPLOYBOT_FILE" ] || fail "the user $(id -un) may not read $DEPLOYBOT_FILE"

if [ -n "${DEPLOYBOT_FOLLOW:-}" ]; then
    # -F goes on with the new file after a rotation.
    follow tail -n "$DEPLOYBOT_LINES" -F "$DEPLOYBOT_FILE"
else
    exec tail -n "$DEPLOYBOT_LINES" "$DEPLOYBOT_FILE"
fi
