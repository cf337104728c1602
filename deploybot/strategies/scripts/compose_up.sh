#!/bin/sh
# Brings the services of a release up with Docker Compose, 2 or 1, or restarts them. Waits for no health: the bot does.
#   DEPLOYBOT_DIRECTORY
#   DEPLOYBOT_FILES            the folder with the Compose files, if the app's own are on the server
#   DEPLOYBOT_RELEASE          nothing where what ran before the bot came is restored
#   DEPLOYBOT_ACTION           up or restart; ready: only make everything that Compose needs to run the release's images
#   DEPLOYBOT_COMPOSE          `docker compose` or `docker-compose`
#   DEPLOYBOT_COMPOSE_FILES    the Compose files, paths in DEPLOYBOT_FOLDER, one a line
#   DEPLOYBOT_FOLDER           the folder that they are in
#   DEPLOYBOT_OVERRIDE         a Compose file with images, labels and mounts, or nothing to take the one that is there
#   DEPLOYBOT_TAGS             one a line: image id and tag of ours
#   DEPLOYBOT_MOUNTS           content of the release that is mounted, one a line: hash, or HASH/NAME for a file; a
#                              blank; path in the release
#   DEPLOYBOT_REMOVE           ids of containers to remove first, one a line
#   DEPLOYBOT_UNNEEDED         images of failed releases to delete because the disk is full, one a line: id, tag of ours
#   DEPLOYBOT_REMOVE_LAST      ids of containers to remove afterwards, one a line
#   DEPLOYBOT_CHANGED          services to create or recreate, one a line
#   DEPLOYBOT_START            services to start, or to have more or fewer containers of, one a line
#   DEPLOYBOT_START_FIRST      the same for services that changed ones depend on, one a line
#   DEPLOYBOT_SCALE            SERVICE=NUMBER where the files do not say how many containers there are, one a line
#   DEPLOYBOT_RESTART          services to restart, one a line; nothing for all
#   DEPLOYBOT_COMPOSE_ORDER    services to bring up one line after the other; those of a line together
#   DEPLOYBOT_COMPOSE_WAIT     seconds for each line to become healthy, and for DEPLOYBOT_START_FIRST
#   DEPLOYBOT_KEPT             the hash of the bot's own copy of a configuration that is brought back, or nothing
#   DEPLOYBOT_KEEP_AS          the hash to keep a copy of the configuration as, where the app's own files are on the
#                              server; with DEPLOYBOT_SUM, the SHA-256 of what `config` printed when it was computed,
#                              and DEPLOYBOT_PROFILES, the profiles that it was printed with
#   DEPLOYBOT_SPARE            the hash of a copy to use if `config` prints something else by now, or nothing
#   COMPOSE_PROJECT_NAME, and where they are set COMPOSE_PROFILES, COMPOSE_ENV_FILES
#
# Services that are in none of the lists are not named to Compose, so nothing that did not change is restarted.
set -eu
umask 022

NEWLINE='
'
COMPOSE_PATH_SEPARATOR=$NEWLINE
COMPOSE_ANSI=never
BUILDKIT_PROGRESS=plain
DOCKER_CLI_HINTS=false
export COMPOSE_PATH_SEPARATOR COMPOSE_ANSI BUILDKIT_PROGRESS DOCKER_CLI_HINTS

say() { printf '%s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

# A loop that feeds from a pipe may be around it.
compose() (
    if [ -n "${COMPOSE_ENV_FILES:-}" ]; then
        set -- --env-file "$COMPOSE_ENV_FILES" "$@"
    fi
    if [ -n "${DEPLOYBOT_KEPT:-}" ]; then
        set -- --project-directory "$DEPLOYBOT_FILES" "$@"
    fi
    # Files that stay where they are read the same for each release.
    [ -z "${DEPLOYBOT_FILES:-}" ] || unset DEPLOYBOT_RELEASE DEPLOYBOT_COMMIT DEPLOYBOT_SHORT DEPLOYBOT_REF \
        DEPLOYBOT_TAG DEPLOYBOT_COMMIT_TIME DEPLOYBOT_PREVIOUS DEPLOYBOT_RESTORE
    case $DEPLOYBOT_COMPOSE in
    'docker compose') docker compose "$@" </dev/null ;;
    *) docker-compose "$@" </dev/null ;;
    esac
)

