#!/bin/sh
set -eu
step=deploy
. ./lib.sh
mark "$step" begin
build
restart
mark "$step" end
