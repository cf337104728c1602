#!/bin/sh
# Logs in to registries with the logins of this job, and prints for each one a line: the host, and `ok` or the reason.
#   DEPLOYBOT_REGISTRIES   hosts, one a line
#
# The logins are in this job's own Docker configuration, which is deleted with it. Nothing else is changed.
set -eu
umask 077

say() { printf '%s\n' "$*"; }

# If a registry refuses the login, Docker would ask for another one. So it complains about the terminal last.
reason() {
    grep -v -e '^Authenticating' -e 'TTY' -e '^$' | tail -n 1 | sed 's/^Login did not succeed, error: //' | cut -c 1-300
}

ask() {
    if said=$(docker login "$1" </dev/null 2>&1); then
        say "$1 ok"
    else
        why=$(say "$said" | reason)
        say "$1 ${why:-$(say "$said" | tail -n 1)}"
    fi
}

# Side by side: one that hangs takes no time from the others.
say "$DEPLOYBOT_REGISTRIES" | {
    while read -r host; do
        [ -z "$host" ] || ask "$host" &
    done
    wait
}
