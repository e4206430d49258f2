"""A Kubernetes control plane on this machine for one test: etcd, API server, controllers and scheduler are
the real ones, nodes are played by kwok, which says of pods what a kubelet would say (no container runs).

    with Plane(tools_folder) as plane:
        plane.kubectl("get", "nodes")
        plane.helm("install", ...)

Everything listens on free loopback ports and lies in a folder of its own; what was started ends with the
block, each process by its own handle.
"""
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ZONES = ("a", "b", "c")
START_SECONDS_MAX = 120


def free_ports(n):
    """n ports that nobody listens on; all are held at once so that they differ."""
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def wait_for(what, seconds, condition):
    """Polls until condition() is true; what it was is said if it never is."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for: {what}")
        time.sleep(0.1)


class Plane:
    def __init__(self, cluster, helm):
        self.bin, self.helm_bin = cluster, helm + "/helm"
        self.processes = {}

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="efx-kube-")
        self.dir = self.folder.name
        self.env = {**os.environ, "KUBECONFIG": self.dir + "/kubeconfig", "KUBECACHEDIR": self.dir + "/kc",
                    "HELM_CACHE_HOME": self.dir + "/h", "HELM_CONFIG_HOME": self.dir + "/h",
                    "HELM_DATA_HOME": self.dir + "/h"}
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes.values()):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in reversed(self.processes.values()):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.folder.cleanup()

    # ---- starting ------------------------------------------------------------------------------

    def start(self):
        client, peer, self.api_port, controllers, scheduler, kwok = free_ports(6)
        self.keys()
        self.run("etcd", "kone", "etcd", "--name=d", "--data-dir=etcd", "--unsafe-no-fsync",
                 "--log-level=warn",
                 *(f"--{o}=http://127.0.0.1:{client}" for o in ("listen-client-urls",
                                                                "advertise-client-urls")),
                 *(f"--{o}=http://127.0.0.1:{peer}" for o in ("listen-peer-urls",
                                                              "initial-advertise-peer-urls")),
                 f"--initial-cluster=d=http://127.0.0.1:{peer}")
        self.wait_for_url(f"http://127.0.0.1:{client}/health", "etcd")
        self.run("apiserver", "kone", "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{client}",
                 "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
                 f"--secure-port={self.api_port}", "--tls-cert-file=api.crt",
                 "--tls-private-key-file=api.key", "--token-auth-file=tokens.csv",
                 "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
                 "--service-account-issuer=https://kubernetes.default.svc",
                 "--service-account-key-file=sa.pub", "--service-account-signing-key-file=sa.key",
                 "--endpoint-reconciler-type=none", "--shutdown-delay-duration=0")
        self.wait_for_url(f"https://127.0.0.1:{self.api_port}/readyz", "apiserver")
        common = ["--kubeconfig=kubeconfig", "--authentication-kubeconfig=kubeconfig", "--leader-elect=false",
                  "--authorization-kubeconfig=kubeconfig", "--bind-address=127.0.0.1"]
        self.run("controllers", "kone", "kube-controller-manager", *common, f"--secure-port={controllers}",
                 "--service-account-private-key-file=sa.key", "--root-ca-file=api.crt", "--cert-dir=.")
        self.run("scheduler", "kone", "kube-scheduler", *common, f"--secure-port={scheduler}")
        self.run("kwok", "kwok", "--kubeconfig=kubeconfig", "--manage-all-nodes=true",
                 "--node-lease-duration-seconds=40", f"--config={self.bin}/stages.yaml",
                 f"--server-address=127.0.0.1:{kwok}")
        self.nodes()

    def run(self, name, program, *args):
        log = open(os.path.join(self.dir, name + ".log"), "wb")
        with log:
            self.processes[name] = subprocess.Popen([os.path.join(self.bin, program), *args], cwd=self.dir,
                                                    env=self.env, stdout=log, stderr=log)

    def keys(self):
        """The API server's own certificate, a key for service accounts, and a token for us."""
        def openssl(*args):
            subprocess.run(["openssl", *args], cwd=self.dir, check=True, capture_output=True)
        curve = ("-pkeyopt", "ec_paramgen_curve:P-256")
        openssl("req", "-x509", "-newkey", "ec", *curve, "-nodes", "-days", "30", "-subj", "/CN=kube-apiserver",
                "-addext", "subjectAltName=IP:127.0.0.1,IP:10.0.0.1", "-keyout", "api.key", "-out", "api.crt")
        openssl("genpkey", "-algorithm", "EC", *curve, "-out", "sa.key")
        openssl("pkey", "-in", "sa.key", "-pubout", "-out", "sa.pub")
        self.token = secrets.token_hex(16)
        self.write("tokens.csv", f"{self.token},admin,admin,system:masters\n")
        self.write("kubeconfig", json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "t",
            "clusters": [{"name": "t", "cluster": {"server": f"https://127.0.0.1:{self.api_port}",
                                                   "certificate-authority": self.dir + "/api.crt"}}],
            "users": [{"name": "admin", "user": {"token": self.token}}],
            "contexts": [{"name": "t", "context": {"cluster": "t", "user": "admin"}}]}))

    def write(self, name, text):
        with open(os.path.join(self.dir, name), "w", encoding="utf-8") as f:
            f.write(text)

    def wait_for_url(self, url, name):
        trust = ssl.create_default_context(cafile=self.dir + "/api.crt")

        def answers():
            if self.processes[name].poll() is not None:
                raise AssertionError(f"{name} ended: {self.log(name)}")
            try:
                request = urllib.request.Request(url, headers={"Authorization": "Bearer " + self.token})
                with urllib.request.urlopen(request, context=trust, timeout=5) as answer:
                    return answer.status == 200
            except (urllib.error.URLError, OSError):
                return False
        wait_for(url, START_SECONDS_MAX, answers)

    def log(self, name):
        with open(os.path.join(self.dir, name + ".log"), "rb") as f:
            return f.read().decode(errors="replace")[-3000:]

    def nodes(self):
        """Three nodes in three zones, and kwok's volumes as the default class."""
        size = {"cpu": "8", "memory": "16Gi", "pods": "110"}
        for zone in ZONES:
            self.apply({"apiVersion": "v1", "kind": "Node", "metadata": {
                "name": "node-" + zone, "annotations": {"kwok.x-k8s.io/node": "fake"},
                "labels": {"kubernetes.io/hostname": "node-" + zone, "kubernetes.io/os": "linux",
                           "topology.kubernetes.io/zone": zone}},
                "status": {"allocatable": size, "capacity": size}})
        self.kubectl("apply", "-f", self.bin + "/storage-class.yaml")
        self.kubectl("annotate", "storageclass", "--all", "storageclass.kubernetes.io/is-default-class=true")
        wait_for("three ready nodes", START_SECONDS_MAX, lambda: sum(
            c["type"] == "Ready" and c["status"] == "True"
            for n in self.list("nodes") for c in n["status"].get("conditions", [])) == len(ZONES))

    # ---- using ---------------------------------------------------------------------------------

    def kubectl(self, *args, stdin=None, ok=True):
        p = subprocess.run([self.bin + "/kone", "kubectl", *args], input=stdin, env=self.env, text=True,
                           capture_output=True, timeout=120, check=False)
        if ok and p.returncode:
            raise AssertionError(f"kubectl {' '.join(args)}: {p.stderr}")
        return p.stdout if ok else (p.returncode, p.stdout + p.stderr)

    def helm(self, *args, ok=True):
        p = subprocess.run([self.helm_bin, *args], env=self.env, text=True, capture_output=True,
                           timeout=180, check=False)
        if ok and p.returncode:
            raise AssertionError(f"helm {' '.join(args)}: {p.stdout}{p.stderr}")
        return p.stdout if ok else (p.returncode, p.stdout + p.stderr)

    def apply(self, thing):
        return self.kubectl("apply", "-f", "-", stdin=json.dumps(thing))

    def list(self, kind, namespace=None, selector=""):
        where = ["-n", namespace] if namespace else []
        return json.loads(self.kubectl("get", kind, "-o", "json", *where, "-l", selector))["items"]

    def get(self, kind, name, namespace):
        return json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json"))

    def memory_mb(self):
        """What each process holds now."""
        sizes = {}
        for name, process in self.processes.items():
            with open(f"/proc/{process.pid}/status", encoding="utf-8") as f:
                kb = [line.split()[1] for line in f if line.startswith("VmRSS")]
            sizes[name] = int(kb[0]) // 1024
        return sizes

    class Paused:
        def __init__(self, process):
            self.process = process

        def __enter__(self):
            self.process.send_signal(signal.SIGSTOP)

        def __exit__(self, *_):
            self.process.send_signal(signal.SIGCONT)

    def without_kubelets(self):
        """A block in which nothing happens to pods on nodes. Keep it shorter than a node's lease, 40 s."""
        return self.Paused(self.processes["kwok"])
