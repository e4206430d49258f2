#!/usr/bin/python3
"""The chart's own command lines, run as processes: three members found a cluster over a real Redis, the
deploy Job's and the hooks' commands are run against it as a kubelet would run them.

    nodes_test.py BIN_FOLDER

What a pod has and a process has not is put in its place: names by addresses, mounted folders by real ones.
"""
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import helm_test
from helm_test import Rendering

BIN = sys.argv.pop(1)
READY_SECONDS_MAX = 120
APP = "CREATE STREAM A (k STRING, v INT);\nINSERT INTO B SELECT k, sum(v) AS v FROM A GROUP BY k;\n"
NEXT = APP + "INSERT INTO C SELECT k FROM A WHERE v > 10;\n"
setUpModule = helm_test.setUpModule


def free_ports(n):
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


class Pod:
    """A member as the StatefulSet describes it, with its place on this machine."""

    def __init__(self, cluster, index, ports):
        self.cluster, self.name, self.ports = cluster, f"efx-{index}", ports
        self.data = os.path.join(cluster.dir, self.name)
        os.makedirs(self.data, exist_ok=True)
        self.process = None

    def here(self, text):
        """Addresses of the headless Service, what it listens on, its folders."""
        text = self.cluster.here(text.replace("$(POD_NAME)", self.name).replace("$POD_NAME.", self.name + "."))
        for kind, port in self.ports.items():
            text = text.replace(f"--listen-{kind}=0.0.0.0:{self.cluster.inside[kind]}",
                                f"--listen-{kind}=127.0.0.1:{port}")
        return text.replace("/var/lib/efx", self.data)

    @property
    def env(self):
        return {**os.environ, "PATH": BIN + ":" + os.environ["PATH"], "POD_NAME": self.name,
                "EFX_REDIS_URL": self.cluster.redis_url, "EFX_TOKEN": "let-me-in"}

    def start(self):
        node = self.cluster.rendering.node
        words = [self.here(w) for w in node["command"] + node["args"]]
        with open(self.data + ".log", "ab") as log:
            self.process = subprocess.Popen(words, env=self.env, stdout=log, stderr=log)

    def ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['http']}/ready", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def said(self):
        with open(self.data + ".log", encoding="utf-8", errors="replace") as f:
            return f.read()[-3000:]

    def run(self, command):
        return subprocess.run(["/bin/sh", "-c", self.here(command)], env=self.env, capture_output=True, text=True,
                              check=False, timeout=120)

    def end(self):
        """As a kubelet does: preStop, then TERM, then KILL; what preStop said and the exit status."""
        left = time.monotonic() + self.cluster.rendering.pod["terminationGracePeriodSeconds"]
        hook = self.run(self.cluster.rendering.pre_stop)
        self.process.terminate()
        try:
            return hook, self.process.wait(left - time.monotonic())
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end: preStop said {hook.stdout}{hook.stderr}\n"
                                 + self.said()) from None

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Cluster:
    def __init__(self, test, n, values):
        folder = tempfile.TemporaryDirectory()
        test.addCleanup(folder.cleanup)
        self.dir, self.values, self.rendering = folder.name, values, Rendering({"replicas": n, **values})
        self.inside = {p["name"]: p["containerPort"] for p in self.rendering.node["ports"]}
        free = free_ports(3 * n + 1)
        self.redis_url = f"redis://127.0.0.1:{free.pop()}/0"
        self.pods = [Pod(self, i, dict(zip(("tcp", "grpc", "http"), free[3 * i:3 * i + 3]))) for i in range(n)]
        for pod in self.pods:
            test.addCleanup(pod.close)
        self.mount(self.rendering)

    def mount(self, rendering):
        """The ConfigMaps, where the pods find them."""
        self.rendering = rendering
        for name, folder in (("efx-app", "app"), ("efx-config", "config")):
            os.makedirs(os.path.join(self.dir, folder), exist_ok=True)
            for file, text in rendering.get("ConfigMap", name)["data"].items():
                with open(os.path.join(self.dir, folder, file), "w", encoding="utf-8") as f:
                    f.write(text)

    def here(self, text):
        for pod in self.pods:
            for kind, port in pod.ports.items():
                text = text.replace(f"{pod.name}.efx-headless.prod.svc:{self.inside[kind]}", f"127.0.0.1:{port}")
        text = text.replace(f"efx.prod.svc:{self.inside['grpc']}", f"127.0.0.1:{self.pods[0].ports['grpc']}")
        left = re.search(r"\S*\.svc:\d+", text)
        assert not left, left
        return text.replace("/etc/efx", self.dir)

    def redis(self, test):
        port = self.redis_url.split(":")[-1].split("/")[0]
        server = subprocess.Popen(["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", self.dir, "--save",
                                   "", "--appendonly", "yes", "--appendfsync", "always"], stdout=subprocess.DEVNULL)
        test.addCleanup(server.wait)
        test.addCleanup(server.terminate)

    def wait_ready(self, pods=None):
        end = time.monotonic() + READY_SECONDS_MAX
        waiting = list(pods or self.pods)
        while waiting:
            for pod in waiting:
                if pod.process.poll() is not None:
                    raise AssertionError(f"{pod.name} ended with {pod.process.returncode}: {pod.said()}")
            waiting = [p for p in waiting if not p.ready()]
            if time.monotonic() > end:
                raise AssertionError("\n".join(f"{p.name} is not ready: {p.said()}" for p in waiting))
            time.sleep(0.1)

    def status(self, pod):
        p = pod.run(f"efx cluster status --json --token \"$EFX_TOKEN\" --to 127.0.0.1:{pod.ports['grpc']}")
        if p.returncode:
            raise AssertionError(p.stderr)
        return json.loads(p.stdout)


