#!/bin/sh
set -eu
step=restart
. ./lib.sh
mark "$step" begin
restart
mark "$step" end
