#!/bin/sh
# deploybot's side on a server: detached jobs, and commands that run attached.
# POSIX sh with dash and busybox ash in mind; arguments are a verb, ids and numbers, nothing else.
#   start ID BYTES SHA256 DEADLINE CAP     stdin: BYTES of input, see below
#   poll ID OFFSET LIMIT                   status, and the log from OFFSET
#   wait ID                                status once the job has ended; stdin stays open and its end ends this
#   cancel ID GRACE                        TERM, after GRACE seconds KILL; what never started never will
#   forget ID...                           deletes what has ended
#   call BYTES                             runs input here, the rest of stdin is its stdin
#   stream BYTES DEADLINE                  runs input in a session of its own, until stdin ends
# Input is assignments of quoted text: bot_script, bot_environment (export lines), and `#end`.
# Answers are `deploybot/1 STATE CODE SIZE LENGTH WORDS`, LENGTH bytes of log, an empty line, `deploybot/1 end`;
# from start, `deploybot/1 started …` comes first, and -1 as LENGTH means everything that follows.
#
# A job is a directory ~/.deploybot/jobs/ID:
#   claim        pid, start time and boot id of its runner; empty: cancelled before it started
#   script.PID   what is run           group.PID    pid and start time of the job's process group
#   log          its output            rc           how it ended, with the exit code
#   alive        a FIFO that the runner holds open for writing: its end of file is the runner's end
#   out          a FIFO from the job to the process that writes the log
#   cancel, late somebody, or the deadline, stopped it
# While it runs, ~/.deploybot/logins/ID may hold a Docker configuration with logins for registries (docker_login.sh).
#
# No `set -e`: failures are handled here, and a runner that just stops would leave a job without a known end.
set -u
bot_line='
'
bot_first=65536

say() { printf 'deploybot/1 %s\n' "$*"; }

# Deletes Docker configurations with logins (docker_login.sh) of jobs that are gone: those of a runner that was killed.
sweep() (
    cd "$HOME/.deploybot/logins" 2>/dev/null || exit 0
    for bot_each in *; do
        [ -d "$bot_each" ] || continue
        bot_id=$bot_each
        (
            cd "../jobs/$bot_id" 2>/dev/null || exit 1
            look
            case $bot_state in running | orphan) exit 0 ;; esac
            exit 1
        ) || rm -rf "$bot_id"
    done
)

# Deletes the logins of the job whose directory this is.
log_out() { [ ! -d "../../logins/$bot_id" ] || rm -rf "../../logins/$bot_id"; }

# Ends with an answer that nothing was done.
refuse() {
    rm -f "script.$$" "claim.$$" "group.$$" "rc.$$" 2>/dev/null
    say refused -1 0 0 "$*"
    say end
    exit 1
}

# A sleep that TERM ends at once, with the shell around it.
nap() { sleep "$1" & wait "$!"; }

# The end of a nap. KILL, because TERM is lost on a child that has not yet put off its shell's traps.
wake() {
    [ "${!:-}" = "$bot_before" ] || kill -KILL "$!" 2>/dev/null
    exit 0
}

# Does something later: later SECONDS COMMAND...; to be called in the background, TERM ends it.
later() {
    bot_before=${!:-}
    trap wake TERM
    nap "$1"
    shift
    "$@"
}

# Sets bot_group and bot_born (field 22 of proc(5)) of a process; fails when it is gone or dead.
look_at() {
    { read -r bot_stat; } 2>/dev/null <"/proc/$1/stat" || return 1
    # shellcheck disable=SC2086 # numbers and one letter
    set -- ${bot_stat##*) }
    bot_group=$3
    bot_born=${20}
    case $1 in [ZX]) return 1 ;; esac
}

# Sets bot_leader and bot_since of the job's process group; fails before there is one.
read_group() {
    bot_leader=
    { read -r bot_leader bot_since; } 2>/dev/null <"group.$bot_runner"
    [ -n "$bot_leader" ]
}

runner_lives() { look_at "$bot_runner" && [ "$bot_born" = "$bot_runner_born" ]; }

# Whether a live process is left in the job's process group. In a container, zombies may stay.
group_left() {
    kill -0 "-$bot_leader" 2>/dev/null || return 1
    for bot_each in /proc/[0-9]*; do
        look_at "${bot_each#/proc/}" && [ "$bot_group" = "$bot_leader" ] && "$@" && return 0
    done
    return 1
}

has_mark() { tr '\000' '\n' 2>/dev/null <"$bot_each/environ" | grep -qxF "DEPLOYBOT_JOB=$bot_id"; }

# The same where the runner is gone: the number may be another's by now, so what is in the environment counts.
group_lives() {
    read_group || return 1
    look_at "$bot_leader" && [ "$bot_born" = "$bot_since" ] || group_left has_mark
}

