#!/usr/bin/env bash
# Builds the tools that the chart's tests need, in pinned versions, into a folder outside the tree, once.
#   scripts/kube_tools.sh helm kubeconform schemas      for scripts/test.sh: 2 to 3 minutes of CPU
#   scripts/kube_tools.sh cluster                       for scripts/kube_test.sh: 8 minutes of CPU more
# Prints the folder of each as NAME=FOLDER. EFX_TOOLS says where (~/.cache/efx-tools). Two runs at a time
# are fine: one builds, the other waits. What is there under its version is taken as it is.
set -euo pipefail
cd "$(dirname "$0")/.."

kubernetes=v1.34.4
helm=v3.22.0
kubeconform=v0.8.0
kwok=v0.8.0
prometheus_operator=v0.82.0 # for its description of a ServiceMonitor
go_toolchain=go1.25.4 # fetched by Debian's own go where there is no newer one

tools=${EFX_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/efx-tools}
here=$PWD
mkdir -p "$tools"
export CGO_ENABLED=0 GOFLAGS=-trimpath

# A go that fetches the toolchain a module asks for (1.21 and later do). Debian 12's does not, but it can
# fetch one as what it is, a module; only the programs' permissions get lost on that way.
find_go() {
    local minor
    if command -v go >/dev/null; then
        minor=$(go env GOVERSION | sed -nE 's/^go1\.([0-9]+).*/\1/p')
        if [ "${minor:-0}" -ge 21 ]; then
            export GOTOOLCHAIN=auto
            return
        fi
    else
        local as_root=()
        [ "$(id -u)" -eq 0 ] || as_root=(sudo)
        "${as_root[@]}" apt-get update >&2
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y --no-install-recommends golang-go ca-certificates >&2
    fi
    local module root
    module=golang.org/toolchain@v0.0.1-$go_toolchain.linux-$(go env GOARCH)
    root=$(go env GOMODCACHE)/$module
    if [ ! -x "$root/bin/go" ]; then
        GOFLAGS='' go mod download "$module" >&2
        chmod u+w "$root" "$root/bin" "$root/pkg" "$root/pkg/tool" 2>/dev/null || true
        find "$root/bin" "$root/pkg/tool" -type f -exec chmod 755 {} +
    fi
    export PATH=$root/bin:$PATH GOTOOLCHAIN=auto
}

# in_place NAME FUNCTION: FUNCTION fills a folder, which gets its name when it is complete.
in_place() {
    local folder=$tools/$1 half=$tools/$1.half
    if [ ! -d "$folder" ]; then
        exec 9>"$tools/$1.lock"
        flock 9
    fi
    if [ ! -d "$folder" ]; then # still not: nobody else was at it
        rm -rf "$half"
        mkdir -p "$half"
        find_go
        echo "kube_tools: building $1" >&2
        "$2" "$half" >&2
        mv "$half" "$folder"
    fi
    exec 9>&-
    printf '%s=%s\n' "${1%%-*}" "$folder"
}

build_kubeconform() {
    (cd / && GOBIN=$1 go install -ldflags '-s -w' \
        "github.com/yannh/kubeconform/cmd/kubeconform@$kubeconform")
}

# Built like this, without flags, Helm 3 would take Kubernetes to be 1.20.
build_helm() {
    local m=helm.sh/helm/v3 major=1 minor=${kubernetes#v1.}
    minor=${minor%.*}
    (cd / && GOBIN=$1 go install -ldflags "-s -w -X $m/internal/version.version=$helm \
        -X $m/pkg/lint/rules.k8sVersionMajor=$major -X $m/pkg/lint/rules.k8sVersionMinor=$minor \
        -X $m/pkg/chartutil.k8sVersionMajor=$major -X $m/pkg/chartutil.k8sVersionMinor=$minor" \
        "$m/cmd/helm@$helm")
}

# module PATH VERSION: the folder of its sources.
module() {
    (cd / && go mod download -json "$1@$2") | python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])'
}

build_schemas() {
    local api crd
    api=$(module k8s.io/kubernetes $kubernetes)/api/openapi-spec/swagger.json
    crd=$(module github.com/prometheus-operator/prometheus-operator $prometheus_operator)
    crd=$crd/example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml
    "$here/tests/helm/kube_schemas.py" "$1" "$api" "$crd"
    install -m 644 "$crd" "$1/servicemonitor-crd.yaml"
}

# etcd, API server, controllers, scheduler and kubectl as one program, and kwok, which plays the nodes.
build_cluster() {
    local v=k8s.io/component-base/version minor=${kubernetes#v1.} stages s
    minor=${minor%.*}
    (cd "$here/tests/helm/kube" && go build -mod=readonly -ldflags "-s -w -X $v.gitVersion=$kubernetes \
        -X $v.gitMajor=1 -X $v.gitMinor=$minor -X $v.gitTreeState=clean -X $v.gitCommit=0 \
        -X $v.buildDate=2026-01-01T00:00:00Z" -o "$1/kone" .)
    (cd / && GOBIN=$1 go install -ldflags '-s -w' "sigs.k8s.io/kwok/cmd/kwok@$kwok")
    stages=$(go env GOMODCACHE)/sigs.k8s.io/kwok@$kwok/kustomize/stage
    for s in node/fast/node-initialize node/heartbeat-with-lease/node-heartbeat-with-lease \
        pod/fast/pod-ready pod/fast/pod-complete pod/fast/pod-delete volume/fast/pv-bind \
        volume/fast/pv-delete volume/fast/pvc-provision volume/fast/pvc-delete; do
        echo ---
        cat "$stages/$s.yaml"
    done >"$1/stages.yaml"
    install -m 644 "$stages/volume/fast/storage-class.yaml" "$1/storage-class.yaml"
}

for wanted in "$@"; do
    case $wanted in
    helm) in_place "helm-$helm" build_helm ;;
    kubeconform) in_place "kubeconform-$kubeconform" build_kubeconform ;;
    schemas) in_place "schemas-$kubernetes-$prometheus_operator" build_schemas ;;
    cluster) in_place "cluster-$kubernetes-$kwok" build_cluster ;;
    *)
        echo "kube_tools: no tool '$wanted'" >&2
        exit 2
        ;;
    esac
done
