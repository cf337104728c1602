# Makes a Docker configuration with the logins of this job alone. It is put before jobs that have such logins, which are
# in bot_logins: a line of members for `auths`, and one for `credHelpers`. Everything else stays as the user has it: what
# config.json contains, and what lies beside it, such as plugins, contexts and builders.
#
# The folder is deleted by the runner: when the job ends, or when it sees that the job is gone. No value is exported, and
# none is an argument of a program.
bot_line='
'

# Prints a config.json from stdin with the members of the first two lines added. Fails if it is no object.
# Later members of the same name win, for Docker and for docker-compose 1. A login in a file counts for Docker only if no
# program keeps the logins, so that is switched off for these registries.
bot_merge() {
    LC_ALL=C awk '
    NR == 1 { auths = $0; next }
    NR == 2 { helpers = $0; next }
    { text = text $0 "\n" }
    function put(name, members) { return (last == "{" ? "" : ",") "\"" name "\":{" members "}" }
    function add(members) { return (last == "{" ? "" : ",") members }
    END {
        from = 1
        for (i = 1; i <= length(text); i++) {
            c = substr(text, i, 1)
            if (quoted) {
                if (escaped) escaped = 0
                else if (c == "\\") escaped = 1
                else if (c == "\"") { quoted = 0; word = substr(text, start, i - start) }
                if (!quoted && depth == 1 && key == "credsStore" && word != "") kept = 1
            } else if (c == "\"") { quoted = 1; start = i + 1 }
            else if (depth == 0 && begun && c !~ /[ \t\r\n]/) exit 1
            else if (c == ":" && depth == 1) key = word
            else if (c == "," && depth == 1) key = ""
            else if (c == "{" || c == "[") {
                depth++
                if (depth == 1) { if (c != "{") exit 1; begun = 1 }
                if (depth == 2) object = c == "{" ? key : ""
            } else if (c == "}" || c == "]") {
                if (depth == 2 && object == "auths") { ours_at = i; ours_after = last }
                if (depth == 2 && object == "credHelpers") { helpers_at = i; helpers_after = last; kept = 1 }
                depth--
                if (depth == 0) { end_at = i; end_after = last }
            } else if (depth == 0 && c !~ /[ \t\r\n]/) exit 1
            if (c !~ /[ \t\r\n]/) last = c
        }
        if (!end_at || quoted) exit 1
        for (i = 1; i <= 3; i++) {
            at = end_at
            if (ours_at && ours_at < at && !done["a"]) at = ours_at
            if (helpers_at && kept && helpers_at < at && !done["h"]) at = helpers_at
            if (at == end_at) break
            printf "%s", substr(text, from, at - from)
            from = at
            if (at == ours_at) { last = ours_after; printf "%s", add(auths); done["a"] = 1 }
            else { last = helpers_after; printf "%s", add(helpers); done["h"] = 1 }
        }
        printf "%s", substr(text, from, end_at - from)
        last = end_after
        if (!done["a"]) { printf "%s", put("auths", auths); last = "}" }
        if (kept && !done["h"]) printf "%s", put("credHelpers", helpers)
        printf "%s", substr(text, end_at)
    }'
}

# Sets DOCKER_CONFIG to a new folder with all that the old one has, by links, and with the logins.
bot_log_in() {
    bot_old=${DOCKER_CONFIG:-$HOME/.docker}
    case $bot_old in /*) ;; *) bot_old=$PWD/$bot_old ;; esac
    bot_logins_in=${bot_home:-$HOME}/.deploybot/logins
    bot_new=$bot_logins_in/${bot_id:-$$}
    mkdir -p "$bot_logins_in" && rm -rf "$bot_new" && mkdir -m 700 "$bot_new" || return 1
    for bot_each in "$bot_old"/* "$bot_old"/.[!.]*; do
        case $bot_each in */config.json) continue ;; esac
        [ ! -e "$bot_each" ] || ln -s "$bot_each" "$bot_new/" || return 1
    done
    # As for Docker itself, a file that this user may not read does not count.
    if [ -r "$bot_old/config.json" ] && [ -s "$bot_old/config.json" ]; then
        { printf '%s\n' "$bot_logins" && cat "$bot_old/config.json"; } | bot_merge >"$bot_new/config.json" || return 1
    else
        printf '{"auths":{%s}}\n' "${bot_logins%%"$bot_line"*}" >"$bot_new/config.json" || return 1
    fi
    DOCKER_CONFIG=$bot_new
    # The builder of docker-compose 1 itself does not understand an empty helper, and Docker does.
    COMPOSE_DOCKER_CLI_BUILD=1
    export DOCKER_CONFIG COMPOSE_DOCKER_CLI_BUILD
    # Where no runner is around the job, its own shell deletes it.
    [ -n "${bot_id:-}" ] || trap 'rm -rf "$DOCKER_CONFIG"' EXIT
}

# Whether Docker comes from a snap, which cannot read hidden folders.
bot_is_snap() {
    bot_program=$(command -v docker) && bot_program=$(readlink -f "$bot_program") || return 1
    case $bot_program in /usr/bin/snap | /snap/*) ;; *) return 1 ;; esac
}

bot_not_used() { printf '%s\n' "The registry logins of bot.toml are not used: $1" >&2; }

bot_mask=$(umask)
umask 077
if bot_is_snap; then
    bot_not_used "Docker from a snap cannot read them. Log in here yourself, with docker login."
elif ! bot_log_in; then
    [ -z "${bot_new:-}" ] || rm -rf "$bot_new"
    bot_not_used "no Docker configuration can be made from $bot_old."
fi
umask "$bot_mask"
unset bot_logins
