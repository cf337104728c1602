#!/bin/sh
# Tells the resolved configuration of a release's Compose files, as NAME=VALUE records, each ended by a NUL.
#   DEPLOYBOT_DIRECTORY, DEPLOYBOT_RELEASE
#   DEPLOYBOT_COMPOSE          `docker compose` or `docker-compose`
#   DEPLOYBOT_COMPOSE_FILES    the Compose files of bot.toml, one a line, or nothing: Compose's own rules
#   COMPOSE_PROJECT_NAME, and where they are set COMPOSE_PROFILES, COMPOSE_ENV_FILES
set -u
umask 022

COMPOSE_PATH_SEPARATOR='
'
COMPOSE_ANSI=never
DOCKER_CLI_HINTS=false
export COMPOSE_ANSI DOCKER_CLI_HINTS

tell() { printf '%s=%s\0' "$1" "$2"; }

compose() {
    if [ -n "${COMPOSE_ENV_FILES:-}" ]; then
        set -- --env-file "$COMPOSE_ENV_FILES" "$@"
    fi
    case $DEPLOYBOT_COMPOSE in
    'docker compose') docker compose "$@" </dev/null ;;
    *) docker-compose "$@" </dev/null ;;
    esac
}

first_of() {
    for file; do
        [ ! -e "$file" ] || { printf '%s\n' "$file"; return; }
    done
}

cd -- "$DEPLOYBOT_DIRECTORY/releases/$DEPLOYBOT_RELEASE" || exit 1
printf '\0'
files=$DEPLOYBOT_COMPOSE_FILES
if [ -z "$files" ]; then
    named=$(sed -n 's/^COMPOSE_FILE=//p' "${COMPOSE_ENV_FILES:-.env}" 2>/dev/null | tail -n 1 | tr ':' '\n')
    files=$named
fi
if [ -z "$files" ]; then
    files=$(first_of compose.yaml compose.yml docker-compose.yml docker-compose.yaml)
    over=$(first_of compose.override.yml compose.override.yaml docker-compose.override.yml docker-compose.override.yaml)
    files=$files${over:+$COMPOSE_PATH_SEPARATOR$over}
fi
tell files "$files"
if [ -n "$files" ]; then
    COMPOSE_FILE=$files
    export COMPOSE_FILE COMPOSE_PATH_SEPARATOR
fi
error=$(mktemp)
trap 'rm -f "$error"' EXIT
text=$(compose config --format json 2>"$error") || text=$(compose config 2>"$error")
tell code "$?"
tell config "$text"
tell error "$(cat "$error")"
tell end end
