#!/usr/bin/python3
"""The image: what is in it, that it is small, and that what is in it runs the way Kubernetes would run it,
as user 10001, root file system read-only, no capability, little memory.

    image_test.py IMAGE PODMAN WORD…      called by scripts/image_test.sh; the words begin every podman command
"""
import io
import json
import os
import re
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import yaml

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
IMAGE, PODMAN = sys.argv[1], sys.argv[2:]
EXAMPLES = ["-v", ROOT + "/examples:/ex:ro"]
RESTRICTED = ["--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--memory=256m",
              "--network=host", "--no-healthcheck"]
SIZE_MAX_MB = 100
READY_SECONDS_MAX = 60


def built(target):
    """Whether the tree has this CMake target: then the image must have it, too."""
    for folder, inner, files in os.walk(ROOT):
        inner[:] = [f for f in inner if f not in (".git", "build")]
        for name in files:
            if name == "CMakeLists.txt" or name.endswith(".cmake"):
                with open(os.path.join(folder, name), encoding="utf-8") as f:
                    if re.search(rf"add_(executable|library)\({target}[\s)]", f.read()):
                        return True
    return False


def podman(*args, ok=True, timeout=120):
    p = subprocess.run([*PODMAN, *args], capture_output=True, text=True, timeout=timeout, check=False)
    if ok and p.returncode:
        raise AssertionError(f"podman {' '.join(args)}: {p.stdout}{p.stderr}")
    return p.returncode, p.stdout, p.stderr


def run(entrypoint, *args, options=(), ok=True):
    return podman("run", "--rm", *RESTRICTED, *options, "--entrypoint", entrypoint, IMAGE, *args, ok=ok)


def free_ports(n):
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


class Contents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        name = podman("create", IMAGE)[1].strip()
        exported = subprocess.run([*PODMAN, "export", name], capture_output=True, check=True).stdout
        podman("rm", name)
        with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
            cls.files = {"/" + m.name.lstrip("./"): m for m in tar.getmembers()}
        cls.config = json.loads(podman("image", "inspect", IMAGE)[1])[0]

    def test_it_is_small(self):
        size = self.config["Size"] / 1e6
        print(f"image: {size:.1f} MB, {len(self.files)} files", file=sys.stderr)
        self.assertLess(size, SIZE_MAX_MB)

    def test_it_starts_a_node_as_nobody_special(self):
        config = self.config["Config"]
        self.assertEqual(config["User"], "10001:10001")
        self.assertEqual(config["Entrypoint"], ["/usr/local/bin/efx-node"])
        self.assertEqual(set(config["ExposedPorts"]), {"7000/tcp", "7100/tcp", "7200/tcp"})
        self.assertIsNone(self.config.get("Healthcheck") or config.get("Healthcheck"))

    def test_only_its_data_and_tmp_belong_to_its_user_and_nothing_is_setuid(self):
        own = [n for n, m in self.files.items() if 10001 in (m.uid, m.gid)]
        self.assertEqual(own, ["/var/lib/efx"])
        open_to_all = [n for n, m in self.files.items() if m.mode & 0o002 and not m.issym()]
        self.assertEqual([n for n in open_to_all if not n.startswith(("/dev", "/proc", "/sys"))], ["/tmp"])
        self.assertEqual([n for n, m in self.files.items() if m.mode & 0o6000 and m.isfile()], [])

    def test_programs_are_those_of_the_tree_and_a_shell(self):
        programs = {n for n, m in self.files.items()
                    if m.isfile() and m.mode & 0o111 and "/bin/" in n}
        wanted = {"/usr/bin/dash", "/usr/local/bin/efx"}
        if built("efx-node"):
            wanted.add("/usr/local/bin/efx-node")
        self.assertEqual(programs, wanted)
        if built("efx_grpc_so"):
            self.assertTrue([n for n in self.files if n.endswith("/libefx_grpc.so")])

    def test_every_library_names_its_package_and_licence(self):
        packages = {n.rsplit("/", 1)[1] for n in self.files if n.startswith("/var/lib/dpkg/status.d/")}
        packages.discard("status.d")
        self.assertIn("libc6", packages)
        for package in packages:
            self.assertIn(f"/usr/share/doc/{package}/copyright", self.files)
        self.assertIn("/usr/share/doc/efx/LICENSE-MIT", self.files)

    def test_nothing_of_ours_misses_a_library(self):
        ours = [n for n, m in self.files.items() if n.startswith("/usr/local/") and m.isfile()
                and (m.mode & 0o111 or ".so" in n)]
        self.assertTrue(ours)
        for name in ours:
            out = run("/lib64/ld-linux-x86-64.so.2", "--list", name)[1]
            self.assertNotIn("not found", out)


