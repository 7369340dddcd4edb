# Sourced by .ci/run: a browser and npm for the tests that open the HTML report; quick where they are there.
browser_up() {
    missing=
    command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
    command -v node >/dev/null 2>&1 || missing="$missing nodejs"
    command -v npm >/dev/null 2>&1 || missing="$missing npm"
    if [ -z "$missing" ]; then
        return
    fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "Only root on Debian or Ubuntu can install these here:$missing" >&2
        return 3
    fi
    apt-get update -q >/dev/null
    # shellcheck disable=SC2086 - a list of packages
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing >/dev/null
}
