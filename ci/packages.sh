# Sourced by .ci/run: Debian packages that the tests need, where they are missing.

# Install the packages that are named; quick where none is.
installed() {
    if [ $# = 0 ]; then
        return
    fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "Only root on Debian or Ubuntu can install these here: $*" >&2
        return 3
    fi
    apt-get update -q >/dev/null
    # At run level 1 the packages start no service of their own.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@" >/dev/null
}

# A browser and npm, for the tests that open the HTML report.
browser_up() {
    set --
    command -v chromium >/dev/null 2>&1 || set -- "$@" chromium
    command -v node >/dev/null 2>&1 || set -- "$@" nodejs
    command -v npm >/dev/null 2>&1 || set -- "$@" npm
    installed "$@"
}

# PostgreSQL and Redis, for the tests of the streaming service, which start their own.
servers_up() {
    set --
    [ -n "$(ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null)" ] || command -v postgres >/dev/null 2>&1 ||
        set -- "$@" postgresql
    command -v redis-server >/dev/null 2>&1 || set -- "$@" redis-server
    installed "$@"
}
