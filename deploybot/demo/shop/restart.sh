#!/bin/sh
# Ends the shop that runs and opens this release's.
set -eu

pid=$DEPLOYBOT_DIRECTORY/shop.pid
if [ -s "$pid" ]; then
    kill "$(cat "$pid")" || echo "no shop was open"
fi
exec python3 app.py "$SHOP_PORT" "$DEPLOYBOT_DIRECTORY"