# Signals the job's process group. The second kill is for the moment before it has become a group.
signal_group() {
    read_group || return 0
    runner_lives || group_lives || return 0
    kill "-$1" "-$bot_leader" 2>/dev/null || kill "-$1" "$bot_leader" 2>/dev/null
}

# The watchdog: waits for the deadline, for as long as there is anything to watch, then ends the job.
watch_over() {
    bot_before=${!:-}
    trap wake TERM
    while [ "$bot_deadline" -gt 0 ]; do
        bot_turn=30
        [ "$bot_deadline" -gt "$bot_turn" ] || bot_turn=$bot_deadline
        nap "$bot_turn"
        runner_lives || group_lives || exit 0
        bot_deadline=$((bot_deadline - bot_turn))
    done
    : >late
    printf '\n[deploybot] stopped after its timeout of %s s\n' "$1" >>log
    signal_group TERM
    bot_tries=10
    while group_lives && [ "$bot_tries" -gt 0 ]; do
        nap 1
        bot_tries=$((bot_tries - 1))
    done
    signal_group KILL
}

# stdin to the log, which is cut at its cap and on a full disk; the rest is read and dropped, and the job goes on.
write_log() {
    (
        ulimit -f $((bot_cap / 512))
        exec cat
    ) >>log && exit 0
    printf '\n[deploybot] the log is cut here: it is over %s bytes, or the disk is full\n' "$bot_cap" >>log
    cat >/dev/null
    exit 3
}

# Becomes the job. What it writes before it looks for `cancel`, and who cancels does it the other way round.
launch() {
    read -r bot_pid bot_stat </proc/self/stat
    look_at "$bot_pid"
    printf '%-64s\n' "$bot_pid $bot_born" 1<>"group.$bot_runner"
    [ ! -e cancel ] || exit 143
    umask "$bot_umask"
    bot_file=$PWD/script.$bot_runner
    bot_setsid=setsid
    for bot_each in /usr/bin /bin /usr/local/bin; do
        [ ! -x "$bot_each/setsid" ] || bot_setsid=$bot_each/setsid
    done
    cd
    # Logins are deleted below the home directory of the user, whatever HOME of the job is.
    bot_home=$HOME
    eval "$bot_environment"
    DEPLOYBOT_JOB=$bot_id
    export DEPLOYBOT_JOB
    exec "$bot_setsid" /bin/sh "$bot_file"
}

# Reads the input of $1 bytes from stdin; fails unless all of it came.
read_input() {
    bot_input=$(head -c "$1")
    case $bot_input in *"$bot_line#end") eval "$bot_input" ;; *) return 1 ;; esac
}

# Everything a job needs, before anybody can take it. A full disk is found here.
prepare() {
    read -r bot_boot </proc/sys/kernel/random/boot_id
    look_at "$$" || refuse "there is no /proc"
    bot_claim="$$ $bot_born $bot_boot"
    [ -p out ] || mkfifo alive out 2>/dev/null || [ -p out ] || refuse "no FIFO can be made in $PWD"
    {
        printf '%s' "$bot_script" >"script.$$" && printf '%s\n' "$bot_claim" >"claim.$$" &&
            printf '%-64s\n' '' >"group.$$" && printf '%-64s\n' '' >"rc.$$" && : >>log
    } 2>/dev/null || refuse "no file can be written in $PWD: is the disk full?"
    # shellcheck disable=SC2046 # a sum and a name
    set -- "$1" $(sha256sum "script.$$")
    read -r bot_stat <"claim.$$"
    [ "$1" = "${2:-}" ] && [ "$bot_stat" = "$bot_claim" ] ||
        refuse "the script could not be written whole in $PWD: is the disk full?"
}

# The runner: takes the job, runs it to its end and records the result.
run() {
    bot_parent=$1 bot_id=$2 bot_deadline=$5 bot_cap=$6
    bot_runner=$$
    bot_umask=$(umask)
    umask 077
    trap : HUP INT PIPE TERM USR1
    enter
    [ ! -e claim ] || answer 0 0
    read_input "$3" || refuse "the script did not arrive whole"
    sweep
    prepare "$4"
    bot_runner_born=$bot_born
    exec 9<>alive
    if ! ln "claim.$$" claim 2>/dev/null; then
        [ -e claim ] || refuse "no hard link can be made in $PWD"
        rm -f "script.$$" "claim.$$" "group.$$" "rc.$$"
        answer 0 0
    fi
    if [ -e "../../gone/$bot_id" ]; then
        cd ..
        rm -rf "$bot_id"
        gone
    fi
    say started -1 0 0
    exec 8<>out 7<out 6>out 8>&-
    # Subshells: a shell keeps copies of what it redirects for a function, and so holds the ends of FIFOs open.
    (write_log) <&7 >/dev/null 2>&1 6>&- 7<&- 9>&- &
    bot_writer=$!
    exec 7<&-
    # No trap while the watchdog is forked: a TERM that comes before it has put off ours would be lost.
    trap - TERM
    (watch_over "$bot_deadline") </dev/null >/dev/null 2>&1 6>&- 9>&- &
    bot_watchdog=$!
    trap : TERM
    # sshd counts a session until the process it started is gone; this one is not needed any more.
    kill "$bot_parent" 2>/dev/null
    bot_code=0
    (launch) </dev/null >&6 2>&1 6>&- 9>&- || bot_code=$?
    exec 6>&-
    finish
}

