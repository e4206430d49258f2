#!/bin/bash
# Completes a folder with installed programs to the root of an image: the libraries that its programs and
# libraries load, a shell, certificates, names of users, and of each Debian package that something came from
# its licence and its entry for scanners. Runs inside the build stage of the Dockerfile.
#   rootfs.sh FOLDER
set -euo pipefail
out=$1
declare -A packages=([ca-certificates]=1) # whose bundle is made at its installation and listed nowhere

# note FILE: remembers the package. With /usr merged a file has two names, of which dpkg knows one.
note() {
    local name owner=""
    for name in "$1" "${1#/usr}" "/usr$1"; do
        owner=$(dpkg-query -S "$name" 2>/dev/null | head -1) || true
        [ -z "$owner" ] || break
    done
    if [ -z "$owner" ]; then
        echo "rootfs: no package owns $1" >&2
        exit 1
    fi
    packages[${owner%%:*}]=1
}

# bring FILE: the file under this name, whatever links lead to it.
bring() {
    [ ! -e "$out$1" ] || return 0
    install -D -p "$(realpath "$1")" "$out$1"
    note "$(realpath "$1")"
}

# needs FILE: what the loader would load for it, the loader included.
needs() {
    local listed
    listed=$(LD_LIBRARY_PATH=$out/usr/local/lib ldd "$1")
    if grep -q 'not found' <<<"$listed"; then
        echo "rootfs: $1 misses a library:" >&2
        grep 'not found' <<<"$listed" >&2
        exit 1
    fi
    sed -nE 's/^\t(.* => )?(\/[^ ]+) \(0x.*/\2/p' <<<"$listed" | grep -v "^$out" || true
}

mkdir -p "$out"/{etc/ssl/certs,tmp,var/lib/efx,var/lib/dpkg/status.d,usr/{bin,lib,lib64}}
for folder in bin lib lib64; do ln -s "usr/$folder" "$out/$folder"; done

bring /usr/bin/dash
ln -s dash "$out/usr/bin/sh"
install -m 644 /etc/ssl/certs/ca-certificates.crt "$out/etc/ssl/certs/"

mapfile -t ours < <(find "$out/usr/local" -type f \( -perm /111 -o -name '*.so*' \))
for file in "${ours[@]}" /usr/bin/dash; do
    while read -r library; do bring "$library"; done < <(needs "$file")
done
printf '%s\n' /usr/local/lib /lib/"$(uname -m)"-linux-gnu >"$out/etc/ld.so.conf"
ldconfig -r "$out"

echo 'root:x:0:0:root:/:/usr/sbin/nologin
efx:x:10001:10001:efx:/var/lib/efx:/usr/sbin/nologin' >"$out/etc/passwd"
echo 'root:x:0:
efx:x:10001:' >"$out/etc/group"
echo 'hosts: files dns' >"$out/etc/nsswitch.conf"
cp /etc/debian_version /etc/os-release "$out/etc/"
chmod 1777 "$out/tmp"
chown 10001:10001 "$out/var/lib/efx"

for package in "${!packages[@]}"; do
    dpkg-query -s "$package" >"$out/var/lib/dpkg/status.d/$package"
    install -D -m 644 "/usr/share/doc/$package/copyright" "$out/usr/share/doc/$package/copyright"
done
install -D -m 644 -t "$out/usr/share/doc/efx" LICENSE-*
echo "rootfs: ${#ours[@]} files of ours, $(find "$out/usr/lib/" -name '*.so*' -type f | wc -l) libraries," \
    "${#packages[@]} packages, $(du -sm "$out" | cut -f1) MB"
