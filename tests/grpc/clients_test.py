#!/usr/bin/python3
"""Clients that share no line with libgrpc: npm's @grpc/grpc-js, and grpcurl (Go) by reflection.

    clients_test.py EFX TOOLS      TOOLS: where both are put, versions pinned; fetched once
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import grpc_env as env

EFX = sys.argv.pop(1)
TOOLS = os.path.abspath(sys.argv.pop(1))
GRPCURL = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4"
APP = """
CREATE STREAM S (k STRING);
CREATE STREAM Small (v INT);
INSERT INTO Twice SELECT v * 2 AS v FROM Small;
"""


def fetch(marker, command, **how):
    """Runs a fetching command once; two test runs at a time take turns."""
    import fcntl
    os.makedirs(TOOLS, exist_ok=True)
    with open(os.path.join(TOOLS, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(marker):
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **how)


class Js(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = os.path.join(TOOLS, "npm")
        cls.modules = os.path.join(folder, "node_modules")
        os.makedirs(folder, exist_ok=True)
        shutil.copy(os.path.join(env.HERE, "package.json"), folder)
        fetch(os.path.join(cls.modules, "@grpc", "grpc-js", "package.json"),
              ["npm", "install", "--no-audit", "--no-fund", "--prefix", folder])

    def see(self, address, *tls):
        p = subprocess.run(["node", os.path.join(env.HERE, "witness.js"), self.modules, env.ROOT,
                            address, *tls], capture_output=True, timeout=120, check=False)
        self.assertEqual(p.returncode, 0, p.stderr)
        return json.loads(p.stdout)

    def check(self, seen):
        self.assertEqual(seen["status"], "app")
        self.assertEqual(seen["health"], "SERVING")
        self.assertEqual(seen["submit"], [0, 2000])
        self.assertEqual(seen["sum"], 2 * sum(range(2000)))
        self.assertEqual((seen["wrong"]["code"], seen["wrong"]["efx"]), (3, "EFX-1201"))
        self.assertEqual((seen["big"], seen["deadline"], seen["cancelled"], seen["unknown"]),
                         (8, 4, 1, 12))
        self.assertEqual(seen["transport"], ["m", "MESSAGE_TYPE_ACKNOWLEDGMENT", "2"])

    def test_plain(self):
        with env.Node(EFX, APP) as node:
            self.check(self.see(node.address))

    def test_mutual_tls(self):
        with tempfile.TemporaryDirectory() as d:
            env.make_authority(d, "ca")
            env.make_authority(d, "rogue")
            for authority, name in [("ca", "server"), ("ca", "client"), ("rogue", "stranger")]:
                env.make_certificate(d, authority, name)
            files = lambda name: [f"{d}/ca.pem", f"{d}/{name}.key", f"{d}/{name}.pem"]  # noqa: E731
            with env.Node(EFX, APP, ["--tls-cert", f"{d}/server.pem", "--tls-key",
                                     f"{d}/server.key", "--tls-ca", f"{d}/ca.pem"]) as node:
                self.check(self.see(node.address, *files("client")))
                self.assertIn(self.see(node.address, *files("stranger"))["status"], [4, 14])
                wrong = [f"{d}/rogue.pem", f"{d}/client.key", f"{d}/client.pem"]
                self.assertIn(self.see(node.address, *wrong)["status"], [4, 14])


class Grpcurl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        go = shutil.which("go") or "/usr/local/go/bin/go"
        cls.program = os.path.join(TOOLS, "grpcurl")
        fetch(cls.program, [go, "install", GRPCURL],
              env={**os.environ, "CGO_ENABLED": "0", "GOBIN": TOOLS})
        cls.node = env.Node(EFX, APP)

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()

    def curl(self, *args, data=None):
        command = [self.program, "-plaintext", "-max-time", "20"]
        if data is not None:
            command += ["-d", data]
        return subprocess.run([*command, self.node.address, *args], capture_output=True,
                              timeout=60, check=False)

    def test_what_is_served_is_listed_and_described(self):
        p = self.curl("list")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn(b"eventflux.v1.EventFlux", p.stdout)
        p = self.curl("describe", "eventflux.v1.SubmitAck")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn(b"resend_from", p.stdout)

    def test_calls_by_reflection(self):
        p = self.curl("eventflux.v1.EventFlux/Status", data="{}")
        self.assertEqual(json.loads(p.stdout)["app"], "app", p.stderr)
        rows = '{"open":{},"batches":[{"stream":"Small","rows":[{"values":[{"i":"7"}]}]}]}'
        p = self.curl("eventflux.v1.EventFlux/SubmitOnce", data=rows)
        self.assertEqual(json.loads(p.stdout), {"accepted": "1"}, p.stderr)
        stream = '{"open":{"session":"g"}} {"first_seq":"1","batches":[{"stream":"Small",' \
                 '"rows":[{"values":[{"i":"7"}]}]}]}'
        p = self.curl("eventflux.v1.EventFlux/Submit", data=stream)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn(b'"accepted": "1"', p.stdout)
        p = self.curl("grpc.health.v1.Health/Check", data="{}")
        self.assertIn(b"SERVING", p.stdout)
        p = self.curl("eventflux.v1.EventFlux/Checkpoint", data="{}")
        self.assertIn(b"EFX-5002", p.stderr)
        self.assertNotEqual(p.returncode, 0)


if __name__ == "__main__":
    unittest.main()
