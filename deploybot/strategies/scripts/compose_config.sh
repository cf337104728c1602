#!/bin/sh
# Prints the configuration that Compose reads from the files of a release. It changes nothing.
#   DEPLOYBOT_DIRECTORY, DEPLOYBOT_RELEASE
#   DEPLOYBOT_FILES            the folder with the Compose files, if that is not the release's folder
#   DEPLOYBOT_COMPOSE          `docker compose` or `docker-compose`
#   DEPLOYBOT_COMPOSE_MAJOR    its major version; 1 knows no JSON
#   DEPLOYBOT_COMPOSE_FILES    paths in the release, one a line; nothing for Compose's own rules
#   DEPLOYBOT_RUNNING_FOLDERS  where containers of the project come from, one a line: their label
#                              com.docker.compose.project.working_dir, and after a tab the one with config_files
#   DEPLOYBOT_KEPT             hashes of configurations that the bot kept a copy of (compose_up.sh), one a line
#   COMPOSE_PROJECT_NAME, and where they are set COMPOSE_PROFILES, COMPOSE_ENV_FILES
#
# Prints NAME=VALUE, each ended by a zero byte:
#   FOLDER          the folder of the Compose files without links
#   FOUND           names of Compose files in it that Compose looks for without being given any, one a line
#   NAMED           the name of the project in the server's own files, as the last of them has it
#   ENV             the lines of the env file that set variables of Compose
#   CONFIG, ERRORS, CODE     what `config` printed on both ways, and its exit code
#   RAW             where that failed, each file that Compose was given, as it is
#   and for each running folder RUNNING with its path, RUNNING_CONFIG, RUNNING_ERRORS, RUNNING_CODE, RUNNING_GONE with
#   the files of its label that are not there, one a line, and, where Compose knows no JSON, RUNNING_HASHES with what
#   `config --hash` printed
#   and for each copy that is there KEPT with its hash, KEPT_PROFILES, KEPT_CONFIG, KEPT_ERRORS, KEPT_CODE
#   END             nothing was cut off
set -eu
umask 022

NEWLINE='
'
TAB=$(printf '\t')
MOST_BYTES=16777216
COMPOSE_ANSI=never
DOCKER_CLI_HINTS=false
export COMPOSE_ANSI DOCKER_CLI_HINTS

