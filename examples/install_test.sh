#!/usr/bin/env bash
# Installs into a folder of its own, compiles embed.c there with pkg-config, runs it; the library gives
# away the functions of its header and nothing else.
#   examples/install_test.sh CMAKE BUILD CC
set -euo pipefail
cd "$(dirname "$0")"

cmake=$1 build=$2 cc=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$cmake" --install "$build" --prefix "$work/efx" >"$work/log" || { cat "$work/log"; exit 1; }
pc=$(find "$work/efx" -name efx.pc)
export PKG_CONFIG_PATH=${pc%/*}
mv "$work/efx" "$work/moved" # it does not know where it was put
PKG_CONFIG_PATH=${PKG_CONFIG_PATH/"$work/efx"/"$work/moved"}

cp embed.c "$work"
# shellcheck disable=SC2046 # flags are several words
"$cc" -std=c17 -Wall -Wextra -Wpedantic -Werror "$work/embed.c" $(pkg-config --cflags --libs efx) \
    -o "$work/embed"
lib=$(pkg-config --variable=libdir efx)
LD_LIBRARY_PATH=$lib "$work/embed" | diff embed.expected -
"$work/moved/bin/efx" --version | grep -qx "efx $(pkg-config --modversion efx)"

grep -oP '^EFX_API [^(]*\b\Kefx_\w+(?=\()' "$work/moved/include/efx/efx.h" | sort >"$work/wanted"
nm -D --defined-only "$lib/libefx.so" | sed 's/.* //' | sort >"$work/given"
diff "$work/wanted" "$work/given"
