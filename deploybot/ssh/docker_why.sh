#!/bin/sh
# Why nobody answers at a Docker Engine's socket, in one word: missing, denied or stopped. Takes DEPLOYBOT_SOCKET.
set -eu

if [ ! -e "$DEPLOYBOT_SOCKET" ]; then
    echo missing
elif [ ! -r "$DEPLOYBOT_SOCKET" ] || [ ! -w "$DEPLOYBOT_SOCKET" ]; then
    echo denied
else
    echo stopped
fi
