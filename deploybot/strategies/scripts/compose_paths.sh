#!/bin/sh
# Looks at the paths that the Compose files of a release mount or read. It changes nothing.
#   DEPLOYBOT_DIRECTORY, DEPLOYBOT_RELEASE
#   DEPLOYBOT_PATHS     absolute paths, one a line
#   DEPLOYBOT_MOUNTED   pairs of lines: an absolute path of the release, and what a container mounts in its place now
#
# Prints records of five fields, each field ended by a zero byte:
#   release PATH folder REAL ''      the release's folder
#   path    PATH KIND REAL HASH      one of DEPLOYBOT_PATHS; with HASH where it is in the release
#   mounted PATH KIND REAL HASH      what is mounted now
#   lost    PATH NAME WHY ''         a file of what is mounted now that the release does not have; WHY: new, changed
#   end     '' '' '' ''              nothing was cut off
# KIND is missing, file, folder, hollow (a folder without files of its own), link (to nothing), socket, other or hidden
# (it cannot be looked at). HASH is empty where content is too large or cannot be read. Like git it counts content,
# links and whether a file is executable, but no owners, times and empty folders.
set -eu
umask 022
LC_ALL=C
export LC_ALL

MOST_FILES=20000
MOST_KILOBYTES=2097152
MOST_LOST=50

record() { printf '%s\0%s\0%s\0%s\0%s\0' "$@"; }

