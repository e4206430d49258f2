#!/usr/bin/env bash
# Installs what this project needs and the machine lacks (Debian 12). Says nothing when nothing is
# missing. As root, or as somebody with sudo.
set -euo pipefail

packages=(
    gcc g++ cmake ninja-build pkg-config python3                  # build
    clang clang-format clang-tidy libclang-rt-14-dev              # checks: format, analysis, fuzzing
    libcmocka-dev                                                 # tests
    libsimdjson-dev libpcre2-dev libzstd-dev zlib1g-dev           # the engine's libraries
    libxxhash-dev libhiredis-dev libsqlite3-dev libevent-dev libssl-dev          # state, transport
    libtomlplusplus-dev libyaml-dev                               # configuration files
    libgrpc-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler          # gRPC
    liblz4-dev libsnappy-dev                                      # compression that clients may use
    protobuf-compiler-grpc python3-grpcio python3-protobuf openssl               # its tests' clients
    redis-server redis-tools                                      # tests and demo start their own
    python3-yaml                                                  # tests of the chart
)

if ! command -v dpkg-query >/dev/null; then
    echo "setup: this is no Debian; install the likes of: ${packages[*]}" >&2
    exit 1
fi

# Clients of the gRPC tests in other languages; where they came from does not matter.
command -v npm >/dev/null || packages+=(nodejs npm)
command -v go >/dev/null || [ -x /usr/local/go/bin/go ] || packages+=(golang-go)

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "setup: needs root or sudo to install: ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

echo "setup: installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { "${as_root[@]}" apt-get update &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    cat "$log" >&2
    echo "setup: apt-get failed; the lines above say why" >&2
    exit 1
fi
