# Sourced by .ci/run: makes sure that a container engine is up, and stops the one that it started.
DOCKERD_PID=

docker_up() {
    if docker_answers; then
        return
    fi
    if ! command -v dockerd >/dev/null 2>&1; then
        if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
            echo "No container engine is up, and only root on Debian or Ubuntu can install one here." >&2
            return 3
        fi
        apt-get update -q >/dev/null
        DEBIAN_FRONTEND=noninteractive apt-get install -qy docker.io iptables >/dev/null
    fi
    if docker_answers; then
        return
    fi
    mkdir -p build
    dockerd >build/dockerd.log 2>&1 &
    DOCKERD_PID=$!
    for _ in $(seq 150); do
        if docker_answers; then
            return
        fi
        sleep 0.2
    done
    echo "dockerd did not come up:" >&2
    tail -n 20 build/dockerd.log >&2
    return 3
}

# The compose plugin of version 2, where `docker compose` is not there.
compose_up() {
    if docker compose version >/dev/null 2>&1; then
        return
    fi
    if [ "$(id -u)" != 0 ]; then
        echo "docker has no compose plugin, and only root can install one here." >&2
        return 3
    fi
    .venv/bin/python ci/fetch_compose.py /usr/local/lib/docker/cli-plugins
}

docker_answers() {
    .venv/bin/python - <<'PY' 2>/dev/null
import docker

docker.from_env(timeout=5).ping()
PY
}

docker_down() {
    if [ -n "$DOCKERD_PID" ]; then
        kill "$DOCKERD_PID" 2>/dev/null || true
        wait "$DOCKERD_PID" 2>/dev/null || true
    fi
}
