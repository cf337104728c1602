#!/bin/sh
# Puts the files of a release into releases/<release>, all of them or none.
#   DEPLOYBOT_DIRECTORY, DEPLOYBOT_RELEASE, DEPLOYBOT_COMMIT
#   DEPLOYBOT_FROM      bundle, archive, or have: repo.git holds the commit already
#   DEPLOYBOT_UPLOAD    the uploaded bundle or archive
#   DEPLOYBOT_BUILT     no: a build step follows and completes the release
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
        fail "The bundle does not fit $DEPLOYBOT_DIRECTORY/repo.git. If that is damaged, delete it and deploy again."
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

# Links what lies in shared/ into the release, in place of what the repository has there;
# folders that both have are gone through.
link_shared() {
    for entry in "shared/$1"* "shared/$1".[!.]* "shared/$1"..?*; do
        [ -e "$entry" ] || [ -L "$entry" ] || continue
        name=${entry#shared/}
        if [ -d "$entry" ] && [ -d "$new/$name" ] && [ ! -L "$new/$name" ] && ! hollow "$new/$name"; then
            (link_shared "$name/")
        else
            rm -rf -- "${new:?}/$name"
            ln -s -- "$DEPLOYBOT_DIRECTORY/shared/$name" "$new/$name"
            say "linked $name to shared/$name"
        fi
    done
}

# A disk that filled up on the way should not stay full; git does not always say that it did.
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
    if [ -e "$new/.gitattributes" ] && grep -q 'filter=lfs' "$new/.gitattributes"; then
        say "note: files kept in Git LFS are pointers here, not their content"
    fi
}

cd -- "$DEPLOYBOT_DIRECTORY"
release=releases/$DEPLOYBOT_RELEASE
if [ -e "$release/.deploybot-complete" ]; then
    say "$DEPLOYBOT_RELEASE is here already"
    exit 0
fi
mkdir -p releases incoming
rm -rf -- "$release".tmp-*
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
tell_gaps
: >"$new/.deploybot-release"
if [ "$DEPLOYBOT_BUILT" != no ]; then
    # Not all systems can write out one folder only.
    sync -f "$new" 2>/dev/null || sync
    : >"$new/.deploybot-complete"
fi
if [ -e "$release" ]; then
    mv -- "$release" "$release.tmp-old"
fi
mv -- "$new" "$release"
rm -rf -- "$release".tmp-*
[ -z "$DEPLOYBOT_UPLOAD" ] || rm -f -- "$DEPLOYBOT_UPLOAD"
say "$DEPLOYBOT_RELEASE is in $DEPLOYBOT_DIRECTORY/$release"