# After the job's first process: its group where that was stopped, its output, its exit code.
finish() {
    if [ -e cancel ] || [ -e late ]; then
        read_group
        bot_tries=0
        while group_left true && [ "$bot_tries" -lt 1200 ]; do
            sleep 0.1 2>/dev/null || sleep 1
            bot_tries=$((bot_tries + 1))
        done
    fi
    # A program left behind may hold the output open: then the log goes on, and the job has ended all the same.
    trap - TERM
    (later 1 kill -USR1 "$$") </dev/null >/dev/null 2>&1 9>&- &
    bot_timer=$!
    trap : TERM
    wait "$bot_writer"
    bot_logged=$?
    kill "$bot_timer" 2>/dev/null
    log_out
    bot_word=done
    [ ! -e late ] || bot_word=late
    [ ! -e cancel ] || bot_word=cancelled
    # The file is as long as it will be since before the start: this works on a full disk, too.
    printf '%-64s\n' "$bot_word $bot_code $bot_logged" 1<>"rc.$$"
    mv -f "rc.$$" rc
    exec 9>&-
    kill "$bot_watchdog" 2>/dev/null
    look
    say "$bot_state" "$bot_code" -1 -1 "$bot_words"
    [ ! -s log ] || head -c "$bot_first" log
    printf '\n'
    say end
}

# Sets bot_state, bot_code and bot_words of the job whose directory this is.
look() {
    bot_state=never bot_code=-1 bot_words=
    [ -e claim ] || return 0
    bot_runner=
    read -r bot_runner bot_runner_born bot_claimed <claim
    if look_end; then
        return 0
    elif [ -z "$bot_runner" ]; then
        bot_state=cancelled
        return 0
    fi
    read -r bot_boot </proc/sys/kernel/random/boot_id
    if [ "$bot_boot" != "$bot_claimed" ]; then
        bot_state=lost bot_words="the server was restarted while it ran"
    elif runner_lives; then
        bot_state=running
    elif look_end; then
        return 0
    elif group_lives; then
        bot_state=orphan bot_words="its runner was killed, and process group $bot_leader is left"
    else
        bot_state=lost bot_words="its runner was killed, and nothing of it is left"
    fi
}

look_end() {
    { read -r bot_word bot_ended bot_logged; } 2>/dev/null <rc || return 1
    case $bot_word in
    done) bot_state=done bot_code=$bot_ended ;;
    late) bot_state=done bot_code=124 bot_words="stopped when its time was over" ;;
    *) bot_state=cancelled ;;
    esac
    case $bot_logged in 3) bot_words="${bot_words:+$bot_words; }its log is cut" ;; esac
}

# Ends with the job's status, its log's size and up to LIMIT bytes of the log: answer OFFSET LIMIT.
answer() {
    look
    case $bot_state in running | orphan) ;; *) log_out ;; esac
    bot_size=0 bot_length=0
    if [ -s log ]; then
        # shellcheck disable=SC2046 # fields of a line
        set -- "$1" "$2" $(ls -ln log)
        bot_size=$7
        bot_length=$((bot_size - $1))
        [ "$bot_length" -le "$2" ] || bot_length=$2
        [ "$bot_length" -ge 0 ] || bot_length=0
    fi
    say "$bot_state" "$bot_code" "$bot_size" "$bot_length" "$bot_words"
    [ "$bot_length" -eq 0 ] || tail -c "+$(($1 + 1))" log | head -c "$bot_length"
    printf '\n'
    say end
    exit 0
}

# Ends with the status of a job that was forgotten: it cannot start again.
gone() {
    say lost -1 0 0 "it ended, and its files were deleted"
    printf '\n'
    say end
    exit 0
}

