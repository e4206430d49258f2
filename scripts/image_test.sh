#!/usr/bin/env bash
# Builds the image of docker/ without daemon and registry, and tries it (tests/docker/image_test.py).
#   scripts/image_test.sh
# As root, on Debian 12: containers need it. Installs buildah, podman and runc if they are missing. BASE says
# which image to build on; without it a minimal Debian is made once, in EFX_TOOLS (~/.cache/efx-tools).
# What is built lies in a temporary folder. Last line: `N passed, M failed`.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" -ne 0 ]; then
    echo "image_test: must run as root" >&2
    echo "0 passed, 1 failed"
    exit 1
fi
scripts/setup.sh
packages=(mmdebstrap buildah podman runc containernetworking-plugins catatonit)
if ! dpkg-query -W "${packages[@]}" >/dev/null 2>&1; then
    apt-get update >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}" >/dev/null
fi

dir=$(mktemp -d)
store=(--root "$dir/store" --runroot "$dir/run" --storage-driver vfs)
log=$dir/log
trap 'podman "${store[@]}" rm -f -a >/dev/null 2>&1 || true; rm -rf "$dir"' EXIT
# runc, because crun wants a cgroup layout that not every machine has; limits that root may always set.
cat >"$dir/containers.conf" <<'CONF'
[containers]
default_ulimits=["nofile=20000:20000","nproc=10000:10000"]
[engine]
runtime="runc"
cgroup_manager="cgroupfs"
events_logger="file"
CONF
export CONTAINERS_CONF=$dir/containers.conf

if [ -z "${BASE:-}" ]; then
    BASE=localhost/debian:bookworm-min
    rootfs=${EFX_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/efx-tools}/bookworm.tar
    if [ ! -f "$rootfs" ]; then
        mkdir -p "$(dirname "$rootfs")"
        mmdebstrap --quiet --variant=minbase --include=ca-certificates bookworm "$dir/bookworm.tar"
        mv "$dir/bookworm.tar" "$rootfs"
    fi
    podman "${store[@]}" import "$rootfs" "$BASE" >/dev/null 2>&1
fi
started=$SECONDS
if ! buildah "${store[@]}" bud --isolation chroot --network host --build-arg BASE="$BASE" \
    -f docker/Dockerfile -t localhost/efx:test . >"$log" 2>&1; then
    tail -60 "$log"
    echo "0 passed, 1 failed"
    exit 1
fi
echo "image built in $((SECONDS - started)) s"

rc=0
tests/docker/image_test.py localhost/efx:test podman "${store[@]}" 2>&1 | tee "$log" || rc=$?
ran=$(sed -nE 's/^Ran ([0-9]+) tests? in .*/\1/p' "$log")
bad=$(grep -cE '^(FAIL|ERROR): ' "$log" || true)
[ $rc -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
echo "$((${ran:-0} - bad)) passed, $bad failed"
[ $rc -eq 0 ]
