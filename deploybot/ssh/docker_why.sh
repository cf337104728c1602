#!/bin/sh
# Prints in one word why nothing answers at a Docker Engine's socket: missing, denied, stopped. Takes DEPLOYBOT_SOCKET.
set -eu

if [ ! -e "$DEPLOYBOT_SOCKET" ]; then
    echo missing
elif [ ! -r "$DEPLOYBOT_SOCKET" ] || [ ! -w "$DEPLOYBOT_SOCKET" ]; then
    echo denied
else
    echo stopped
fi
