#!/bin/sh
# Tells the addresses of a name as this machine sees them, one a line, between two NULs. Read from stdin by sh.
#   RESOLVE_NAME   the name
set -u

by_system() {
    command -v getent >/dev/null 2>&1 || return
    found=$(getent ahosts "$RESOLVE_NAME" 2>/dev/null) || found=$(getent hosts "$RESOLVE_NAME" 2>/dev/null)
    printf '%s\n' "$found" | while read -r address _; do
        [ -z "$address" ] || printf '%s\n' "$address"
    done
}

# Where nothing asks the system's own resolver (busybox alone): its file, and then DNS.
by_file() {
    [ -r /etc/hosts ] || return
    while read -r address names; do
        set -f
        for name in $names; do
            case $name in '#'*) break ;; esac
            [ "$name" != "$RESOLVE_NAME" ] || printf '%s\n' "$address"
        done
        set +f
    done </etc/hosts
}

# Addresses before the name are the name server's own.
by_dns() {
    command -v nslookup >/dev/null 2>&1 || return
    answered=no
    nslookup "$RESOLVE_NAME" 2>/dev/null | while read -r word rest; do
        case $word in
        Name:) answered=yes ;;
        Address*)
            set -f
            [ "$answered" = no ] || printf '%s\n' $rest
            set +f
            ;;
        esac
    done
}

# Output of the login shell comes before this.
printf '\0'
addresses=$(by_system)
[ -n "$addresses" ] || addresses=$(by_file)
[ -n "$addresses" ] || addresses=$(by_dns)
printf '%s\0' "$addresses"
