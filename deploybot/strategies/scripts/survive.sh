#!/bin/sh
# `deploybot check`: runs for as long as it takes to break the connection that started it, and to come back.
set -eu
sleep 2
echo survived
