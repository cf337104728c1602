#!/bin/sh
# Makes a complete release the current one: runs its script if it has one, moves the link `current`, restarts.
#   DEPLOYBOT_DIRECTORY, DEPLOYBOT_RELEASE, DEPLOYBOT_PREVIOUS
#   DEPLOYBOT_SCRIPT    the repository's own deploy script, or nothing
#   DEPLOYBOT_COMMAND   the restart command of bot.toml, shell text, or nothing
#   DEPLOYBOT_RESTORE   yes: DEPLOYBOT_PREVIOUS has failed, and this release is restored
set -eu
umask 022

fail() { printf '%s\n' "$*" >&2; exit 1; }

run_script() {
    cd -- "releases/$DEPLOYBOT_RELEASE"
    [ -f "$DEPLOYBOT_SCRIPT" ] || fail "There is no $DEPLOYBOT_SCRIPT in this release."
    if [ -x "$DEPLOYBOT_SCRIPT" ]; then "./$DEPLOYBOT_SCRIPT"; else sh "./$DEPLOYBOT_SCRIPT"; fi
}

begin_switch() {
    [ -f ".deploybot/releases/$DEPLOYBOT_RELEASE/complete" ] && [ -d "releases/$DEPLOYBOT_RELEASE" ] ||
        fail "$DEPLOYBOT_RELEASE is not complete in $DEPLOYBOT_DIRECTORY/releases. Deploy it again."
    if [ -d current ] && [ ! -L current ]; then
        fail "$DEPLOYBOT_DIRECTORY/current is a folder, but deploybot needs a link there. Move the folder away."
    fi
    printf '%s\n' "$DEPLOYBOT_RELEASE" >.deploybot/switching.tmp
    mv -f .deploybot/switching.tmp .deploybot/switching
}

point_current() {
    ln -sfn -- "releases/$DEPLOYBOT_RELEASE" current.tmp
    # A mv that does not know -T would move the link into the old release.
    mv -T -f -- current.tmp current 2>/dev/null || {
        rm -f current.tmp
        ln -sfn -- "releases/$DEPLOYBOT_RELEASE" current
    }
}

end_switch() {
    # What compose_up.sh noted of the app's own files counts from now on.
    marks=.deploybot/releases/$DEPLOYBOT_RELEASE
    [ ! -f "$marks/sums.next" ] || mv -f -- "$marks/sums.next" "$marks/sums"
    # The mark of the version before is not believed any more.
    rm -f .deploybot/switching switching
}

cd -- "$DEPLOYBOT_DIRECTORY"
begin_switch
[ -z "$DEPLOYBOT_SCRIPT" ] || (run_script)
point_current
[ -z "$DEPLOYBOT_COMMAND" ] || (cd -- "releases/$DEPLOYBOT_RELEASE" && sh -c "$DEPLOYBOT_COMMAND")
end_switch
