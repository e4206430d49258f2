#!/usr/bin/env python3
"""A client of the frames (runtime.md §4) that shares no code with ours: struct.pack and sockets.

    frames_test.py FRAME_ECHO      the server that sends back what it gets
"""
import os
import random
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import warnings

FAILED = []
TYPES = {"event": 0, "query": 1, "state": 2, "control": 3, "heartbeat": 4, "checkpoint": 5}


def text(b):
    return struct.pack("<Q", len(b)) + b


def frame(ident=b"", payload=b"", headers=(), kind=0):
    body = text(ident) + text(payload) + struct.pack("<Q", len(headers))
    body += b"".join(text(k) + text(v) for k, v in headers) + struct.pack("<I", kind)
    return struct.pack(">I", len(body)) + body


def read_exactly(sock, n):
    parts = []
    while n > 0:
        part = sock.recv(min(n, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def read_frame(sock):
    head = read_exactly(sock, 4)
    return head + read_exactly(sock, struct.unpack(">I", head)[0])


def is_closed(sock):
    """Nothing comes but the end, in whatever way."""
    try:
        return sock.recv(1) == b""
    except (ConnectionError, ssl.SSLError):
        return True


def all_that_comes(sock):
    data = b""
    try:
        while part := sock.recv(4096):
            data += part
    except ConnectionError:
        pass
    return data


def check(name, ok):
    print(("ok    " if ok else "FAIL  ") + name)
    if not ok:
        FAILED.append(name)


class Echo:
    def __init__(self, program, address, *tls):
        self.p = subprocess.Popen([program, address, *tls], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        self.address = self.p.stdout.readline().strip()

    def connect(self):
        if self.address.startswith("unix:"):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(60)
            s.connect(self.address[5:])
            return s
        host, port = self.address.rsplit(":", 1)
        return socket.create_connection((host, int(port)), timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.stdin.close()
        self.rc = self.p.wait(60)
        self.p.stdout.close()
        check(f"{self.address.split(':')[0]}: the server ends with its input", self.rc == 0)


def known_answers(echo):
    m1 = bytes.fromhex("00000033" "0200000000000000" "6d31" "0300000000000000" "010203"
                       "0100000000000000" "0100000000000000" "6b" "0100000000000000" "76"
                       "00000000")
    hb = bytes.fromhex("0000001e" "0200000000000000" "6862" "0000000000000000"
                       "0000000000000000" "04000000")
    check("this client makes the known answers",
          frame(b"m1", b"\1\2\3", [(b"k", b"v")]) == m1 and frame(b"hb", kind=4) == hb)
    with echo.connect() as s:
        s.sendall(m1 + hb)
        check("the known answers come back", read_frame(s) == m1 and read_frame(s) == hb)


def many_frames(echo, seed):
    dice = random.Random(seed)
    frames = []
    for i in range(2000):
        headers = [(f"k{h}".encode(), "wärt".encode() * dice.randrange(4))
                   for h in range(dice.randrange(5))]
        payload = dice.randbytes(dice.choice([0, 1, 100, 4000, 70000]))
        frames.append(frame(str(i).encode(), payload, headers, i % 6))
    frames.append(frame(payload=dice.randbytes((10 << 20) - 28)))  # the longest
    with echo.connect() as s:
        sender = threading.Thread(target=lambda: [s.sendall(f) for f in frames])
        sender.start()
        same = all(read_frame(s) == f for f in frames)
        sender.join()
    check("frames of all sizes come back in order", same)


def in_pieces(echo):
    f = frame(b"id", b"payload", [(b"a", b"b")], TYPES["control"])
    with echo.connect() as s:
        for i in range(len(f)):
            s.sendall(f[i:i + 1])
        check("a frame may come byte by byte", read_frame(s) == f)


def refusals(echo):
    bad = {
        "a longer one than 10 MiB": struct.pack(">I", (10 << 20) + 1),
        "another protocol": b"GET / HTTP/1.1\r\n\r\n",
        "a type that there is not": frame(kind=6),
        "a text that is not UTF-8": frame(b"\xff"),
        "an inner length that lies": frame()[:4] + b"\xff" * 28,
        "a frame with bytes left over": struct.pack(">I", 29) + frame()[4:] + b"x",
        "257 headers": frame(headers=[(b"", b"")] * 257),
    }
    with echo.connect() as good:
        for name, data in bad.items():
            with echo.connect() as s:
                s.sendall(data)
                check(f"closed: {name}", is_closed(s))
        f = frame(b"still here")
        good.sendall(f)
        check("others go on meanwhile", read_frame(good) == f)


def make_certs(folder):
    """An authority, a server's and a client's certificate by the openssl program."""
    def run(*args):
        subprocess.run(["openssl", *args], cwd=folder, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run("req", "-x509", *ec, "-keyout", "ca.key", "-out", "ca.pem", "-days", "1", "-subj", "/CN=ca")
    for who, san in (("server", "IP:127.0.0.1"), ("client", "DNS:client")):
        run("req", *ec, "-keyout", f"{who}.key", "-out", f"{who}.csr", "-subj", f"/CN={who}")
        with open(os.path.join(folder, f"{who}.ext"), "w", encoding="ascii") as f:
            f.write(f"subjectAltName={san}\n")
        run("x509", "-req", "-in", f"{who}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "1", "-extfile", f"{who}.ext", "-out", f"{who}.pem")


def tls_context(folder, client=False, version=None):
    ctx = ssl.create_default_context(cafile=os.path.join(folder, "ca.pem"))
    if client:
        ctx.load_cert_chain(os.path.join(folder, "client.pem"), os.path.join(folder, "client.key"))
    if version is not None:
        warnings.simplefilter("ignore", DeprecationWarning)  # that is the point of asking
        ctx.set_ciphers("ALL:@SECLEVEL=0")
        ctx.minimum_version = ctx.maximum_version = version
    return ctx


def over_tls(echo, ctx):
    f = frame(b"secret", b"x" * 100000, [(b"k", b"v")])
    with ctx.wrap_socket(echo.connect(), server_hostname="127.0.0.1") as s:
        s.sendall(f)
        return read_frame(s) == f, s.version()


def is_refused(echo, ctx):
    try:
        return not over_tls(echo, ctx)[0]
    except (ssl.SSLError, ConnectionError, EOFError):
        return True


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        make_certs(folder)
        at = [os.path.join(folder, n) for n in ("server.pem", "server.key", "ca.pem")]
        with Echo(program, "127.0.0.1:0") as echo:
            known_answers(echo)
            many_frames(echo, 1)
            in_pieces(echo)
            refusals(echo)
        with Echo(program, f"unix:{folder}/socket") as echo:
            known_answers(echo)
            many_frames(echo, 2)
        with Echo(program, "127.0.0.1:0", *at[:2]) as echo:
            check("TLS 1.3", over_tls(echo, tls_context(folder)) == (True, "TLSv1.3"))
            check("TLS 1.2", over_tls(echo, tls_context(
                folder, version=ssl.TLSVersion.TLSv1_2)) == (True, "TLSv1.2"))
            check("TLS 1.1 is refused", is_refused(echo, tls_context(
                folder, version=ssl.TLSVersion.TLSv1_1)))
            with echo.connect() as s:
                s.sendall(frame())
                check("plain frames are refused where TLS is spoken",
                      all_that_comes(s)[:1] in (b"", b"\x15"))  # an alert at most
        with Echo(program, "127.0.0.1:0", *at) as echo:
            check("TLS with a client's certificate", over_tls(echo, tls_context(folder, True))[0])
            check("none is refused", is_refused(echo, tls_context(folder)))
    print(f"{len(FAILED)} failed")
    return bool(FAILED)


if __name__ == "__main__":
    sys.exit(main())