# Goes to the directory of a job, which is made if need be.
enter() {
    cd "$HOME/.deploybot/jobs" || refuse "$HOME/.deploybot is not there"
    [ ! -e "../gone/$bot_id" ] || gone
    cd "$bot_id" 2>/dev/null && return 0
    mkdir -m 700 "$bot_id" 2>/dev/null
    cd "$bot_id" 2>/dev/null || refuse "$PWD/$bot_id cannot be made: is the disk full?"
}

# Goes to the directory of a job; where there is none, ends with `never`.
visit() {
    cd "$HOME/.deploybot/jobs/$bot_id" 2>/dev/null && return 0
    say never -1 0 0
    printf '\n'
    say end
    exit 0
}

# Both ends of a FIFO are held until it is sure who holds it: no open can block, and no end be missed.
await_runner() {
    exec 7<alive 8>&-
    read -r bot_stat <&7
    exec 7<&-
}

wait_for() {
    visit
    [ -p alive ] || answer 0 0
    exec 3<&0 8<>alive
    look
    [ "$bot_state" = running ] || answer 0 0
    (
        read -r bot_stat <&3
        kill "$$"
    ) >/dev/null 2>&1 8>&- &
    bot_watch=$!
    await_runner
    kill "$bot_watch" 2>/dev/null
    answer 0 0
}

cancel() {
    trap : HUP PIPE
    umask 077
    enter
    : >"claim.$$" && ln "claim.$$" claim 2>/dev/null && answer 0 0
    rm -f "claim.$$"
    [ -e claim ] || refuse "nothing can be written in $PWD: is the disk full?"
    look
    case $bot_state in
    running) stop_running "$1" ;;
    orphan) stop_orphan "$1" ;;
    esac
    answer 0 0
}

stop_running() {
    exec 8<>alive
    : >cancel
    signal_group TERM
    (later "$1" signal_group KILL) </dev/null >/dev/null 2>&1 8>&- &
    bot_timer=$!
    await_runner
    kill "$bot_timer" 2>/dev/null
}

# Nobody waits for it any more but us, so its end is ours to write.
stop_orphan() {
    signal_group TERM
    bot_tries=$(($1 * 10))
    while group_lives && [ "$bot_tries" -gt 0 ]; do
        sleep 0.1 2>/dev/null || sleep 1
        bot_tries=$((bot_tries - 1))
    done
    signal_group KILL
    while group_lives && [ "$bot_tries" -gt -100 ]; do
        sleep 0.1 2>/dev/null || sleep 1
        bot_tries=$((bot_tries - 1))
    done
    group_lives || { printf 'cancelled -1 0\n' >rc.new && mv -f rc.new rc; }
}

# What was forgotten leaves its name for two days, so that a start that was long on its way finds it.
forget() {
    trap : HUP PIPE
    cd "$HOME/.deploybot/jobs" || refuse "$HOME/.deploybot is not there"
    for bot_id; do
        cd "$bot_id" 2>/dev/null || continue
        look
        cd ..
        case $bot_state in running | orphan) continue ;; esac
        : >"../gone/$bot_id"
        rm -rf "$bot_id"
    done
    find ../gone -type f -mtime +1 -exec rm -f {} +
    say forgotten -1 0 0
    printf '\n'
    say end
}

call() {
    read_input "$1" || exit 97
    eval "$bot_environment"
    eval "$bot_script"
}

# In a session and process group of its own, so that all of it can be ended at once.
attached() {
    bot_input=$(cat)
    case $bot_input in *"$bot_line#end") eval "$bot_input" ;; *) exit 97 ;; esac
    (
        trap '' TERM
        read -r bot_stat <&3
        end_all
    ) </dev/null >/dev/null 2>&1 &
    bot_watch=$!
    (later "$1" end_all) </dev/null >/dev/null 2>&1 3<&- &
    bot_timer=$!
    bot_code=0
    (
        eval "$bot_environment"
        exec /bin/sh -c "$bot_script"
    ) </dev/null 2>&1 3<&- || bot_code=$?
    kill -KILL "$bot_watch"
    kill "$bot_timer"
    exit "$bot_code"
}

end_all() {
    trap '' TERM
    kill -TERM 0
    sleep 2
    kill -KILL 0
}

stream() {
    bot_input=$(head -c "$1")
    exec 3<&0
    printf '%s' "$bot_input" | setsid sh "$0" attached "$2"
}

bot_verb=$1
shift
case $bot_verb in
start)
    setsid sh "$0" run "$$" "$@"
    ;;
run) run "$@" ;;
poll)
    bot_id=$1
    visit
    answer "$2" "$3"
    ;;
wait)
    bot_id=$1
    wait_for
    ;;
cancel)
    bot_id=$1
    cancel "$2"
    ;;
forget) forget "$@" ;;
call) call "$@" ;;
stream) stream "$@" ;;
attached) attached "$@" ;;
esac