class Program(unittest.TestCase):
    def test_it_knows_its_version(self):
        self.assertRegex(run("efx", "--version")[1], r"^efx \d+\.\d+\.\d+\n$")

    def test_it_runs_a_program_and_its_tests(self):
        out = run("efx", "run", "/ex/spikes.sql", "--input", "Trades=/ex/spikes.ndjson", options=EXAMPLES)[1]
        rows = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([r["stream"] for r in rows], ["Spikes", "Spikes", "Minutes", "Minutes"])
        self.assertEqual(rows[0]["data"], {"symbol": "ACME", "before": 10.0, "after": 11.6})
        self.assertEqual(run("efx", "test", "/ex/spikes.test", options=EXAMPLES)[1], "passed 2 of 2\n")

    def test_a_wrong_program_ends_with_two(self):
        code, _, err = podman("run", "--rm", "-i", *RESTRICTED, "--entrypoint", "sh", IMAGE, "-c",
                              "echo SELECT | efx check -", ok=False)
        self.assertEqual(code, 2)
        self.assertIn("EFX-", err)

    def test_it_cannot_write_but_where_it_should(self):
        self.assertNotEqual(run("sh", "-c", "echo > /usr/local/x", ok=False)[0], 0)
        self.assertEqual(run("sh", "-c", "echo > /var/lib/efx/x", options=["-v", "/var/lib/efx"])[0], 0)


class Node:
    """A node in a container, on this machine's network."""

    def __init__(self, name, ports, args):
        self.name, (self.tcp, self.grpc, self.http) = name, ports
        podman("run", "-d", "--name", name, *RESTRICTED, "-v", f"{name}:/var/lib/efx",
               "-v", ROOT + "/docker/app.sql:/etc/efx/app.sql:ro", IMAGE, f"--id={name}",
               *(f"--listen-{kind}=127.0.0.1:{port}" for kind, port in
                 (("tcp", self.tcp), ("grpc", self.grpc), ("http", self.http))),
               f"--advertise-tcp=127.0.0.1:{self.tcp}", f"--advertise-grpc=127.0.0.1:{self.grpc}", *args)

    def wait_ready(self):
        end = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/ready", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(0.1)
        raise AssertionError(f"{self.name} is not ready: " + podman("logs", self.name)[2])

    def efx(self, *args):
        return podman("exec", self.name, "efx", *args, "--to", f"127.0.0.1:{self.grpc}")

    def stop(self):
        """Its exit code after TERM."""
        podman("stop", "-t", "50", self.name)
        return int(podman("inspect", "-f", "{{.State.ExitCode}}", self.name)[1])


@unittest.skipUnless(built("efx-node"), "the tree builds no efx-node")
class Nodes(unittest.TestCase):
    def start(self, n, args):
        ports = free_ports(3 * n)
        joins = [f"--join=127.0.0.1:{p}" for p in ports[::3]]
        nodes = []
        for i in range(n):
            name = f"efx-test-{os.getpid()}-{i}"
            self.addCleanup(podman, "volume", "rm", "-f", name, ok=False)
            self.addCleanup(podman, "rm", "-f", name, ok=False)
            nodes.append(Node(name, ports[3 * i:3 * i + 3], [*args, *(joins if n > 1 else [])]))
        for node in nodes:
            node.wait_ready()
        return nodes

    def test_one_runs_alone_and_ends_with_zero(self):
        node, = self.start(1, ["--app=/etc/efx/app.sql", "--data=/var/lib/efx"])
        node.efx("cluster", "status")
        self.assertEqual(node.stop(), 0)

    def test_three_form_the_cluster_of_the_compose_file_and_one_may_go(self):
        with open(ROOT + "/docker/compose.yaml", encoding="utf-8") as f:
            words = yaml.safe_load(f)["services"]["efx-1"]["command"]
        redis = self.redis()
        args = [f"--redis=redis://127.0.0.1:{redis}/0" if w.startswith("--redis=") else w
                for w in words if not w.startswith("--join=")]
        one, two, three = self.start(3, args)
        status = two.efx("cluster", "status")[1]
        for node in (one, two, three):
            self.assertIn(node.name, status)
        self.assertEqual(three.stop(), 0)
        one.wait_ready()
        two.wait_ready()

    def redis(self):
        port, = free_ports(1)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        server = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder.name,
                                   "--save", "", "--appendonly", "yes", "--appendfsync", "always"],
                                  stdout=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        return port


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
