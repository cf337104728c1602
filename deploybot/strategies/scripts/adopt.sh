#!/bin/sh
# Takes over releases that the version before made. Its marks were in the folders of the releases.
#   DEPLOYBOT_DIRECTORY
#   DEPLOYBOT_ACTION     show: print what each has; mark: make our marks for them
#   DEPLOYBOT_RELEASES   releases whose repository has no file by the names of those marks, one a line
#   DEPLOYBOT_OTHERS     more releases that the bot made here, one a line: clean-up may delete them
#
# `show` prints a line `release NAME` for each, then `compose LINE` and `pins LINE` for the lines of its two files.
set -eu
umask 022

LONGEST=65536

say() { printf '%s\n' "$*"; }
is_file() { [ -f "$1" ] && [ ! -L "$1" ]; }
is_whole() { [ ! -L "releases/$1" ] && is_file "releases/$1/.deploybot-complete"; }

# lines PREFIX FILE
lines() {
    ! is_file "$2" || head -c "$LONGEST" "$2" | sed "s/^/$1 /"
}

show() {
    is_whole "$1" || return 0
    say "release $1"
    lines compose "releases/$1/.deploybot-compose"
    lines pins "releases/$1/deploybot.images.yaml"
}

# All marks of a release are there at once, or none.
mark() {
    is_whole "$1" && [ ! -e ".deploybot/releases/$1" ] || return 0
    draft=.deploybot/releases/$1.tmp-adopt
    rm -rf -- "$draft"
    mkdir -- "$draft"
    compose=releases/$1/.deploybot-compose
    if is_file "$compose"; then
        head -c "$LONGEST" "$compose" | grep -vxF deploybot.images.yaml >"$draft/files" || rm -f -- "$draft/files"
    fi
    # What is newer than this was not shipped.
    touch -r "releases/$1/.deploybot-complete" -- "$draft/fetched"
    : >"$draft/complete"
    mv -- "$draft" ".deploybot/releases/$1"
    say "took over $1"
}

# each FUNCTION LIST
each() {
    say "$2" | while IFS= read -r release; do
        [ -z "$release" ] || "$1" "$release"
    done
}

own() {
    [ ! -d "releases/$1" ] || [ -L "releases/$1" ] || mkdir -p -- ".deploybot/releases/$1"
}

cd -- "$DEPLOYBOT_DIRECTORY"
case $DEPLOYBOT_ACTION in
show) each show "$DEPLOYBOT_RELEASES" ;;
mark)
    mkdir -p .deploybot/releases
    each mark "$DEPLOYBOT_RELEASES"
    each own "$DEPLOYBOT_OTHERS"
    if is_file switching && [ ! -e .deploybot/switching ]; then
        mv -- switching .deploybot/switching
    fi
    ;;
*)
    say "DEPLOYBOT_ACTION is $DEPLOYBOT_ACTION" >&2
    exit 1
    ;;
esac
