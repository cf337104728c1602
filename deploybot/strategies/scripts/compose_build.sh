#!/bin/sh
# Makes the images of a release with Docker Compose, 2 or 1, and completes the release.
#   DEPLOYBOT_DIRECTORY, DEPLOYBOT_RELEASE, DEPLOYBOT_PREVIOUS
#   DEPLOYBOT_RESTORE          yes: this release is put back
#   DEPLOYBOT_AGAIN            yes: take what the images' tags mean now, though the release is here already
#   DEPLOYBOT_COMPOSE          `docker compose` or `docker-compose`
#   DEPLOYBOT_COMPOSE_MAJOR    1 or 2
#   DEPLOYBOT_COMPOSE_FILES    paths in the release, one a line; nothing for Compose's own names
#   DEPLOYBOT_COMPOSE_SOURCE   build or images
#   DEPLOYBOT_IMAGES           the repository below which images are tagged for this app
#   DEPLOYBOT_PINNED           images that belong to the release, one a line: service and REPOSITORY@sha256:DIGEST
#   COMPOSE_PROJECT_NAME, and where they are set COMPOSE_PROFILES, COMPOSE_ENV_FILES
#
# What the release pins is pulled by exactly that digest, unless it is here. Every service's image gets a tag of ours,
# named by the image's id, and deploybot.images.yaml pins the services to those tags: going back to a release needs no
# build and no registry, and what did not change is not restarted.
set -eu
umask 022

PINS=deploybot.images.yaml
PINS_BEFORE=deploybot.images.before.yaml
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
        [ ! -e "$file" ] || { say "$file"; return; }
    done
}

# The names and their order are those of Compose 2.
find_files() {
    files=$DEPLOYBOT_COMPOSE_FILES
    if [ "$DEPLOYBOT_RESTORE" = yes ] && [ -e .deploybot-compose ]; then
        # What bot.toml says may not fit an older release.
        files=$(cat .deploybot-compose)
        files=${files%"$NEWLINE$PINS"}
    elif [ -z "$files" ]; then
        files=$(first_of compose.yaml compose.yml docker-compose.yml docker-compose.yaml)
        [ -n "$files" ] || fail "There is no compose.yaml in this release. Set compose.files to where it is."
        over=$(first_of compose.override.yml compose.override.yaml \
            docker-compose.override.yml docker-compose.override.yaml)
        files=$files${over:+$NEWLINE$over}
    fi
    COMPOSE_FILE=$files
    export COMPOSE_FILE
}

# Compose's own normal form, where each key of a service stands alone on a line, four blanks in: a line a service
# with its name, its image or -, whether it is built, and its pull policy or -.
list_services() {
    printf '%s\n' "$resolved" | awk -v wanted=",${COMPOSE_PROFILES:-}," '
        function bare(text) { gsub(/^["\047]|["\047]$/, "", text); return text }
        function emit() { if (name != "" && (!profiled || active)) print name, image, built, policy; name = "" }
        /^[^ ]/ { emit(); inside = ($0 == "services:") }
        !inside { next }
        /^  [^ ].*:$/ {
            emit()
            name = bare(substr($0, 3, length($0) - 3))
            image = "-"; built = "no"; policy = "-"; profiled = 0; active = 0; listing = 0
        }
        /^    [^ -]/ { listing = /^    profiles:/; if (listing) profiled = 1 }
        /^    image: / { image = bare(substr($0, 12)) }
        /^    build:/ { built = "yes" }
        /^    pull_policy: / { policy = bare(substr($0, 18)) }
        listing && /^ +- / { sub(/^ +- /, ""); if (index(wanted, "," bare($0) ",")) active = 1 }
        END { emit() }
    '
}

