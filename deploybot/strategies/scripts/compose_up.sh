#!/bin/sh
# Starts a built release with Docker Compose, 2 or 1, and waits until it is up; or restarts it.
#   DEPLOYBOT_DIRECTORY, DEPLOYBOT_RELEASE
#   DEPLOYBOT_ACTION           up or restart
#   DEPLOYBOT_COMPOSE          `docker compose` or `docker-compose`
#   DEPLOYBOT_COMPOSE_WAITS    yes: it knows --wait and --wait-timeout
#   DEPLOYBOT_COMPOSE_ORDER    services to bring up one after the other, one a line
#   DEPLOYBOT_COMPOSE_WAIT     seconds for containers to come up
#   COMPOSE_PROJECT_NAME, and where they are set COMPOSE_PROFILES, COMPOSE_ENV_FILES
set -eu
umask 022

PINS=deploybot.images.yaml
COMPOSE_PATH_SEPARATOR='
'
COMPOSE_ANSI=never
BUILDKIT_PROGRESS=plain
DOCKER_CLI_HINTS=false
export COMPOSE_PATH_SEPARATOR COMPOSE_ANSI BUILDKIT_PROGRESS DOCKER_CLI_HINTS

say() { printf '%s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

# A loop that feeds from a pipe may be around it.
compose() {
    if [ -n "${COMPOSE_ENV_FILES:-}" ]; then
        set -- --env-file "$COMPOSE_ENV_FILES" "$@"
    fi
    case $DEPLOYBOT_COMPOSE in
    'docker compose') docker compose "$@" </dev/null ;;
    *) docker-compose "$@" </dev/null ;;
    esac
}

list_pinned_services() {
    sed -n 's/^  "\(.*\)":$/\1/p' "$PINS"
}

