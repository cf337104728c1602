#!/bin/sh
# Puts the files of a release into releases/<release>, all of them or none.
#   DEPLOYBOT_DIRECTORY, DEPLOYBOT_RELEASE, DEPLOYBOT_COMMIT
#   DEPLOYBOT_FROM      bundle, archive, or have: repo.git holds the commit already. An artifact comes as an archive
#   DEPLOYBOT_UPLOAD    the uploaded bundle or archive
#   DEPLOYBOT_BUILT     no: a build step follows and completes the release
#   DEPLOYBOT_AGAIN     yes: put the files there again, also where they are there already, unless they are in use
#   DEPLOYBOT_SHARED_FROM, DEPLOYBOT_SHARED_PATHS   a folder and paths in it, one a line, to link besides shared/
#
# Marks of a release are files in .deploybot/releases/<release>: a release's own folder holds nothing of ours.
set -eu
umask 022

say() { printf '%s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

# git with no configuration of the server or its user, which could run filters or refuse.
plain_git() {
    HOME="$DEPLOYBOT_DIRECTORY/incoming" XDG_CONFIG_HOME="$DEPLOYBOT_DIRECTORY/incoming" \
        GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 \
        git --git-dir="$DEPLOYBOT_DIRECTORY/repo.git" "$@"
}

take_bundle() {
    if [ ! -e repo.git/HEAD ]; then
        # Only git from 2.29 on knows the option, which repositories with short ids do not need.
        case ${#DEPLOYBOT_COMMIT} in 64) format=--object-format=sha256 ;; *) format= ;; esac
        plain_git init --quiet --bare ${format:+"$format"}
    fi
    ref=refs/deploybot/$DEPLOYBOT_COMMIT
    plain_git fetch --quiet --no-tags -- "$DEPLOYBOT_UPLOAD" "+$ref:$ref" ||
        fail "The bundle does not match $DEPLOYBOT_DIRECTORY/repo.git. If that is damaged, delete it and deploy again."
}

check_out() {
    GIT_INDEX_FILE="$DEPLOYBOT_DIRECTORY/$new.index"
    export GIT_INDEX_FILE
    plain_git read-tree "$DEPLOYBOT_COMMIT"
    plain_git --work-tree="$DEPLOYBOT_DIRECTORY/$new" checkout-index --all --force
    rm -f -- "$GIT_INDEX_FILE"
}

# Whether a folder holds nothing but the files that keep it in git.
hollow() {
    [ -z "$(find "$1" ! -type d ! -name .gitkeep ! -name .gitignore ! -name .keep | head -n 1)" ]
}

# Links what is in shared/ into the release, in place of what the repository has there;
# folders that both have are gone through.
link_shared() {
    for entry in "shared/$1"* "shared/$1".[!.]* "shared/$1"..?*; do
        [ -e "$entry" ] || [ -L "$entry" ] || continue
        name=${entry#shared/}
        if [ -d "$entry" ] && [ -d "$new/$name" ] && [ ! -L "$new/$name" ] && ! hollow "$new/$name"; then
            (link_shared "$name/")
        else
            link_one "$DEPLOYBOT_DIRECTORY/shared/$name" "$name"
        fi
    done
}

# link_one TARGET NAME
link_one() {
    [ "$(readlink -- "$new/$2" 2>/dev/null)" != "$1" ] || return 0
    rm -rf -- "${new:?}/$2"
    ln -s -- "$1" "$new/$2"
    say "linked $2 to $1"
}

# Makes the folders above a path in the release. A link of the repository among them would lead out of the release.
make_parents() {
    case $1 in */*) ;; *) return 0 ;; esac
    above=
    rest=${1%/*}/
    while [ -n "$rest" ]; do
        above=$above${rest%%/*}
        rest=${rest#*/}
        [ -d "$new/$above" ] && [ ! -L "$new/$above" ] || { rm -rf -- "${new:?}/$above"; mkdir -- "$new/$above"; }
        above=$above/
    done
}

# Whether a path is surely not there. A folder that this user may not enter hides what is in it.
is_missing() {
    [ ! -e "$1" ] && [ ! -L "$1" ] || return 1
    near=${1%/*}
    while [ -n "$near" ] && [ ! -e "$near" ]; do near=${near%/*}; done
    [ -x "${near:-/}" ]
}

link_listed() {
    [ -n "${DEPLOYBOT_SHARED_FROM:-}" ] || return 0
    say "$DEPLOYBOT_SHARED_PATHS" | while IFS= read -r name; do
        [ -n "$name" ] || continue
        ! is_missing "$DEPLOYBOT_SHARED_FROM/$name" ||
            fail "There is no $DEPLOYBOT_SHARED_FROM/$name to share. Create it, or remove $name from shared.paths."
        make_parents "$name"
        link_one "$DEPLOYBOT_SHARED_FROM/$name" "$name"
    done
}

# Frees a disk that filled up on the way. git does not always report that it did.
ended() {
    left=$(df -Pk . | awk 'NR == 2 { print $4 }')
    rm -rf -- "$new" "$new.index"
    if [ "$1" -ne 0 ] && [ "${left:-999999}" -lt 1024 ]; then
        say "No space left: $left kB were free for $DEPLOYBOT_DIRECTORY." >&2
    fi
}

tell_gaps() {
    if [ -e "$new/.gitmodules" ]; then
        say "note: the repository has submodules, which stay empty"
    fi
    # Where a link leads is not known.
    attributes=$new/.gitattributes
    if [ -f "$attributes" ] && [ ! -L "$attributes" ] && grep -q 'filter=lfs' "$attributes"; then
        say "note: files kept in Git LFS are pointers here, not their content"
    fi
}

# Whether the release's folder is in use: then it is complete, and replacing it would take down what serves.
is_used() {
    link=$(readlink current || :)
    [ "${link##*/}" = "$DEPLOYBOT_RELEASE" ] ||
        [ "$(cat .deploybot/switching 2>/dev/null || :)" = "$DEPLOYBOT_RELEASE" ]
}

is_here() { [ -f "$marks/fetched" ] || [ -f "$marks/complete" ]; }

cd -- "$DEPLOYBOT_DIRECTORY"
release=releases/$DEPLOYBOT_RELEASE
marks=.deploybot/$release
if [ -d "$release" ] && { is_used || { [ "${DEPLOYBOT_AGAIN:-no}" != yes ] && is_here; }; }; then
    new=$release
    # What was put into shared/ since counts, too.
    link_shared ""
    link_listed
    # An attempt that was interrupted may have deleted the marks. What is newer than `fetched` was not shipped: it keeps
    # the time at which the files came, and is not made up if that is unknown.
    mkdir -p -- "$marks"
    [ "$DEPLOYBOT_BUILT" = no ] || [ -e "$marks/complete" ] || : >"$marks/complete"
    say "$DEPLOYBOT_RELEASE is here already"
    exit 0
fi
mkdir -p releases incoming .deploybot/releases
rm -rf -- "$release".tmp-* "$marks"
new=$release.tmp-$$
trap 'ended $?' EXIT
trap 'exit 1' HUP INT TERM
mkdir -- "$new"

case $DEPLOYBOT_FROM in
bundle) take_bundle; check_out ;;
have) check_out ;;
archive) tar -xzf "$DEPLOYBOT_UPLOAD" -C "$new" ;;
*) fail "DEPLOYBOT_FROM is $DEPLOYBOT_FROM" ;;
esac
link_shared ""
link_listed
tell_gaps
# Not all systems can write out one folder only.
sync -f "$new" 2>/dev/null || sync
if [ -e "$release" ] || [ -L "$release" ]; then
    mv -- "$release" "$release.tmp-old"
fi
# Clean-up deletes only releases that have a folder for their marks.
mkdir -p -- "$marks"
mv -- "$new" "$release"
rm -rf -- "$release".tmp-*
: >"$marks/fetched"
[ "$DEPLOYBOT_BUILT" = no ] || : >"$marks/complete"
# The step that completes the release deletes the upload: until then it need not be sent again.
[ -z "$DEPLOYBOT_UPLOAD" ] || [ "$DEPLOYBOT_BUILT" = no ] || rm -f -- "$DEPLOYBOT_UPLOAD"
say "$DEPLOYBOT_RELEASE is in $DEPLOYBOT_DIRECTORY/$release"