# Folders of the release that would be mounted into containers: Compose 2 writes `source: PATH`, 1 `- PATH:TARGET:rw`.
list_mounts() {
    printf '%s\n' "$resolved" | sed -n \
        -e "s/^ *source: [\"']\{0,1\}\(\/.*[^\"']\)[\"']\{0,1\}\$/\1/p" \
        -e "s/^ *- [\"']\{0,1\}\(\/[^:]*\):\/.*/\1/p" |
        while IFS= read -r path; do
            case $path in "$PWD"/* | "$(pwd -P)"/*) say "$path" ;; esac
        done
}

# Whether a folder holds nothing but the files that keep it in git.
hollow() {
    [ -z "$(find "$1/" ! -type d ! -name .gitkeep ! -name .gitignore ! -name .keep 2>/dev/null | head -n 1)" ]
}

# What is mounted but not in the repository would start empty with each release, and go with it.
check_mounts() {
    list_mounts | while IFS= read -r path; do
        if [ -L "$path" ] || [ -f "$path" ] || [ -S "$path" ] || ! hollow "$path"; then continue; fi
        name=${path#"$PWD"/}
        fail "The Compose file mounts ./$name, which is not in the repository, so each release would start with its own
empty one. Make $DEPLOYBOT_DIRECTORY/shared/$name, which is then linked into every release, or use a named volume."
    done
}

repository() {
    lower=$(printf '%s' "$1" | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9]\{1,\}/-/g; s/^-//; s/-$//')
    say "$DEPLOYBOT_IMAGES/$lower"
}

# The pinned image and the release it came with, of a service in an earlier pins file.
pinned_before() {
    [ -e "$1" ] || return 0
    awk -v service="  \"$2\":" '
        /^  [^ ]/ { here = ($0 == service) }
        here && /^    image: / { image = $2 }
        here && /deploybot\.release:/ { print image, $2 }
    ' "$1" | tr -d '"'
}

# The image that the release pins a service to; nothing where it pins none.
pinned_to() {
    say "$DEPLOYBOT_PINNED" | while read -r service reference; do
        [ "$service" != "$1" ] || say "$reference"
    done
}

# pin SERVICE IMAGE [the image that the release pins it to]
pin() {
    service=$1
    image=${3:-$2}
    id=$(docker image inspect --format '{{.Id}}' "$image") || fail "Service $service has no image $image."
    hex=${id#sha256:}
    tag=$(repository "$service"):$(printf '%.12s' "$hex")
    docker tag "$image" "$tag"
    digest=$(docker image inspect --format '{{join .RepoDigests " "}}' "$id")
    digest=${3:-${digest%% *}}
    since=$DEPLOYBOT_RELEASE
    before=$(pinned_before "$earlier" "$service")
    [ "${before% *}" != "$tag" ] || since=${before##* }
    say "  \"$service\":"
    say "    image: \"$tag\""
    say "    labels:"
    say "      deploybot.release: \"$since\""
    say "      deploybot.image: \"${digest:-$id}\""
    # A tag of ours is in no registry.
    [ "$DEPLOYBOT_COMPOSE_MAJOR" = 1 ] || say "    pull_policy: never"
}

write_pins() {
    earlier=../$DEPLOYBOT_PREVIOUS/$PINS
    {
        say "# Made by deploybot: the images of this release."
        say "services:"
        say "$services" | while read -r service image _; do
            pin "$service" "$image" "$(pinned_to "$service")"
        done
    } >"$PINS.tmp"
    [ ! -e "$PINS" ] || cp "$PINS" "$PINS_BEFORE"
    mv -f "$PINS.tmp" "$PINS"
    say "$files$NEWLINE$PINS" >.deploybot-compose
}

list_pinned() {
    sed -n 's/^    image: "\(.*\)"$/\1/p' "$PINS"
}

pinned_are_here() {
    [ -e "$PINS" ] || return 1
    # shellcheck disable=SC2046 # names of images have no blanks
    docker image inspect --format '{{.Id}}' $(list_pinned) >/dev/null 2>&1
}

# One build at a time on a server: builds of other apps may use the same names, and small servers have little memory.
take_turn() {
    command -v flock >/dev/null && [ -d "${HOME:-}/.deploybot" ] || return 0
    exec 9>"$HOME/.deploybot/build.lock"
    flock -n 9 || { say "waiting for another build on this server"; flock 9; }
}

has_service() {
    say "$services" | cut -d ' ' -f 1 | grep -qxF -e "$1"
}

check_pinned() {
    say "$DEPLOYBOT_PINNED" | while read -r service _; do
        [ -z "$service" ] || has_service "$service" ||
            fail "The release has an image for the service $service, which its Compose files do not have or do not run."
    done
}

# A digest means the same image for ever: what is here is not asked for again.
pull_pinned() {
    say "$DEPLOYBOT_PINNED" | while read -r service reference; do
        [ -n "$service" ] || continue
        docker image inspect "$reference" >/dev/null 2>&1 || docker pull "$reference" </dev/null ||
            fail "$reference cannot be pulled here. Does the registry want a login? Then, as $(id -un) on this server:
docker login ${reference%%/*}"
    done
}

# is_pulled IMAGE BUILT POLICY
is_pulled() {
    case $DEPLOYBOT_COMPOSE_SOURCE:$2:$3 in
    build:yes:*) return 1 ;;
    images:*:never | images:*:missing | images:*:if_not_present | build:*) ;;
    *) return 0 ;;
    esac
    ! docker image inspect "$1" >/dev/null 2>&1
}

pull_images() {
    missing=$(say "$services" | while read -r service image built policy; do
        if [ -z "$(pinned_to "$service")" ] && is_pulled "$image" "$built" "$policy"; then
            [ "$image" != - ] ||
                fail "Service $service has no image to pull. Give it one, or set compose.source to build."
            say "$service"
        fi
    done)
    # shellcheck disable=SC2086 # names of services have no blanks
    [ -z "$missing" ] || compose pull $missing
}

# Services that are built and have no name for their image get one, so that it need not be guessed.
name_builds() {
    say "services:"
    say "$services" | while read -r service image built _; do
        number=$((${number:-0} + 1))
        if [ "$image$built" = -yes ] && [ -z "$(pinned_to "$service")" ]; then
            say "  \"$service\":"
            say "    image: \"$(repository "$service"):build-$number\""
        fi
    done
}

# Services that are built, but those that the release has an image for.
list_built() {
    say "$services" | while read -r service _ built _; do
        [ "$built" != yes ] || [ -n "$(pinned_to "$service")" ] || say "$service"
    done
}

make_images() {
    case $DEPLOYBOT_RELEASE:$DEPLOYBOT_PINNED in
    *-*:) fail "The images of $DEPLOYBOT_RELEASE are gone, and which they were is not known. Deploy another release." ;;
    esac
    resolved=$(compose config)
    services=$(list_services)
    [ -n "$services" ] || fail "The Compose files have no service that would run."
    check_mounts
    check_pinned
    if [ "$DEPLOYBOT_COMPOSE_SOURCE" = build ]; then
        name_builds >"$PINS.tmp"
        if grep -q image: "$PINS.tmp"; then
            COMPOSE_FILE=$files$NEWLINE$PINS.tmp
            resolved=$(compose config)
            services=$(list_services)
        fi
        take_turn
        # What only uses a built image's name finds it after the build.
        builds=$(list_built)
        # shellcheck disable=SC2086 # names of services have no blanks
        [ -z "$builds" ] || compose build $builds
    fi
    pull_pinned
    pull_images
    COMPOSE_FILE=$files
    write_pins
    say "$services" | while read -r _ image _; do
        case $image in "$DEPLOYBOT_IMAGES"/*:build-*) docker image rm "$image" >/dev/null ;; esac
    done
}

has_pins_for() {
    for service in $(say "$1" | cut -d ' ' -f 1); do
        grep -qxF "  \"$service\":" "$PINS" || return 1
    done
}

# Whether the services are pinned to the content that the release pins them to, wherever it comes from.
has_pinned_images() {
    say "$DEPLOYBOT_PINNED" | while read -r service reference; do
        [ -n "$service" ] || continue
        there=$(awk -v service="  \"$service\":" '
            /^  [^ ]/ { here = ($0 == service) }
            here && /deploybot\.image:/ { print $2 }
        ' "$PINS" | tr -d '"')
        [ "${there##*@}" = "${reference##*@}" ] || exit 1
    done
}

restore_pins() {
    if [ "$DEPLOYBOT_PREVIOUS" = "$DEPLOYBOT_RELEASE" ] && [ -e "$PINS_BEFORE" ]; then
        mv -f "$PINS_BEFORE" "$PINS"
    fi
}

is_built() {
    [ -e .deploybot-complete ] && [ "$DEPLOYBOT_AGAIN" != yes ] && pinned_are_here || return 1
    [ "$DEPLOYBOT_RESTORE" != yes ] || return 0
    resolved=$(compose config) || exit 1
    has_pins_for "$(list_services)" && has_pinned_images || return 1
    say "$files$NEWLINE$PINS" >.deploybot-compose
}

cd -- "$DEPLOYBOT_DIRECTORY/releases/$DEPLOYBOT_RELEASE"
if [ "$DEPLOYBOT_RESTORE" = yes ]; then
    restore_pins
else
    rm -f "$PINS_BEFORE"
fi
find_files
if is_built; then
    say "built before"
    exit 0
fi
make_images
COMPOSE_FILE=$files$NEWLINE$PINS
compose config -q
# Not all systems can write out one folder only.
sync -f . 2>/dev/null || sync
: >.deploybot-complete