class Commands(unittest.TestCase):
    VALUES = {"app": {"sql": APP, "name": "pay"}, "auth": {"existingSecret": "t"}}

    def three(self, values=None):
        cluster = Cluster(self, 3, values or self.VALUES)
        if "tls" in cluster.values:
            self.mount_certificates(cluster)
        cluster.redis(self)
        for pod in cluster.pods:
            pod.start()
        cluster.wait_ready()
        return cluster

    def mount_certificates(self, cluster):
        """The secrets of helm_test's TLS values: one authority for clients, members and hooks."""
        def openssl(*args):
            subprocess.run(["openssl", *args], cwd=cluster.dir, check=True, capture_output=True)
        new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
        openssl(*new, "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.crt")
        openssl(*new, "-subj", "/CN=member", "-CA", "ca.crt", "-CAkey", "ca.key", "-keyout", "tls.key", "-out",
                "tls.crt", "-addext", "subjectAltName=IP:127.0.0.1,DNS:prod.efx",
                "-addext", "basicConstraints=critical,CA:FALSE")
        for folder in ("tls", "admin", "client-ca", "peer-ca"):
            os.makedirs(os.path.join(cluster.dir, folder))
            for file in ("ca.crt", "tls.crt", "tls.key"):
                os.symlink(os.path.join(cluster.dir, file), os.path.join(cluster.dir, folder, file))

    def test_members_clients_and_hooks_show_certificates(self):
        cluster = self.three({**self.VALUES, "tls": helm_test.TLS})
        zero = cluster.pods[0]
        job = zero.run(cluster.rendering.deploy)
        self.assertEqual(job.returncode, 0, job.stderr)
        bare = re.sub(r" --tls-\w+ \S+", "", cluster.rendering.deploy)
        self.assertNotEqual(zero.run(bare + " --retry 1s").returncode, 0)

    def with_text(self, sql):
        return Rendering({"replicas": 3, **self.VALUES, "app": {"sql": sql, "name": "pay"}})

    def test_three_members_found_a_cluster_and_the_job_changes_its_app(self):
        """The same text is nothing new, another one runs, a wrong one is refused with 2."""
        cluster = self.three()
        before = cluster.status(cluster.pods[1])
        self.assertEqual({n["id"]: n["state"] for n in before["nodes"]},
                         {"efx-0": "running", "efx-1": "running", "efx-2": "running"})
        self.assertEqual((before["cluster"], before["app"]), ("prod.efx", "pay"))
        zero = cluster.pods[0]
        self.assertEqual(zero.run(cluster.rendering.deploy).returncode, 0)
        self.assertEqual(cluster.status(zero)["app_hash"], before["app_hash"])
        cluster.mount(self.with_text(NEXT))
        job = zero.run(cluster.rendering.deploy)
        self.assertEqual(job.returncode, 0, job.stderr)
        self.assertNotEqual(cluster.status(zero)["app_hash"], before["app_hash"])
        cluster.mount(self.with_text("CREATE STRAEM;"))
        self.assertEqual(zero.run(cluster.rendering.deploy).returncode, 2)

    def test_a_pod_ends_in_its_time_and_returns_whatever_text_is_mounted(self):
        cluster = self.three()
        running = cluster.status(cluster.pods[0])["app_hash"]
        cluster.mount(self.with_text(NEXT))  # the Job has not been there yet
        for pod in (cluster.pods[2], cluster.pods[0]):
            hook, code = pod.end()
            self.assertEqual((hook.returncode, code), (0, 0), hook.stderr + pod.said())
            pod.start()
            cluster.wait_ready()
            self.assertEqual(cluster.status(pod)["app_hash"], running)

    def test_one_member_without_redis_keeps_its_state_in_its_folder(self):
        cluster = Cluster(self, 1, {"redis": {"enabled": False}, "app": {"sql": APP}})
        pod, = cluster.pods
        for _ in range(2):
            pod.start()
            cluster.wait_ready()
            pod.process.terminate()
            self.assertEqual(pod.process.wait(60), 0, pod.said())


if __name__ == "__main__":
    unittest.main()
