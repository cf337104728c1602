#!/bin/sh
set -eu
step=build
. ./lib.sh
mark "$step" begin
build
mark "$step" end
