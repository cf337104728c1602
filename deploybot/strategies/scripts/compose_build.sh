#!/bin/sh
# Makes the images of a release with Docker Compose, 2 or 1, and completes the release.
#   DEPLOYBOT_DIRECTORY, DEPLOYBOT_RELEASE
#   DEPLOYBOT_FILES            the folder with the Compose files, if that is not the release's folder
#   DEPLOYBOT_COMPOSE          `docker compose` or `docker-compose`
#   DEPLOYBOT_COMPOSE_FILES    the Compose files, paths in that folder, one a line
#   DEPLOYBOT_NAMES            a Compose file with names for images that have none, or nothing
#   DEPLOYBOT_BUILD            services to build, one a line
#   DEPLOYBOT_PULL             services whose images are pulled by their tags, one a line
#   DEPLOYBOT_PINNED           images that belong to the release, one a line: REPOSITORY@sha256:DIGEST
#   DEPLOYBOT_PULLED_FROM      the images that DEPLOYBOT_PULL names, one a line; the bot chooses registry logins by them
#   DEPLOYBOT_TAGS             what each image is called afterwards, one a line: image and tag
#   COMPOSE_PROJECT_NAME, and where they are set COMPOSE_PROFILES, COMPOSE_ENV_FILES
#
# The bot finds the images by these tags, even if their names mean other images later.
set -eu
umask 022

COMPOSE_PATH_SEPARATOR='
'
COMPOSE_ANSI=never
BUILDKIT_PROGRESS=plain
DOCKER_CLI_HINTS=false
# They hold the time of the build: in the containerd image store, an unchanged image would get a new id each time.
BUILDX_NO_DEFAULT_ATTESTATIONS=1
export COMPOSE_PATH_SEPARATOR COMPOSE_ANSI BUILDKIT_PROGRESS DOCKER_CLI_HINTS BUILDX_NO_DEFAULT_ATTESTATIONS

say() { printf '%s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

# A loop that feeds from a pipe may be around it.
compose() (
    if [ -n "${COMPOSE_ENV_FILES:-}" ]; then
        set -- --env-file "$COMPOSE_ENV_FILES" "$@"
    fi
    # Files that stay where they are read the same for each release.
    [ -z "${DEPLOYBOT_FILES:-}" ] || unset DEPLOYBOT_RELEASE DEPLOYBOT_COMMIT DEPLOYBOT_SHORT DEPLOYBOT_REF \
        DEPLOYBOT_TAG DEPLOYBOT_COMMIT_TIME DEPLOYBOT_PREVIOUS DEPLOYBOT_RESTORE
    case $DEPLOYBOT_COMPOSE in
    'docker compose') docker compose "$@" </dev/null ;;
    *) docker-compose "$@" </dev/null ;;
    esac
)

# One build at a time on a server: builds of other apps may use the same names, and small servers have little memory.
take_turn() {
    command -v flock >/dev/null && [ -d "${HOME:-}/.deploybot" ] || return 0
    exec 9>"$HOME/.deploybot/build.lock"
    flock -n 9 || { say "waiting for another build on this server"; flock 9; }
}

build() {
    [ -n "$DEPLOYBOT_BUILD" ] || return 0
    take_turn
    # shellcheck disable=SC2086 # names of services have no blanks
    compose build $DEPLOYBOT_BUILD
}

# A digest means the same image for ever: what is here is not asked for again.
pull_pinned() {
    say "$DEPLOYBOT_PINNED" | while read -r reference; do
        [ -n "$reference" ] || continue
        docker image inspect "$reference" >/dev/null 2>&1 || docker pull "$reference" </dev/null ||
            fail "$reference cannot be pulled here. Does the registry need a login? Then set user, password and
apps in [registries.NAME] of bot.toml, or, as $(id -un) on this server: docker login ${reference%%/*}"
    done
}

pull() {
    [ -n "$DEPLOYBOT_PULL" ] || return 0
    # shellcheck disable=SC2086 # names of services have no blanks
    compose pull $DEPLOYBOT_PULL
}

tag() {
    say "$DEPLOYBOT_TAGS" | while read -r image name; do
        [ -n "$image" ] || continue
        docker tag "$image" "$name" || fail "There is no image $image after the build."
    done
}

marks=$DEPLOYBOT_DIRECTORY/.deploybot/releases/$DEPLOYBOT_RELEASE
mkdir -p -- "$marks"
cd -- "${DEPLOYBOT_FILES:-$DEPLOYBOT_DIRECTORY/releases/$DEPLOYBOT_RELEASE}"
COMPOSE_FILE=$DEPLOYBOT_COMPOSE_FILES
if [ -n "$DEPLOYBOT_NAMES" ]; then
    say "$DEPLOYBOT_NAMES" >"$marks/names.json"
    COMPOSE_FILE="$COMPOSE_FILE
$marks/names.json"
fi
export COMPOSE_FILE
build
pull_pinned
pull
tag
# Not all systems can write out one folder only.
sync -f . 2>/dev/null || sync
: >"$marks/complete"
rm -f -- "$DEPLOYBOT_DIRECTORY/incoming/$DEPLOYBOT_RELEASE".*