# Fills `seen` with a line a container of the pinned services: service, state, exit code, health or -, when it was
# started, its id, how often the Engine restarted it. What follows runs where `set -e` does not count, so each failure
# has to be looked for.
look() {
    ids=$(docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
        --filter label=com.docker.compose.oneoff=False) || { ill="the Docker Engine does not answer:"; return 1; }
    seen=
    [ -n "$ids" ] || return 0
    format='{{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}} {{.State.ExitCode}}'
    format="$format {{if .State.Health}}{{.State.Health.Status}}{{else}}-{{end}} {{.State.StartedAt}}"
    format="$format {{.ID}} {{.RestartCount}}"
    # Names of Docker's own fields: for others it falls back to raw JSON, in which a missing Health is an error.
    # One of them may just have gone: the others are told all the same.
    # shellcheck disable=SC2086 # ids have no blanks
    seen=$(docker inspect --format "$format" $ids 2>/dev/null | awk -v names="$(list_pinned_services | tr '\n' ' ')" '
        BEGIN { count = split(names, list, " "); for (n = 1; n <= count; n++) wanted[list[n]] = 1 }
        $1 in wanted
    ')
}

# What is wrong with containers, a line each: service, words, a colon, id.
list_ill() {
    say "$seen" | awk '
        $4 == "unhealthy" { print $1 " is unhealthy:" $6; next }
        $2 == "exited" && $3 != 0 { print $1 " exited with code " $3 ":" $6 }
        $2 == "dead" || $2 == "paused" { print $1 " is " $2 ":" $6 }
    '
}

list_coming() {
    say "$seen" | awk '
        $2 == "restarting" { print $1 " keeps restarting:" $6; next }
        $4 == "starting" { print $1 " is not healthy yet:" $6 }
    '
}

# Containers that the Engine restarted since it was looked at (the earlier `seen`), whatever they do at this moment.
list_restarted() {
    printf '%s\n=\n%s\n' "$1" "$seen" | awk '
        $1 == "=" { now = 1; next }
        !now { started[$6] = $5; next }
        $7 > 0 && started[$6] != $5 { print $1 " keeps restarting:" $6 }
    '
}

# Waits until all containers run and are healthy, or have ended well. Otherwise `ill` says what is wrong.
settle() {
    end=$(($(date +%s) + DEPLOYBOT_COMPOSE_WAIT))
    while :; do
        look || return 1
        ill=$(list_ill)
        [ -z "$ill" ] || return 1
        ill=$(list_coming)
        [ -n "$ill" ] || return 0
        [ "$(date +%s)" -lt "$end" ] || return 1
        sleep 1
    done
}

# Containers that were started since and have no health check: they must at least stay up for a moment.
watch_new() {
    say "$seen" | awk '$2 == "running" && $4 == "-"' | grep -qvxF -e "$1" || return 0
    up=$seen
    sleep 2
    settle || return 1
    ill=$(list_restarted "$up")
    [ -z "$ill" ]
}

# People see the end of the log: what each container that is not well said last, then what is wrong with them all.
tell_ill() {
    if [ -z "$ill" ] && look; then
        ill=$({ list_ill; list_coming; list_restarted "$before"; } | awk -F: '!told[$2]++')
    fi
    [ -n "$ill" ] || return 0
    docker ps -a --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" --format '{{.Names}}: {{.Status}}'
    checks='{{if .State.Health}}{{range .State.Health.Log}}{{.Output}}{{"\n"}}{{end}}{{end}}'
    say "$ill" | while IFS=: read -r words id; do
        [ -n "$id" ] || continue
        name=${words%% *}
        docker logs --tail 30 "$id" 2>&1 | sed "s/^/$name | /"
        docker inspect --format "$checks" "$id" | grep . | tail -n 1 | sed "s/^/$name, health check | /"
    done
    say "$ill" | sed 's/:[0-9a-f]*$//' >&2
}

# Compose's `up`, whose output is also kept; its exit code.
run_up() {
    {
        code=0
        compose up -d --no-build "$@" 2>&1 || code=$?
        say "$code" >.deploybot-code
    } | tee .deploybot-up
    return "$(cat .deploybot-code)"
}

# Brings up all services, or the ones named; 1 when they did not come up.
bring_up() {
    if [ "$DEPLOYBOT_COMPOSE_WAITS" = yes ]; then
        set -- --wait --wait-timeout "$DEPLOYBOT_COMPOSE_WAIT" "$@"
    fi
    # Compose takes a container that ended well, such as a migration, for a failure, and stops waiting.
    run_up "$@" || grep -q 'exited (0)' .deploybot-up || return 1
    settle
}

bring_all_up() {
    look || return 1
    before=$seen
    for service in $DEPLOYBOT_COMPOSE_ORDER; do
        if list_pinned_services | grep -qxF -e "$service"; then
            bring_up --no-deps "$service" || return 1
        fi
    done
    bring_up --remove-orphans && watch_new "$before"
}

restart() {
    look || return 1
    before=$seen
    compose restart && settle && watch_new "$before"
}

cd -- "$DEPLOYBOT_DIRECTORY/releases/$DEPLOYBOT_RELEASE"
for file in .deploybot-complete .deploybot-compose; do
    [ -e "$file" ] || fail "$DEPLOYBOT_RELEASE is not complete in $DEPLOYBOT_DIRECTORY. Deploy it again."
done
COMPOSE_FILE=$(cat .deploybot-compose)
export COMPOSE_FILE
ill=
before=
code=0
case $DEPLOYBOT_ACTION in
up)
    say "$DEPLOYBOT_RELEASE" >../../switching.tmp
    mv -f ../../switching.tmp ../../switching
    bring_all_up || code=1
    ;;
restart) restart || code=1 ;;
*) fail "DEPLOYBOT_ACTION is $DEPLOYBOT_ACTION" ;;
esac
rm -f .deploybot-up .deploybot-code
[ "$code" -eq 0 ] || tell_ill
exit "$code"
