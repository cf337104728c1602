#!/bin/sh
# Prints facts about a server as NAME=VALUE records, each between two NULs. Read from stdin by sh, after assignments.
#   PROBE_DIRECTORY   an app's directory, or empty
#   PROBE_DOCKER      yes: ask Docker and Compose for their versions, which takes them a while; engine: Docker alone
#   PROBE_TIME        no: leave out how the server's clock is set
#   PROBE_PORTS       no: leave out the listening sockets, which are printed if there is an Engine
#   PROBE_DOCKER_ROOT where Docker keeps its data, if that is known; empty: it is not looked at
# docker_way.sh is put before this.
set -u

newline='
'
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

# How the server's clock is set: by TZ of this session, by the link /etc/localtime, or by /etc/timezone.
tell_time() {
    zone=${TZ:-}
    if [ -z "$zone" ]; then
        link=$(readlink /etc/localtime 2>/dev/null)
        case $link in *zoneinfo/*) zone=${link##*zoneinfo/} ;; esac
    fi
    if [ -z "$zone" ] && [ -r /etc/timezone ]; then read -r zone </etc/timezone || :; fi
    tell time_zone "${zone#:}"
    tell time_offset "$(date '+%z %Z' 2>/dev/null)"
}

tell_tools() {
    for tool in setsid mkfifo sha256sum ln tar gzip head tail cat mv rm ls find grep sed awk tr sleep; do
        found "$tool" || tell tool_missing "$tool"
    done
    if found git; then tell git yes; fi
}

# Sets `engine` to the address that the `docker` of this user has for its Engine; empty where it has none.
find_engine() {
    engine=${DOCKER_HOST:-}
    if [ -z "$engine" ] && [ -n "${bot_context#default}" ]; then
        name=$(printf %s "$bot_context" | sha256sum)
        meta=${DOCKER_CONFIG:-$HOME/.docker}/contexts/meta/${name%% *}/meta.json
        engine=$(sed -n 's/.*"Host" *: *"\([^"]*\)".*/\1/p' "$meta" 2>/dev/null)
    elif [ -z "$engine" ] && { found docker || [ -e /var/run/docker.sock ]; }; then
        engine=unix:///var/run/docker.sock
    fi
    tell docker_host "$engine"
}

# Whether it is worth the while to ask the Engine: its socket is there and ours to use, or it is not on a socket.
may_have_engine() {
    case $engine in
    unix://*) [ -w "${engine#unix://}" ] ;;
    *) [ -n "$engine" ] ;;
    esac
}

tell_docker() {
    if found docker; then
        if may_have_engine; then
            info=$(soon docker info --format '{{.ServerVersion}} {{.DockerRootDir}}' 2>/dev/null </dev/null)
            tell docker "${info%% *}"
            PROBE_DOCKER_ROOT=${info#* }
            tell docker_root "$PROBE_DOCKER_ROOT"
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

# Sets `there` to a path, or to the nearest one above it that is there.
find_nearest() {
    there=$1
    while [ ! -e "$there" ]; do
        there=${there%/*}
        there=${there:-/}
    done
}

# Sets `size` and `free` of the disk of $2, by df with the option $1.
measure() {
    size='' used='' free=''
    # POSIX: size, used and available come before a per cent, or a dash; names around them may have blanks.
    set -f
    measured=$(df "$1" -- "$2" 2>/dev/null)
    for word in ${measured#*"$newline"}; do
        case $word in *% | -) [ -z "$used" ] || break ;; esac
        size=$used used=$free free=$word
    done
    set +f
}

tell_room() {
    find_nearest "$PROBE_DIRECTORY"
    if [ -d "$there" ] && [ -w "$there" ] && [ -x "$there" ]; then tell writable yes; else tell writable no; fi
    measure -Pk "$there"
    tell disk_total_kib "$size"
    tell disk_free_kib "$free"
}

# Of Docker's own disk. What is below its folder may be seen by root alone; what is free there by everybody.
tell_docker_room() {
    find_nearest "$PROBE_DOCKER_ROOT"
    measure -Pk "$there"
    tell docker_free_kib "$free"
    measure -Pi "$there"
    # Some file systems make them as they need them, and count none.
    [ "${size:-0}" = 0 ] || tell docker_inodes "$free"
}

# The listening sockets of this server, from proc_net_tcp(5): hexadecimal addresses and ports.
tell_ports() {
    for protocol in tcp udp; do
        tell "$protocol" "$(sed -n 's/^ *[0-9]*: \([0-9A-F]*:[0-9A-F]*\) 0*:0000 0[A7] .*/\1/p' \
            "/proc/net/$protocol" "/proc/net/${protocol}6" 2>/dev/null | head -c 8000)"
    done
}

tell_app() {
    cd -- "$PROBE_DIRECTORY" 2>/dev/null || return
    if [ -L current ]; then
        tell current "$(readlink current)"
    elif [ -d current ]; then
        tell current_is_folder yes
    fi
    if is_file .deploybot/switching; then tell_first switching .deploybot/switching; fi
    for mark in .deploybot/releases/*/complete; do
        is_file "$mark" || continue
        name=${mark%/complete}
        name=${name##*/}
        if [ -d "releases/$name" ] && [ ! -L "releases/$name" ]; then tell release "$name"; fi
    done
    [ ! -L current ] || tell_files
    tell_legacy
    if [ -d repo.git ] && found git; then tell_commits; fi
}

# Whether a person changed the Compose files of an app without a repository since the last `up`: see compose_up.sh.
tell_files() {
    marks=$(readlink current)
    marks=.deploybot/releases/${marks##*/}
    if is_file "$marks/sums" && is_file "$marks/watched"; then
        now=$(while IFS= read -r file; do
            [ ! -f "$file" ] || printf '%s\n' "$(head -c 1048576 -- "$file" 2>/dev/null | sha256sum) $file"
        done <"$marks/watched")
        [ "$now" = "$(cat "$marks/sums")" ] || tell files_changed yes
    fi
}

# What the version before kept where the files of releases are. A release could ship these, so they prove nothing.
tell_legacy() {
    if is_file switching; then tell_first legacy_switching switching; fi
    for mark in releases/*/.deploybot-complete; do
        is_file "$mark" || continue
        name=${mark%/*}
        tell legacy "${name#releases/}"
    done
}

# A link could lead anywhere.
is_file() { [ -f "$1" ] && [ ! -L "$1" ]; }

tell_first() { { read -r line && tell "$1" "$line"; } <"$2"; }

# git-for-each-ref(1) would print the same, but starting it takes as long as all the rest of this script.
tell_commits() {
    for ref in repo.git/refs/deploybot/*; do
        [ ! -f "$ref" ] || { read -r commit && tell have "$commit"; } <"$ref"
    done
    [ ! -f repo.git/packed-refs ] || while read -r commit ref; do
        case $ref in refs/deploybot/*) tell have "$commit" ;; esac
    done <repo.git/packed-refs
}

# Output of the login shell comes before this.
printf '\0'
[ "${1:-}" = deploybot ] || tell command lost
tell_system
[ "${PROBE_TIME:-}" = no ] || tell_time
tell_tools
find_engine
[ "$PROBE_DOCKER" = no ] || tell_docker
tell_room
[ -z "$PROBE_DOCKER_ROOT" ] || tell_docker_room
[ -z "$PROBE_DIRECTORY" ] || tell_app
case ${PROBE_PORTS:-yes}$PROBE_DIRECTORY$engine in yes/*unix://*) tell_ports ;; esac
tell end end