say() { printf '%s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

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

knows_json() { [ "$DEPLOYBOT_COMPOSE_MAJOR" != 1 ]; }

# ask NAME: what `config` prints, as NAMECONFIG, NAMEERRORS and NAMECODE; more arguments go before `config`.
ask() {
    name=$1
    # That of the last question would count as this one's.
    code=
    shift
    set -- "$@" config
    if knows_json; then set -- "$@" --format json; fi
    printf '%sCONFIG=' "$name"
    { errors=$({ compose "$@" >&3 || code=$?; say "${code:-0}"; } 2>&1 | tail -c 65536); } 3>&1
    code=${errors##*"$NEWLINE"}
    errors=${errors%"$code"}
    printf '\0%sERRORS=%s\0%sCODE=%s\0' "$name" "${errors%"$NEWLINE"}" "$name" "$code"
}

# The names and their order are those of Compose 2.
find_files() {
    for file in compose.yaml compose.yml docker-compose.yml docker-compose.yaml compose.override.yml \
        compose.override.yaml docker-compose.override.yml docker-compose.override.yaml; do
        [ ! -e "$file" ] || say "$file"
    done
}

list_env() {
    for file in $(say "${COMPOSE_ENV_FILES:-.env}" | tr ',' ' '); do
        [ -f "$file" ] || continue
        grep -E '^[[:space:]]*(export[[:space:]]+)?COMPOSE_[A-Z_]+[[:space:]]*=' "$file" | head -n 50
    done
}

# The name that Compose uses in the server's own folder by itself, if a file has one.
find_name() {
    say "${COMPOSE_FILE:-$found}" | while IFS= read -r file; do
        [ ! -f "$file" ] || head -c 1048576 -- "$file" | sed -n 's/^name:[[:space:]]*//p'
    done | tail -n 1 | head -c 200
}

first_of() { say "$found" | grep -m 1 "$@"; }

# Sets COMPOSE_FILE unless somebody else does: docker-compose 1 has other names, and Compose looks in folders above.
choose_files() {
    files=$DEPLOYBOT_COMPOSE_FILES
    if [ -z "$files" ] && [ -z "${COMPOSE_FILE:-}" ] && ! say "$env_lines" | grep -q 'COMPOSE_FILE[[:space:]]*='; then
        files=$(first_of -v override) || return 0
        over=$(first_of override) && files=$files$NEWLINE$over
    fi
    [ -n "$files" ] || return 0
    COMPOSE_FILE=$files
    COMPOSE_PATH_SEPARATOR=$NEWLINE
    export COMPOSE_FILE COMPOSE_PATH_SEPARATOR
}

# The files that containers were made with, where they are still there; else those of the release.
files_there() {
    files=$(say "$1" | tr ',' '\n')
    if [ -n "$files" ] && say "$files" | while IFS= read -r file; do [ -e "$file" ] || exit 1; done; then
        say "$files"
    else
        say "${COMPOSE_FILE:-}" | while IFS= read -r file; do
            case $file in '' | /*) say "$file" ;; *) say "$release/$file" ;; esac
        done
    fi
}

files_gone() {
    say "$1" | tr ',' '\n' | while IFS= read -r file; do
        [ -z "$file" ] || [ -e "$file" ] || say "$file"
    done
}

# ask_there FOLDER FILES: how the same project looks in another folder, with the env file that is there.
ask_there() (
    printf 'RUNNING=%s\0RUNNING_FILES=%s\0' "$1" "$2"
    cd -- "$1" 2>/dev/null || {
        printf 'RUNNING_CONFIG=\0RUNNING_ERRORS=%s\0RUNNING_CODE=1\0' "The folder cannot be entered."
        exit 0
    }
    printf 'RUNNING_GONE=%s\0' "$(files_gone "$2")"
    COMPOSE_FILE=$(files_there "$2")
    COMPOSE_PATH_SEPARATOR=$NEWLINE
    export COMPOSE_FILE COMPOSE_PATH_SEPARATOR
    [ -n "$COMPOSE_FILE" ] || unset COMPOSE_FILE COMPOSE_PATH_SEPARATOR
    [ -e "${COMPOSE_ENV_FILES:-.}" ] || unset COMPOSE_ENV_FILES
    ask RUNNING_ --project-directory "$1"
    knows_json || printf 'RUNNING_HASHES=%s\0' "$(compose --project-directory "$1" config --hash '*' 2>/dev/null)"
)

# ask_kept HASH: how Compose reads a copy, whatever the files and the env file are now.
ask_kept() (
    kept=$DEPLOYBOT_DIRECTORY/.deploybot/configurations
    [ -f "$kept/$1.json" ] && [ -f "$kept/none.env" ] || exit 0
    COMPOSE_PROFILES=$(cat "$kept/$1.profiles" 2>/dev/null || :)
    COMPOSE_FILE=$kept/$1.json
    COMPOSE_ENV_FILES=$kept/none.env
    export COMPOSE_PROFILES COMPOSE_FILE COMPOSE_ENV_FILES
    printf 'KEPT=%s\0KEPT_PROFILES=%s\0' "$1" "$COMPOSE_PROFILES"
    ask KEPT_ --project-directory "$DEPLOYBOT_FILES"
)

list_raw() {
    say "${COMPOSE_FILE:-}" | while IFS= read -r file; do
        [ ! -f "$file" ] || { printf 'RAW='; head -c 1048576 "$file" | tr -d '\000'; printf '\0'; }
    done
}

ask_all() {
    printf 'FOLDER=%s\0FOUND=%s\0ENV=%s\0' "$release" "$found" "$env_lines"
    [ -z "${DEPLOYBOT_FILES:-}" ] || printf 'NAMED=%s\0' "$(find_name)"
    ask ''
    [ "$code" = 0 ] || list_raw
    say "${DEPLOYBOT_RUNNING_FOLDERS:-}" | while IFS= read -r line; do
        [ -n "$line" ] || continue
        rest=${line#*"$TAB"}
        [ "$rest" != "$line" ] || rest=
        ask_there "${line%%"$TAB"*}" "$rest"
    done
    say "${DEPLOYBOT_KEPT:-}" | while IFS= read -r line; do
        [ -z "$line" ] || ask_kept "$line"
    done
    printf 'END=\0'
}

if [ -n "${DEPLOYBOT_FILES:-}" ]; then
    cd -- "$DEPLOYBOT_FILES" 2>/dev/null || fail "The folder $DEPLOYBOT_FILES cannot be entered."
else
    cd -- "$DEPLOYBOT_DIRECTORY/releases/$DEPLOYBOT_RELEASE" ||
        fail "The files of $DEPLOYBOT_RELEASE are not in $DEPLOYBOT_DIRECTORY. Deploy it again."
fi
release=$(pwd -P)
found=$(find_files)
env_lines=$(list_env)
choose_files
ask_all | head -c "$MOST_BYTES"
