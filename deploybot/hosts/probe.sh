#!/bin/sh
# Tells what a server is, as NAME=VALUE records, each between two NULs. Read from stdin by sh, after assignments.
#   PROBE_DIRECTORY   an app's directory, or empty
#   PROBE_DOCKER      yes: ask Docker and Compose for their versions, which takes them a while
set -u

tell() { printf '%s=%s\0' "$1" "$2"; }
found() { command -v "$1" >/dev/null 2>&1; }

# A Docker that hangs must not hang the probe with it.
soon() {
    if found timeout; then timeout 5 "$@"; else "$@"; fi
}

tell_system() {
    tell home "${HOME:-/}"
    tell user "${USER:-${LOGNAME:-$(id -un 2>/dev/null)}}"
    while read -r name uid _; do
        case $name in Uid:)
            tell uid "$uid"
            break
            ;;
        esac
    done </proc/self/status
    for file in /etc/os-release /usr/lib/os-release; do
        [ -r "$file" ] || continue
        tell system "$(. "$file" && printf '%s' "${PRETTY_NAME:-}")"
        break
    done
    { read -r boot_id && tell boot_id "$boot_id"; } </proc/sys/kernel/random/boot_id
    while read -r name size _; do
        case $name in MemAvailable:)
            tell memory_available_kib "$size"
            break
            ;;
        esac
    done </proc/meminfo
}

tell_tools() {
    for tool in setsid mkfifo sha256sum ln tar gzip head tail cat mv rm ls find grep sed awk tr sleep; do
        found "$tool" || tell tool_missing "$tool"
    done
    if found git; then tell git yes; fi
}

# Whether it is worth the while to ask for an Engine: its socket is there and ours to use, or another is configured.
may_have_engine() {
    [ -n "${DOCKER_HOST:-}${DOCKER_CONTEXT:-}" ] || [ -w /var/run/docker.sock ] ||
        grep -qs currentContext "${DOCKER_CONFIG:-$HOME/.docker}/config.json"
}

tell_docker() {
    if found docker; then
        if may_have_engine; then
            tell docker "$(soon docker version --format '{{.Server.Version}}' 2>/dev/null </dev/null)"
        fi
        [ "$PROBE_DOCKER" = yes ] || return
        version=$(soon docker compose version --short 2>/dev/null </dev/null) && tell compose "docker compose" &&
            tell compose_version "$version" && return
    fi
    if [ "$PROBE_DOCKER" = yes ] && found docker-compose; then
        tell compose docker-compose
        tell compose_version "$(soon docker-compose version --short 2>/dev/null </dev/null)"
    fi
}

# Of the directory, or of the nearest one above it that is there.
tell_room() {
    there=$PROBE_DIRECTORY
    while [ ! -e "$there" ]; do
        there=${there%/*}
        there=${there:-/}
    done
    if [ -d "$there" ] && [ -w "$there" ] && [ -x "$there" ]; then tell writable yes; else tell writable no; fi
    # POSIX: size, used and available stand before the first per cent sign; names around them may have blanks.
    size='' used='' free=''
    set -f
    for word in $(df -Pk -- "$there" 2>/dev/null); do
        case $word in *%) break ;; esac
        size=$used used=$free free=$word
    done
    set +f
    tell disk_total_kib "$size"
    tell disk_free_kib "$free"
}

tell_app() {
    cd -- "$PROBE_DIRECTORY" 2>/dev/null || return
    if [ -L current ]; then tell current "$(readlink current)"; fi
    if [ -f switching ]; then { read -r commit && tell switching "$commit"; } <switching; fi
    for complete in releases/*/.deploybot-complete; do
        [ -e "$complete" ] || continue
        complete=${complete%/*}
        tell release "${complete#releases/}"
    done
    if [ -d repo.git ] && found git; then tell_commits; fi
}

# git-for-each-ref(1) would tell the same; starting it takes as long as all the rest of this.
tell_commits() {
    for ref in repo.git/refs/deploybot/*; do
        [ ! -f "$ref" ] || { read -r commit && tell have "$commit"; } <"$ref"
    done
    [ ! -f repo.git/packed-refs ] || while read -r commit ref; do
        case $ref in refs/deploybot/*) tell have "$commit" ;; esac
    done <repo.git/packed-refs
}

# What a login shell prints stands before this.
printf '\0'
[ "${1:-}" = deploybot ] || tell command lost
tell_system
tell_tools
[ "$PROBE_DOCKER" = no ] || tell_docker
tell_room
[ -z "$PROBE_DIRECTORY" ] || tell_app
tell end end
