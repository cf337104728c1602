#!/bin/sh
# Takes a file from stdin: temporary name, size and SHA-256 checked, then renamed. Run attached.
#   RECEIVE_TARGET   an absolute path        RECEIVE_SHA256, RECEIVE_SIZE   of the file
# Says `same` and ends when it is there already, else `send`, and `placed` once it is; anything else is why not.
target=$RECEIVE_TARGET
folder=${target%/*}
part=$target.part-$$

# Fails with the given reason, or with the error of a command.
give_up() {
    rm -f -- "$part"
    printf '%s\n' "$1" "$(df -Pk -- "${folder:-/}" 2>/dev/null | sed -n '2s/.* \([0-9]*\)  *[0-9]*%.*/\1 KiB are free there/p')"
    exit 1
}

is_whole() {
    # shellcheck disable=SC2046 # a sum and a name
    set -- $(sha256sum <"$1" 2>/dev/null)
    [ "${1:-}" = "$RECEIVE_SHA256" ]
}

if [ -f "$target" ] && is_whole "$target"; then
    echo same
    exit 0
fi
umask 022
if [ -n "$folder" ] && [ ! -d "$folder" ]; then
    said=$(mkdir -p -- "$folder" 2>&1) || give_up "$said"
fi
said=$({ : >"$part"; } 2>&1) || give_up "$said"
echo send
said=$({ cat >"$part"; } 2>&1) || give_up "$said"
if [ "$(wc -c <"$part")" -ne "$RECEIVE_SIZE" ] || ! is_whole "$part"; then
    give_up "the file did not arrive whole"
fi
said=$(mv -f -- "$part" "$target" 2>&1) || give_up "$said"
echo placed