contains() {
    case "$NEWLINE$1$NEWLINE" in *"$NEWLINE$2$NEWLINE"*) return 0 ;; esac
    return 1
}

# Content that is mounted has a path named by its hash: a container that mounts the same again is not recreated.
# A folder there is the content; a file is in it under each name that it is mounted by.
keep_mounts() {
    mkdir -p "$ours/mounts"
    say "$DEPLOYBOT_MOUNTS" | while IFS= read -r line; do
        [ -n "$line" ] || continue
        # No name has a slash, so the first slash after a blank begins the path.
        keep_mount "${line%% /*}" "/${line#* /}"
    done
}

# keep_mount HASH|HASH/NAME PATH
keep_mount() {
    there=$ours/mounts/$1
    folder=$ours/mounts/${1%%/*}
    [ ! -f "$there" ] || return 0
    if [ "$there" = "$folder" ]; then
        [ ! -d "$there" ] || return 0
    elif [ -d "$there" ]; then
        # Docker makes an empty folder where a file is missing.
        rmdir -- "$there" || fail "$there must be a file, but is a folder that is not empty. Move it away."
    fi
    rm -rf -- "$folder.tmp"
    cp -a -- "$2" "$folder.tmp"
    # What is newer than this was written by a container.
    [ -d "$folder" ] || : >"$folder.made"
    [ "$there" = "$folder" ] || mkdir -p -- "$folder"
    mv -- "$folder.tmp" "$there"
}

# What `config` prints without the bot's override: all that Compose reads from the app's own files.
read_files() (
    COMPOSE_FILE=$DEPLOYBOT_COMPOSE_FILES
    export COMPOSE_FILE
    if [ "$DEPLOYBOT_COMPOSE_MAJOR" = 1 ]; then compose config; else compose config --format json; fi
)

# A person may edit the app's own files at any moment. Changes without an approval do not start.
insist_on_files() {
    [ -n "${DEPLOYBOT_SUM:-}" ] && [ -z "${DEPLOYBOT_KEPT:-}" ] || return 0
    sum=$(read_files 2>/dev/null | sha256sum)
    [ "${sum%% *}" != "$DEPLOYBOT_SUM" ] || return 0
    [ -n "${DEPLOYBOT_SPARE:-}" ] ||
        fail "The Compose files in $DEPLOYBOT_FILES changed since this was planned. Deploy again."
    say "The Compose files in $DEPLOYBOT_FILES changed just now. The bot's copy is used."
    DEPLOYBOT_KEPT=$DEPLOYBOT_SPARE
    DEPLOYBOT_COMPOSE_FILES=$ours/configurations/$DEPLOYBOT_SPARE.json
    note_way
    take_way
    note_files
}

# Notes the files and the copy that the containers come from: a restart, tasks and health commands use them, too.
note_way() {
    say "$DEPLOYBOT_COMPOSE_FILES$NEWLINE$override.json" >"$files"
    if [ -n "${DEPLOYBOT_KEPT:-}" ]; then say "$DEPLOYBOT_KEPT" >"$files.kept"; else rm -f -- "$files.kept"; fi
}

take_way() {
    COMPOSE_FILE=$(cat "$files")
    export COMPOSE_FILE
    [ -n "${DEPLOYBOT_KEPT:-}" ] || return 0
    COMPOSE_ENV_FILES=$ours/configurations/none.env
    COMPOSE_PROFILES=$(cat "$ours/configurations/$DEPLOYBOT_KEPT.profiles" 2>/dev/null || :)
    export COMPOSE_ENV_FILES COMPOSE_PROFILES
}

# A copy of the configuration, so that a way back does not depend on what the app's own files are by then.
keep_configuration() {
    [ -n "${DEPLOYBOT_KEEP_AS:-}" ] || return 0
    kept=$ours/configurations
    (
        umask 077
        mkdir -p -- "$kept"
        : >"$kept/none.env"
        read_files >"$kept/next.tmp"
        sum=$(sha256sum <"$kept/next.tmp")
        [ "${sum%% *}" = "$DEPLOYBOT_SUM" ] ||
            fail "The Compose files in $DEPLOYBOT_FILES changed since this was planned. Deploy again."
        say "${DEPLOYBOT_PROFILES:-}" >"$kept/$DEPLOYBOT_KEEP_AS.profiles"
        mv -f -- "$kept/next.tmp" "$kept/$DEPLOYBOT_KEEP_AS.json"
    ) || exit 1
    # Names are hashes. The newest are kept.
    (cd -- "$kept" && ls -t -- *.json | tail -n +101 | while IFS= read -r old; do
        rm -f -- "$old" "${old%.json}.profiles" "${old%.json}.sums" "${old%.json}.watched"
    done)
}

# Notes what the app's own files are now, which a person may change later: probe.sh compares them in the same way.
# switch.sh makes it count. What comes from a copy was noted when the copy was made; else nothing has this sum.
note_files() {
    rm -f -- "$marks/sums.next"
    [ -n "${DEPLOYBOT_FILES:-}" ] && [ -n "$DEPLOYBOT_RELEASE" ] && [ -n "$DEPLOYBOT_OVERRIDE" ] || return 0
    if [ -n "${DEPLOYBOT_KEPT:-}" ]; then
        known=$ours/configurations/$DEPLOYBOT_KEPT
        cp -- "$known.watched" "$marks/watched" 2>/dev/null || : >"$marks/watched"
        cp -- "$known.sums" "$marks/sums.next" 2>/dev/null || say 'a copy' >"$marks/sums.next"
        return 0
    fi
    {
        say "$DEPLOYBOT_COMPOSE_FILES"
        for file in compose.yaml compose.yml docker-compose.yml docker-compose.yaml compose.override.yml \
            compose.override.yaml docker-compose.override.yml docker-compose.override.yaml .env; do
            say "$file"
        done
        say "${COMPOSE_ENV_FILES:-}" | tr ',' '\n'
    } | while IFS= read -r file; do
        case $file in '') ;; /*) say "$file" ;; *) say "$DEPLOYBOT_FILES/$file" ;; esac
    done | sort -u >"$marks/watched"
    while IFS= read -r file; do
        [ ! -f "$file" ] || say "$(head -c 1048576 -- "$file" | sha256sum) $file"
    done <"$marks/watched" >"$marks/sums.tmp"
    mv -f -- "$marks/sums.tmp" "$marks/sums.next"
    [ -n "${DEPLOYBOT_KEEP_AS:-}" ] || return 0
    (
        umask 077
        cp -- "$marks/watched" "$ours/configurations/$DEPLOYBOT_KEEP_AS.watched"
        cp -- "$marks/sums.next" "$ours/configurations/$DEPLOYBOT_KEEP_AS.sums"
    )
}

mark_switching() {
    say "$DEPLOYBOT_RELEASE" >"$ours/switching.tmp"
    mv -f -- "$ours/switching.tmp" "$ours/switching"
}

tag_images() {
    say "$DEPLOYBOT_TAGS" | while read -r image name; do
        [ -n "$image" ] || continue
        # On a full disk Docker cannot write a tag again that is right already.
        [ "$(docker image inspect --format '{{.Id}}' "$name" 2>/dev/null)" != "$image" ] || continue
        docker tag "$image" "$name" || fail "There is no image $image on this server any more."
    done
}

remove() {
    say "$1" | while read -r id; do
        [ -n "$id" ] || continue
        docker container inspect "$id" >/dev/null 2>&1 || continue
        docker stop "$id" >/dev/null 2>&1 || :
        docker rm -f "$id" >/dev/null || fail "Container $id cannot be removed."
        say "removed container $id"
    done
}

# Docker writes files to start a container. On a full disk, what a failed release brought has to go first.
make_room() {
    [ -n "${DEPLOYBOT_UNNEEDED:-}" ] || return 0
    remove "$DEPLOYBOT_REMOVE"
    say "$DEPLOYBOT_UNNEEDED" | while read -r image name; do
        # Docker writes down that a tag is gone. Without room for that it forgets the tag, but keeps the image.
        gone=$(docker image rm "$name" 2>/dev/null) || :
        [ "$(docker image inspect --format '{{len .RepoTags}}' "$image" 2>/dev/null)" != 0 ] ||
            gone=$gone$(docker image rm "$image" 2>/dev/null) || :
        case $gone in
        *"Deleted: $image"*) say "deleted image $name, because the disk is full" ;;
        esac
    done
}

containers_of() {
    for service; do
        docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
            --filter "label=com.docker.compose.service=$service" --filter label=com.docker.compose.oneoff=False
    done
}

# wait_for SERVICE…: a container that was just started and has no health check counts as up.
wait_for() {
    end=$(($(date +%s) + DEPLOYBOT_COMPOSE_WAIT))
    for id in $(containers_of "$@"); do
        while state=$(docker inspect --format \
            '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}' "$id"); do
            case $state in
            'created '* | *' starting' | 'restarting '*) ;;
            *) break ;;
            esac
            [ "$(date +%s)" -lt "$end" ] || break
            sleep 1
        done
    done
}

# scale_of SERVICE…: the options for how many containers they have.
scale_of() {
    for service; do
        for line in ${DEPLOYBOT_SCALE:-}; do
            [ "${line%=*}" != "$service" ] || printf ' --scale %s' "$line"
        done
    done
}

# up SERVICE…
up() {
    insist_on_files
    changed=
    start=
    for service; do
        if contains "$DEPLOYBOT_CHANGED" "$service"; then
            changed="$changed $service"
        else
            start="$start $service"
        fi
    done
    # shellcheck disable=SC2046,SC2086 # names of services have no blanks
    [ -z "$changed" ] || compose up -d --no-build --no-deps --force-recreate $(scale_of $changed) $changed
    # shellcheck disable=SC2046,SC2086
    [ -z "$start" ] || compose up -d --no-build --no-deps --no-recreate $(scale_of $start) $start
}

# Compose keeps the order of depends_on only among the services of one call.
bring_up() {
    first=${DEPLOYBOT_START_FIRST:-}
    if [ -n "$first" ]; then
        # shellcheck disable=SC2086
        up $first
        # shellcheck disable=SC2086
        wait_for $first
    fi
    all="$DEPLOYBOT_CHANGED$NEWLINE$DEPLOYBOT_START"
    say "$DEPLOYBOT_COMPOSE_ORDER" | while IFS= read -r line; do
        together=
        for service in $line; do
            ! contains "$all" "$service" || together="$together $service"
        done
        [ -n "$together" ] || continue
        # shellcheck disable=SC2086
        up $together
        # shellcheck disable=SC2086
        wait_for $together
    done
    # shellcheck disable=SC2086
    ordered=$(printf '%s\n' $DEPLOYBOT_COMPOSE_ORDER)
    rest=
    for service in $all; do
        contains "$ordered" "$service" || rest="$rest $service"
    done
    # shellcheck disable=SC2086
    up $rest
}

ours=$DEPLOYBOT_DIRECTORY/.deploybot
marks=$ours/releases/${DEPLOYBOT_RELEASE:-before}
make_room
mkdir -p -- "$marks"
cd -- "$DEPLOYBOT_FOLDER"
# What a release runs now stays as it is while another start of it is made ready.
files=$marks/files
override=$marks/override
if [ "$DEPLOYBOT_ACTION" = ready ]; then
    files=$marks/ready
    override=$marks/ready
fi
if [ -n "$DEPLOYBOT_OVERRIDE" ]; then
    (umask 077 && say "$DEPLOYBOT_OVERRIDE" >"$override.tmp")
    mv -f -- "$override.tmp" "$override.json"
    note_way
elif [ -f "$files.kept" ]; then
    DEPLOYBOT_KEPT=$(cat "$files.kept")
fi
[ -f "$files" ] || fail "$DEPLOYBOT_RELEASE is not complete in $DEPLOYBOT_DIRECTORY. Deploy it again."
# What ran before the bot came may have run without the env file of bot.toml.
[ -n "$DEPLOYBOT_RELEASE" ] || [ -e "${COMPOSE_ENV_FILES:-.}" ] || unset COMPOSE_ENV_FILES
take_way
case $DEPLOYBOT_ACTION in
up)
    keep_configuration
    rm -f -- "$marks/ready" "$marks/ready.json" "$marks/ready.kept"
    [ -z "$DEPLOYBOT_RELEASE" ] || mark_switching
    tag_images
    keep_mounts
    note_files
    remove "$DEPLOYBOT_REMOVE"
    bring_up
    remove "$DEPLOYBOT_REMOVE_LAST"
    [ -n "$DEPLOYBOT_RELEASE" ] || rm -f -- "$ours/switching"
    ;;
ready)
    insist_on_files
    tag_images
    keep_mounts
    ;;
restart)
    # shellcheck disable=SC2086 # names of services have no blanks
    compose restart ${DEPLOYBOT_RESTART:-}
    ;;
*) fail "DEPLOYBOT_ACTION is $DEPLOYBOT_ACTION" ;;
esac
