#!/bin/sh
set -eu
step=talk
. ./lib.sh
mark "$step" begin
talk 200
sleep 0.5
talk 200
mark "$step" end
