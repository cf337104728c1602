#!/bin/sh
# Makes sure that exactly the recorded images of a release are here; pulls by digest what is not. Ends with 3 where an
# image is neither here nor in a registry.
#   DEPLOYBOT_DIRECTORY, DEPLOYBOT_RELEASE
#   DEPLOYBOT_IMAGES    one a line: service, image id, digest (REPOSITORY@sha256:… or -), tag of ours
set -eu
umask 022

say() { printf '%s\n' "$*"; }

have() { docker image inspect --format '{{.Id}}' "$1" 2>/dev/null; }

# Whether Docker itself reports that the image is gone: a Docker that does not answer may still have it.
is_gone() {
    ! said=$(docker image inspect "$1" 2>&1 >/dev/null) || return 1
    case $said in *'o such image'* | *'not known'*) return 0 ;; esac
    return 1
}

# find SERVICE ID DIGEST TAG
find_image() {
    # A tag that is right is left alone: on a full disk, Docker cannot write it again.
    if [ "$(have "$4")" = "$2" ]; then
        say "$1: found as $4"
    elif [ "$(have "$2")" = "$2" ]; then
        docker tag "$2" "$4"
    elif [ "$3" != - ]; then
        say "$1: $2 is not here any more, pulling $3"
        docker pull "$3" </dev/null || return 1
        docker tag "$3" "$4"
    else
        is_gone "$2" && gone="$gone $1"
        return 1
    fi
}

missing=
gone=
set -f
IFS='
'
for line in $DEPLOYBOT_IMAGES; do
    IFS=' '
    # shellcheck disable=SC2086 # none of the four has a blank
    find_image $line || missing="$missing ${line%% *}"
done
if [ -n "$gone" ]; then
    say "The images of$gone that this release ran are not on this server any more and cannot be pulled." >&2
    exit 3
fi
if [ -n "$missing" ]; then
    say "The images of$missing that this release ran cannot be found or pulled now." >&2
    exit 1
fi
[ -n "$DEPLOYBOT_RELEASE" ] || exit 0
marks=$DEPLOYBOT_DIRECTORY/.deploybot/releases/$DEPLOYBOT_RELEASE
mkdir -p -- "$marks"
: >"$marks/complete"
rm -f -- "$DEPLOYBOT_DIRECTORY/incoming/$DEPLOYBOT_RELEASE".*
