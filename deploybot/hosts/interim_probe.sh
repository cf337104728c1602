#!/bin/sh
# Says what this server is, and what an app's directory on it holds: lines of NAME=VALUE.
#   DEPLOYBOT_DIRECTORY   the app's directory, or nothing
#   DEPLOYBOT_TOOLS       yes: also ask for the versions of Docker and Compose, which takes a while
set -u

say() { printf '%s=%s\n' "$1" "$2"; }

about_system() {
    say home "$HOME"
    say user "$(id -un 2>/dev/null)"
    say uid "$(id -u)"
    name=
    [ ! -r /etc/os-release ] || name=$(. /etc/os-release && printf '%s' "${PRETTY_NAME:-}")
    say system "${name:-$(uname -s)}"
    read -r boot </proc/sys/kernel/random/boot_id
    say boot_id "$boot"
    while read -r key value _; do
        [ "$key" != MemAvailable: ] || say memory_available "$((value * 1024))"
    done </proc/meminfo
    ! command -v git >/dev/null || say git yes
    for tool in setsid mkfifo sha256sum ln tar gzip find head tail; do
        command -v "$tool" >/dev/null || say missing "$tool"
    done
}

about_docker() {
    say asked yes
    version=$(docker version --format '{{.Server.Version}}' 2>/dev/null) && say docker "$version"
    if version=$(docker compose version --short 2>/dev/null); then
        say compose "docker compose"
        say compose_version "$version"
    elif version=$(docker-compose version --short 2>/dev/null); then
        say compose docker-compose
        say compose_version "$version"
    fi
}

about_disk() {
    there=$1
    while [ ! -d "$there" ]; do
        there=${there%/*}
        [ -n "$there" ] || there=/
    done
    [ -w "$there" ] || say writable no
    df -kP "$there" | {
        read -r _
        read -r _ total _ free _
        say disk_total "$((total * 1024))"
        say disk_free "$((free * 1024))"
    }
}

about_app() {
    cd "$DEPLOYBOT_DIRECTORY" 2>/dev/null || return 0
    link=$(readlink current 2>/dev/null) && say current "${link##*/}"
    [ ! -r switching ] || { read -r commit <switching && say switching "$commit"; }
    for mark in releases/*/.deploybot-complete; do
        [ -e "$mark" ] || continue
        commit=${mark%/.deploybot-complete}
        say release "${commit##*/}"
    done
    for ref in repo.git/refs/deploybot/*; do
        [ ! -e "$ref" ] || say have "${ref##*/}"
    done
    [ ! -r repo.git/packed-refs ] || while read -r _ ref; do
        case $ref in refs/deploybot/*) say have "${ref##*/}" ;; esac
    done <repo.git/packed-refs
}

about_system
[ "$DEPLOYBOT_TOOLS" != yes ] || about_docker
about_disk "${DEPLOYBOT_DIRECTORY:-$HOME}"
[ -z "$DEPLOYBOT_DIRECTORY" ] || about_app
say end yes
