"""What the gRPC tests share: stubs made from proto/, a node as a child process, certificates.

The stubs come from protoc and grpc_python_plugin, into a folder of the build, so a test speaks by
the published contract and not by code of this project.
"""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PROTOS = ["eventflux", "transport", "health", "reflection", "reflection_alpha"]


def make_stubs(folder):
    """Python modules of all that is served; imported from `folder`."""
    os.makedirs(folder, exist_ok=True)
    subprocess.run(
        ["protoc", "-I", f"{ROOT}/proto", "-I", f"{ROOT}/node/grpc", f"--python_out={folder}",
         f"--grpc_out={folder}", "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin"]
        + [f"{name}.proto" for name in PROTOS], check=True)
    sys.path.insert(0, folder)


class Node:
    """`efx run APP --grpc` as a child; ends with the block."""

    def __init__(self, efx, sql, args=(), scratch=None, env=None):
        self.folder = scratch or tempfile.mkdtemp()
        app = os.path.join(self.folder, "app.sql")
        with open(app, "w", encoding="utf-8") as f:
            f.write(sql)
        self.out = os.path.join(self.folder, "out.ndjson")
        self.log = os.path.join(self.folder, "node.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [efx, "run", app, "--output", self.out]
                + ([] if "--grpc" in args else ["--grpc", "127.0.0.1:0"]) + list(args),
                stderr=log, stdin=subprocess.DEVNULL, env=env)
        self.address = self.wait_for(r"efx: gRPC on (\S+)")

    def said(self):
        with open(self.log, encoding="utf-8") as f:
            return f.read()

    def wait_for(self, pattern):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found = re.search(pattern, self.said())
            if found:
                return found.group(1)
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError(f"the node does not come up: {self.said()}")

    def stop(self):
        """SIGTERM; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def make_authority(folder, name):
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem")


def make_certificate(folder, authority, name, serial=None):
    """name.pem, name.key: for 127.0.0.1 and localhost, of that authority."""
    with open(f"{folder}/{name}.ext", "w", encoding="utf-8") as f:
        f.write("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
            "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.csr")
    openssl("x509", "-req", "-days", "2", "-in", f"{folder}/{name}.csr", "-CA",
            f"{folder}/{authority}.pem", "-CAkey", f"{folder}/{authority}.key",
            "-set_serial", str(serial or 7), "-extfile", f"{folder}/{name}.ext",
            "-out", f"{folder}/{name}.pem")


def read(path):
    with open(path, "rb") as f:
        return f.read()