# The path without links, as far as it can be looked at: `readlink -f` alone fails for what is missing or hidden.
real_path() {
    rest=
    path=$1
    until there=$(readlink -f -- "$path" 2>/dev/null) && [ -n "$there" ]; do
        [ "$path" != / ] || { printf '%s\n' "$1"; return; }
        rest=/${path##*/}$rest
        path=${path%/*}
        [ -n "$path" ] || path=/
    done
    printf '%s\n' "${there%/}$rest"
}

hollow() {
    [ -r "$1" ] && [ -x "$1" ] || return 1
    [ -z "$(find "$1/" ! -type d ! -name .gitkeep ! -name .gitignore ! -name .keep 2>/dev/null | head -n 1)" ]
}

# Whether a folder above may not be entered, so that it is unknown what is there.
hidden() {
    path=$1
    while [ "$path" != "${path%/*}" ]; do
        path=${path%/*}
        [ ! -d "${path:-/}" ] || { [ ! -x "${path:-/}" ]; return; }
    done
    return 1
}

kind_of() {
    if [ -d "$1" ]; then
        if hollow "$1"; then echo hollow; else echo folder; fi
    elif [ -f "$1" ]; then echo file
    elif [ -S "$1" ]; then echo socket
    elif [ -e "$1" ]; then echo other
    elif [ -L "$1" ]; then echo link
    elif hidden "$1"; then echo hidden
    else echo missing
    fi
}

too_large() {
    [ "$(find "$1" ! -type d 2>/dev/null | head -n "$((MOST_FILES + 1))" | wc -l)" -gt "$MOST_FILES" ] ||
        [ "$(du -sk "$1" 2>/dev/null | cut -f 1)" -gt "$MOST_KILOBYTES" ]
}

# A line a file or link below the folder that this runs in.
list_content() {
    find . -name .git -prune -o -type f ! -perm -100 -exec sha256sum -- {} + | sed 's/^/- /'
    find . -name .git -prune -o -type f -perm -100 -exec sha256sum -- {} + | sed 's/^/x /'
    find . -name .git -prune -o -type l -print | while IFS= read -r link; do
        printf 'l %s -> %s\n' "$link" "$(readlink -- "$link")"
    done
}

# Whether there is something below a folder that may not be read.
unreadable() {
    [ -n "$(find "$1" -name .git -prune -o \( -type f -o -type d \) -print 2>/dev/null | while IFS= read -r path; do
        [ -r "$path" ] && { [ ! -d "$path" ] || [ -x "$path" ]; } || { echo no; break; }
    done)" ]
}

sum() { sha256sum | cut -c 1-64; }

hash_of() {
    ! too_large "$1" && ! unreadable "$1" || return 0
    if [ -d "$1" ]; then
        cd -- "$1"
        list_content 2>/dev/null | sort | sum
    elif [ -f "$1" ]; then
        { find "$1" -perm -100 | sed 's/.*/x/'; sum <"$1"; } | sum
    fi
}

# Prints a record of a path: look WORD PATH yes|no, whether its content is hashed. Leaves the hash in `hash`.
look() {
    real=$(real_path "$2")
    kind=$(kind_of "$2")
    hash=
    case $3:$kind in yes:file | yes:folder) hash=$(hash_of "$real") ;; esac
    record "$1" "$2" "$kind" "$real" "$hash"
}

in_release() {
    case $(real_path "$1") in "$release" | "$release"/*) echo yes ;; *) echo no ;; esac
}

# The file that was made when what a path belongs to had just been put there: what is newer was not shipped.
mark_of() {
    case $1 in
    "$ours"/mounts/*)
        rest=${1#"$ours"/mounts/}
        echo "$ours/mounts/${rest%%/*}.made"
        ;;
    "$top"/releases/*)
        rest=${1#"$top"/releases/}
        mark=$ours/releases/${rest%%/*}/fetched
        [ -e "$mark" ] || mark=$top/releases/${rest%%/*}/.deploybot-complete
        echo "$mark"
        ;;
    esac
}

in_checkout() {
    command -v git >/dev/null && [ "$(checkout_git rev-parse --is-inside-work-tree 2>/dev/null)" = true ]
}

# A checkout is somebody's: nothing that its configuration names is run.
checkout_git() {
    git -c core.fsmonitor=false -c core.quotePath=off "$@"
}

# Whether a path still has the content that its name says, so that no container wrote a file there: PATH, its hash.
is_as_shipped() {
    case $1 in "$ours"/mounts/*) ;; *) return 1 ;; esac
    name=${1#"$ours"/mounts/}
    [ "${name%%/*}" = "$2" ]
}

# Names of files below the working folder that no release brought. A `?` before a name means unknown.
list_own_below() {
    mark=$(mark_of "$1")
    if [ -n "$mark" ] && [ -e "$mark" ]; then
        find . -name .git -prune -o ! -type d -newer "$mark" -print
    elif in_checkout; then
        checkout_git ls-files --others --modified 2>/dev/null
    else
        find . -name .git -prune -o ! -type d -print | sed 's/^/?/'
    fi
}

# The same for a path; a blank name is a file itself.
list_own() {
    if [ -d "$1" ]; then
        (cd -- "$1" && list_own_below "$1") | sed 's/^\(?\{0,1\}\)\.\//\1/'
    else
        mark=$(mark_of "$1")
        if [ -n "$mark" ] && [ -e "$mark" ] && [ -n "$(find "$1" -newer "$mark")" ]; then echo; else echo '?'; fi
    fi
}

# Files of NOW that NEW does not have: list_lost NEW NOW. If it is unknown what was shipped, changes do not count.
list_lost() {
    list_own "$2" | head -n "$MOST_FILES" | while IFS= read -r name; do
        bare=${name#\?}
        now=$2${bare:+/$bare}
        new=$1${bare:+/$bare}
        [ -e "$now" ] || [ -L "$now" ] || continue
        case $name in *.gitkeep | *.gitignore | *.keep) continue ;; esac
        if [ ! -e "$new" ] && [ ! -L "$new" ]; then
            record lost "$3" "$bare" new ''
        elif [ "$bare" = "$name" ] && ! cmp -s -- "$now" "$new"; then
            record lost "$3" "$bare" changed ''
        else
            continue
        fi
        count=$((${count:-0} + 1))
        [ "$count" -lt "$MOST_LOST" ] || break
    done
}

look_at_paths() {
    printf '%s\n' "${DEPLOYBOT_PATHS:-}" | while IFS= read -r path; do
        [ -z "$path" ] || look path "$path" "$(in_release "$path")"
    done
}

look_at_mounted() {
    printf '%s\n' "${DEPLOYBOT_MOUNTED:-}" | while IFS= read -r new && IFS= read -r now; do
        look mounted "$now" yes
        newer=$(real_path "$new")
        older=$(real_path "$now")
        [ "$newer" = "$older" ] || is_as_shipped "$older" "$hash" || list_lost "$newer" "$older" "$now"
    done
}

top=$(real_path "$DEPLOYBOT_DIRECTORY")
ours=$top/.deploybot
folder=$DEPLOYBOT_DIRECTORY/releases/$DEPLOYBOT_RELEASE
release=$(real_path "$folder")
record release "$folder" "$(kind_of "$folder")" "$release" ''
look_at_paths
look_at_mounted
record end '' '' '' ''
