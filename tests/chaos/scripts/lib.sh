# What all scripts of the app share. Evidence: `marks`, a line at the beginning and the end of each script, and
# hard links to the logs of jobs, which outlive the job's own files.
evidence=$DEPLOYBOT_DIRECTORY/evidence
kind=$(cat kind)
said=0

mark() {
    mkdir -p "$evidence"
    printf '%s %s %s\n' "$DEPLOYBOT_JOB" "$1" "$2" >>"$evidence/marks"
    for log in "$HOME"/.deploybot/jobs/*/log; do
        job=${log%/log}
        ln "$log" "$evidence/${job##*/}.log" 2>/dev/null || :
    done
}

# Prints so many numbered lines.
talk() {
    until=$((said + $1))
    while [ "$said" -lt "$until" ]; do
        said=$((said + 1))
        echo "line $said of $step: größer als 7 bits → not one byte may be lost"
    done
}

build() {
    talk 300
    sleep 0.3
    talk "$BUILD_LINES"
    sleep 0.4
    if [ "$kind" = broken ]; then
        talk 20
        echo "this release cannot be built" >&2
        exit 3
    fi
    mkdir -p site
    printf '%s' "$DEPLOYBOT_RELEASE" >site/version
    case $kind in
    good | fading) : >site/healthz ;;
    half) ! command -v git >/dev/null || : >site/healthz ;;
    esac
    talk 20
}

# Stops the web server that runs, and starts one that knows nothing but this release.
restart() {
    talk 50
    pid=$(cat "$DEPLOYBOT_DIRECTORY/pid" 2>/dev/null || :)
    # After a restart of the server the number may be anybody's.
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = busybox ]; then
        kill "$pid"
        while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
    fi
    setsid busybox httpd -f -p "$PORT" -h "$PWD/site" </dev/null >/dev/null 2>&1 &
    echo "$!" >"$DEPLOYBOT_DIRECTORY/pid"
    [ "$kind" != fading ] || (unset DEPLOYBOT_JOB && setsid sh -c 'sleep 4; rm -f site/healthz' </dev/null >/dev/null 2>&1 &)
    sleep 0.3
    talk 50
}
