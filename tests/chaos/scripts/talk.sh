#!/bin/sh
set -eu
step=${1:-talk}
. ./lib.sh
mark "$step" begin
talk 200
sleep 0.5
talk 200
mark "$step" end
