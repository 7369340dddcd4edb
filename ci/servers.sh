# Sourced by .ci/run: PostgreSQL and Redis for the tests of the streaming service, which start their own; quick where
# they are there.
servers_up() {
    missing=
    [ -n "$(ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null)" ] || command -v postgres >/dev/null 2>&1 ||
        missing="$missing postgresql"
    command -v redis-server >/dev/null 2>&1 || missing="$missing redis-server"
    if [ -z "$missing" ]; then
        return
    fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "Only root on Debian or Ubuntu can install these here:$missing" >&2
        return 3
    fi
    apt-get update -q >/dev/null
    # At run level 1 the packages start no service of their own.
    # shellcheck disable=SC2086 - a list of packages
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing >/dev/null
}
