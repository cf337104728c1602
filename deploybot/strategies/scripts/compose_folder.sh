#!/bin/sh
# Makes the folder that stands for a release of an app without a repository: its Compose files are the server's own.
#   DEPLOYBOT_DIRECTORY   the bot's folder for the app
#   DEPLOYBOT_RELEASE
#   DEPLOYBOT_FILES       the folder with the app's Compose files; nothing in it is changed
#
# The release's folder stays empty. Marks of a release are files in .deploybot/releases/<release>.
set -eu
umask 022

fail() { printf '%s\n' "$*" >&2; exit 1; }

[ -d "$DEPLOYBOT_FILES" ] ||
    fail "There is no folder $DEPLOYBOT_FILES on this server. Put the Compose file there, or correct directory."
mkdir -p -- "$DEPLOYBOT_DIRECTORY"
cd -- "$DEPLOYBOT_DIRECTORY"
mkdir -p -- "releases/$DEPLOYBOT_RELEASE" incoming ".deploybot/releases/$DEPLOYBOT_RELEASE"
: >".deploybot/releases/$DEPLOYBOT_RELEASE/fetched"
