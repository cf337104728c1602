#!/bin/sh
# First on every connection: puts the runner where it belongs and checks it, whole or not at all. Read from stdin by
# sh, after assignments of quoted text: bot_text is the runner, bot_sha256 its sum.
set -u
umask 077

say() { printf 'deploybot/1 %s\ndeploybot/1 end\n' "$*"; }
refuse() {
    say refused -1 0 0 "$*"
    exit 1
}

# A file that is not what it should be is of no use, and neither is one that was written half.
is_whole() {
    # shellcheck disable=SC2046 # a sum and a name
    set -- $(sha256sum "$1" 2>/dev/null)
    [ "${1:-}" = "$bot_sha256" ]
}

# The word is on the command line. A login shell that runs another program instead does not pass it on.
[ "${1:-}" = deploybot ] ||
    refuse "its login shell does not run the bot's commands: is there an exec in its .bashrc or .profile?"
for bot_tool in setsid mkfifo sha256sum ln head tail cat mv rm ls sleep; do
    command -v "$bot_tool" >/dev/null || refuse "$bot_tool is missing there"
done
[ -d "${HOME:-}" ] || refuse "the user has no home directory there"
cd "$HOME/.deploybot/jobs" 2>/dev/null && [ -d ../gone ] ||
    { mkdir -p "$HOME/.deploybot/jobs" "$HOME/.deploybot/gone" && cd "$HOME/.deploybot/jobs"; } 2>/dev/null ||
    refuse "$HOME/.deploybot cannot be made: is the home directory writable, and the disk not full?"
cd ..
bot_file=runner-$(printf '%.12s' "$bot_sha256").sh
if ! is_whole "$bot_file"; then
    { printf '%s' "$bot_text" >"$bot_file.$$"; } 2>/dev/null
    if ! is_whole "$bot_file.$$" || ! mv -f "$bot_file.$$" "$bot_file"; then
        rm -f "$bot_file.$$"
        refuse "$HOME/.deploybot/$bot_file could not be written whole: is the disk full?"
    fi
fi
say ready -1 0 0
