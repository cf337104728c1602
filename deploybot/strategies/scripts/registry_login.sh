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

say "$DEPLOYBOT_REGISTRIES" | while read -r host; do
    [ -n "$host" ] || continue
    if said=$(docker login "$host" </dev/null 2>&1); then
        say "$host ok"
    else
        why=$(say "$said" | reason)
        say "$host ${why:-$(say "$said" | tail -n 1)}"
    fi
done
