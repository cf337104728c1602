#!/bin/sh
# Deletes what deploybot made for releases that are no longer needed, and nothing else.
#   DEPLOYBOT_DIRECTORY
#   DEPLOYBOT_KEEP      releases, each a full commit, with a suffix if it has images, one a line
#   DEPLOYBOT_IMAGES    the repository below which this app's images are tagged, or nothing
#   DEPLOYBOT_IMAGES_KEEP   tags there that stay, one a line
set -eu

say() { printf '%s\n' "$*"; }

newline='
'
cd -- "$DEPLOYBOT_DIRECTORY"
current=$(readlink current || :)
switching=$(cat .deploybot/switching 2>/dev/null || :)
needed="$newline$DEPLOYBOT_KEEP$newline${current##*/}$newline$switching$newline"
code=0

is_needed() {
    case $needed in *"$newline$1$newline"*) return 0 ;; esac
    return 1
}

# Releases of one commit differ in their suffix.
is_commit_needed() {
    case $needed in *"$newline$1$newline"* | *"$newline$1-"*) return 0 ;; esac
    return 1
}

# Whether a script checks a release out there now: the name ends with its process. Plans are made at any time.
is_checked_out() {
    process=${1##*.tmp-}
    kill -0 "${process%.index}" 2>/dev/null
}

remove() {
    # Without its name it is no release any more, however far the deletion comes.
    gone=${1%.tmp-*}.tmp-gone
    [ "$1" = "$gone" ] || mv -- "$1" "$gone"
    rm -rf -- "$gone" 2>/dev/null || {
        say "$gone holds files of another user, which could not be deleted: delete it by hand" >&2
        code=1
    }
}

prune_releases() {
    for path in releases/*; do
        name=${path##*/}
        case $name in
        '*') ;;
        *.tmp-*) is_checked_out "$name" || remove "$path" ;;
        *)
            if [ -d ".deploybot/releases/$name" ] && ! is_needed "$name"; then
                remove "$path"
                rm -rf -- ".deploybot/releases/$name"
                say "deleted $path"
            fi
            ;;
        esac
    done
    for path in .deploybot/releases/*; do
        # Containers that ran before the bot came were made again with the file in there, and are known by it.
        [ "${path##*/}" != before ] || continue
        is_needed "${path##*/}" || [ -e "releases/${path##*/}" ] || rm -rf -- "$path"
    done
    [ ! -d incoming ] || find incoming -type f -mtime +1 -exec rm -f -- {} +
}

plain_git() {
    HOME="$DEPLOYBOT_DIRECTORY/incoming" XDG_CONFIG_HOME="$DEPLOYBOT_DIRECTORY/incoming" \
        GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 git --git-dir="$DEPLOYBOT_DIRECTORY/repo.git" "$@"
}

prune_commits() {
    for ref in $(plain_git for-each-ref --format='%(refname)' refs/deploybot/); do
        is_commit_needed "${ref##*/}" || plain_git update-ref -d "$ref"
    done
    # Refs stay loose files, and the memory is bounded: servers are small.
    plain_git -c gc.autoDetach=false -c gc.packRefs=false -c pack.threads=1 -c pack.windowMemory=32m \
        gc --auto --quiet || code=1
}

# An image without a name of its own, which only its digests hold, goes with the last name that was ours.
remove_image() {
    id=$(docker image inspect --format '{{.Id}}' "$1")
    docker image rm "$1" >/dev/null 2>&1 || return 0
    say "deleted image $1"
    names=$(docker image inspect --format '{{join .RepoTags " "}}' "$id" 2>/dev/null) || return 0
    [ -z "$names" ] || return 0
    for digest in $(docker image inspect --format '{{join .RepoDigests " "}}' "$id" 2>/dev/null); do
        docker image rm "$digest" >/dev/null 2>&1 || :
    done
}

prune_images() {
    for image in $(docker image ls --filter "reference=$DEPLOYBOT_IMAGES/*" --format '{{.Repository}}:{{.Tag}}'); do
        case "$newline$DEPLOYBOT_IMAGES_KEEP$newline" in
        *"$newline$image$newline"*) ;;
        *) remove_image "$image" ;;
        esac
    done
}

# Mounted content is named in the override files of the releases that stay. Its mark stays as long as it does.
prune_mounts() {
    for path in .deploybot/mounts/*; do
        [ -e "$path" ] || continue
        content=${path%.made}
        grep -qsF "/.deploybot/mounts/${content##*/}" .deploybot/releases/*/override.json || is_mounted "$content" ||
            rm -rf -- "$path" || code=1
    done
}

# Docker's filter for mounts does not find a file in the folder.
is_mounted() {
    command -v docker >/dev/null || return 1
    sources=$(docker ps -a --no-trunc --format '{{.Mounts}}') || return 0
    case $sources in *"/$1"*) return 0 ;; esac
    return 1
}

prune_releases
if [ -e repo.git/HEAD ] && command -v git >/dev/null; then
    prune_commits
fi
if [ -n "$DEPLOYBOT_IMAGES" ]; then
    prune_images
    prune_mounts
fi
exit "$code"
