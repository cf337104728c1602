# Finds this user's Docker. It is put before the probe and before every job, so that all of them use the same one.
# Programs: folders that a session without a login often lacks come last on PATH. Engine: if nothing else selects one,
# and this user may not use the usual socket, it is the user's own rootless Engine.
for bot_folder in /usr/local/bin /snap/bin /opt/bin /opt/*/bin ${HOME:+"$HOME/bin" "$HOME/.local/bin" "$HOME/.docker/cli-plugins"}; do
    [ -x "$bot_folder/docker" ] || [ -x "$bot_folder/docker-compose" ] || continue
    case :$PATH: in *":$bot_folder:"*) ;; *) PATH=$PATH:$bot_folder ;; esac
done
export PATH
bot_context=${DOCKER_CONTEXT:-}
if [ -z "${DOCKER_HOST:-}$bot_context" ] && [ -r "${DOCKER_CONFIG:-${HOME:-}/.docker}/config.json" ]; then
    while read -r bot_setting; do
        case $bot_setting in *'"currentContext"'*)
            bot_context=${bot_setting#*'"currentContext"'*'"'}
            bot_context=${bot_context%%'"'*}
            ;;
        esac
    done <"${DOCKER_CONFIG:-${HOME:-}/.docker}/config.json"
fi
if [ -z "${DOCKER_HOST:-}${bot_context#default}" ] && [ ! -w /var/run/docker.sock ] && [ -d /run/user ]; then
    bot_sockets=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}
    if [ -w "$bot_sockets/docker.sock" ]; then
        DOCKER_HOST=unix://$bot_sockets/docker.sock
        export DOCKER_HOST
    fi
fi
