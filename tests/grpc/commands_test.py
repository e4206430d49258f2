#!/usr/bin/python3
"""efx submit, subscribe, query and cluster against real nodes; who maps libgrpc and who does not.

    commands_test.py EFX FOLDER     FOLDER: where stubs are made
"""
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from concurrent import futures

import grpc

import grpc_env as env

EFX = sys.argv.pop(1)
env.make_stubs(sys.argv.pop(1))

# pylint: disable=wrong-import-position,import-error
import eventflux_pb2 as e  # noqa: E402
import eventflux_pb2_grpc as eg  # noqa: E402

APP = """
CREATE STREAM S (k STRING, v INT, at TIMESTAMP);
CREATE TABLE T (k STRING PRIMARY KEY, n LONG);
INSERT INTO Out SELECT k, v, at FROM S WHERE v >= 0;
"""


def rows_in(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line)["data"] for line in f]


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)

    def file(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def efx(self, *args, stdin="", timeout=120):
        p = subprocess.run([EFX, *args], input=stdin.encode(), capture_output=True,
                           timeout=timeout, check=False)
        return p.returncode, p.stdout.decode(), p.stderr.decode()


class Commands(Case):
    def test_rows_are_submitted_and_bad_lines_are_told(self):
        with env.Node(EFX, APP) as node:
            lines = '{"k":"a","v":1}\nno json\n{"k":"b","v":2,"at":"2024-01-02T03:04:05Z"}\n'
            code, out, err = self.efx("submit", "S", "--to", node.address, stdin=lines)
            self.assertEqual((code, out), (0, ""), err)
            self.assertIn("standard input line 2: EFX-3001", err)
            self.assertIn("2 rows read, 2 accepted, 0 rejected, 1 unreadable", err)
            csv = self.file("in.csv", 'k,v\n"x,y",7\n')
            self.assertEqual(self.efx("submit", "S", "--to", node.address, "--file", csv)[0], 0)
            events = '{"stream":"S","ts":5,"data":{"k":"c","v":3}}\n'
            code, _, err = self.efx("submit", "S", "--to", node.address, "--format", "events",
                                    stdin=events)
            self.assertEqual(code, 0, err)
            self.assertEqual(node.stop(), 0)
            self.assertEqual(rows_in(node.out), [
                {"k": "a", "v": 1, "at": None}, {"k": "b", "v": 2, "at": 1704164645000},
                {"k": "x,y", "v": 7, "at": None}, {"k": "c", "v": 3, "at": None}])

    def test_the_same_input_under_one_session_counts_once(self):
        with env.Node(EFX, APP) as node:
            lines = [f'{{"k":"r","v":{i}}}\n' for i in range(5000)]
            for n in (3000, 5000):
                code, _, err = self.efx("submit", "S", "--to", node.address, "--session", "one",
                                        "--batch", "77", stdin="".join(lines[:n]))
                self.assertEqual(code, 0, err)
            self.assertEqual(node.stop(), 0)
            self.assertEqual([r["v"] for r in rows_in(node.out)], list(range(5000)))

    def test_rejected_rows_are_told(self):
        sql = "CREATE STREAM S (v INT NOT NULL); INSERT INTO Out SELECT v FROM S;"
        with env.Node(EFX, sql) as node:
            code, _, err = self.efx("submit", "S", "--to", node.address,
                                    stdin='{"v":1}\n{}\n{"v":3}\n')
            self.assertEqual(code, 0, err)
            self.assertIn("row 2: EFX-3102", err)
            self.assertIn("1 rejected", err)

    def test_a_stream_is_printed_as_it_comes(self):
        with env.Node(EFX, APP) as node:
            with subprocess.Popen([EFX, "subscribe", "Out", "--to", node.address, "--count", "3"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
                self.assertIn(b"Out from", p.stderr.readline())  # it is there
                self.efx("submit", "S", "--to", node.address,
                         stdin='{"k":"a","v":1}\n{"k":"ä\\"","v":2}\n{"v":3}\n')
                out, err = p.communicate(timeout=60)
            self.assertEqual(p.returncode, 0, err)
            got = [json.loads(line) for line in out.decode().splitlines()]
            self.assertEqual([x["data"] for x in got],
                             [{"k": "a", "v": 1, "at": None}, {"k": 'ä"', "v": 2, "at": None},
                              {"k": None, "v": 3, "at": None}])
            self.assertTrue(all(x["stream"] == "Out" and x["ts"] > 0 for x in got))

    def test_queries(self):
        with env.Node(EFX, APP) as node:
            code, out, err = self.efx("query", "INSERT INTO T VALUES ('x', 5), ('y', 6)", "--to",
                                      node.address)
            self.assertEqual((code, out), (0, ""), err)
            self.assertIn("2 rows changed", err)
            code, out, _ = self.efx("query", "SELECT k, n FROM T", "--to", node.address)
            self.assertEqual((code, out), (0, '{"k":"x","n":5}\n{"k":"y","n":6}\n'))
            code, out, _ = self.efx("query", "SELECT k, n FROM T", "--to", node.address,
                                    "--format", "csv")
            self.assertEqual((code, out), (0, "k,n\nx,5\ny,6\n"))
            code, out, err = self.efx("query", "SELECT x FROM T", "--to", node.address)
            self.assertEqual((code, out), (2, ""))
            self.assertIn("EFX-1203", err)
            again = ["query", "INSERT INTO T VALUES ('z', 1)", "--to", node.address, "--session",
                     "q", "--seq", "1"]
            self.assertIn("1 row changed", self.efx(*again)[2])
            self.assertIn("ran before", self.efx(*again)[2])

    def test_cluster(self):
        with env.Node(EFX, APP) as node:
            code, out, _ = self.efx("cluster", "status", "--json", "--to", node.address)
            got = json.loads(out)
            self.assertEqual((code, got["app"], got["nodes"][0]["state"], got["nodes"][0]["self"]),
                             (0, "app", "running", True))
            self.assertIn("alone", self.efx("cluster", "status", "--to", node.address)[1])
            app = self.file("new.sql", APP)
            for words in (["checkpoint"], ["drain", "n1"], ["deploy", app]):
                code, _, err = self.efx("cluster", *words, "--to", node.address)
                self.assertEqual(code, 1)
                self.assertIn("EFX-5002", err)

    def test_what_the_user_got_wrong(self):
        with env.Node(EFX, APP) as node:
            wrong = [["submit"], ["submit", "Nix", "--to", node.address],
                     ["submit", "S", "--to", "nowhere"], ["submit", "S", "--batch", "0"],
                     ["subscribe", "Nix", "--to", node.address], ["subscribe"],
                     ["subscribe", "Out", "--resume", "x", "--to", node.address],
                     ["query"], ["query", "SELECT 1", "--session", "x"], ["cluster"],
                     ["cluster", "dance"], ["cluster", "drain"], ["cluster", "status", "x"],
                     ["cluster", "status", "--tls-ca", "/nowhere", "--to", node.address]]
            for words in wrong:
                code, _, err = self.efx(*words)
                self.assertEqual((code, err.count("\n")), (2, 1), (words, err))

    def test_nobody_answers(self):
        for words in (["submit", "S"], ["subscribe", "Out"], ["query", "SELECT 1"],
                      ["cluster", "status"]):
            code, _, err = self.efx(*words, "--to", "127.0.0.1:1", "--retry", "300ms")
            self.assertEqual(code, 1, words)
            self.assertIn("no node answers", err)

    def test_tls_options(self):
        env.make_authority(self.dir, "ca")
        env.make_certificate(self.dir, "ca", "server")
        env.make_certificate(self.dir, "ca", "client")
        path = lambda name: os.path.join(self.dir, name)  # noqa: E731
        with env.Node(EFX, APP, ["--tls-cert", path("server.pem"), "--tls-key", path("server.key"),
                                 "--tls-ca", path("ca.pem")]) as node:
            own = ["--tls-cert", path("client.pem"), "--tls-key", path("client.key")]
            code, out, err = self.efx("cluster", "status", "--to", node.address, "--tls-ca",
                                      path("ca.pem"), *own)
            self.assertEqual(code, 0, err)
            self.assertIn("app app", out)
            code, _, err = self.efx("cluster", "status", "--to", node.address, "--retry", "300ms",
                                    "--tls-ca", path("ca.pem"))
            self.assertEqual(code, 1, err)


class Fake(eg.EventFluxServicer):
    """A node whose moves a test decides."""

    def __init__(self, script):
        self.script = script
        self.calls = 0
        self.rows = []

    def Describe(self, request, context):
        return e.DescribeResponse(streams=[e.StreamInfo(name="S", columns=[
            e.ColumnInfo(name="v", type=e.TYPE_INT)])])

    def Submit(self, requests, context):
        self.calls += 1
        yield from self.script(self, self.calls, requests, context)

    def take(self, request):
        for b in request.batches:
            self.rows += [request.first_seq + i for i in range(b.row_count)]


class Submitting(Case):
    """What efx submit does when a cluster moves, goes back, or forgets."""

    def serve(self, script):
        fake = Fake(script)
        server = grpc.server(futures.ThreadPoolExecutor(8))
        eg.add_EventFluxServicer_to_server(fake, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self.addCleanup(server.stop, None)
        lines = "".join(f'{{"v":{i}}}\n' for i in range(100))
        got = self.efx("submit", "S", "--to", f"127.0.0.1:{port}", "--batch", "10", "--level",
                       "committed", "--session", "s", stdin=lines)
        return fake, got

    def opened(self, next_seq, known, **levels):
        return e.SubmitAck(opened=e.Opened(next_seq=next_seq, known=known), **levels)

    def test_a_call_that_breaks_goes_on_from_the_row_that_is_next(self):
        def script(fake, call, requests, context):
            next(requests)
            if call == 1:
                yield self.opened(1, False)
                for _ in range(4):
                    fake.take(next(requests))
                yield e.SubmitAck(accepted=40, committed=20)
                context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
            yield self.opened(31, True, accepted=30, committed=30)
            for r in requests:
                fake.take(r)
                if fake.rows[-1] == 100:
                    yield e.SubmitAck(accepted=100, committed=100)
        fake, (code, _, err) = self.serve(script)
        self.assertEqual(code, 0, err)
        self.assertEqual(fake.rows[:40], list(range(1, 41)))
        again = fake.rows[fake.rows.index(31, 40):]
        self.assertEqual(again, list(range(31, 101)))
        self.assertIn("100 committed", err)

    def test_a_cluster_that_goes_back_is_sent_the_rows_again(self):
        def script(fake, call, requests, context):
            next(requests)
            yield self.opened(1, False)
            back = False
            for r in requests:
                fake.take(r)
                if fake.rows[-1] == 100 and not back:
                    back = True
                    yield e.SubmitAck(accepted=100, committed=50)
                    yield e.SubmitAck(accepted=50, committed=50, resend_from=51)
                elif back and fake.rows[-1] == 100:
                    yield e.SubmitAck(accepted=100, committed=100)
        fake, (code, _, err) = self.serve(script)
        self.assertEqual(code, 0, err)
        self.assertEqual(fake.rows, list(range(1, 101)) + list(range(51, 101)))
        self.assertIn("50 sent again", err)

    def test_a_node_that_leaves_is_left(self):
        def script(fake, call, requests, context):
            next(requests)
            if call == 1:
                yield self.opened(1, False)
                fake.take(next(requests))
                yield e.SubmitAck(accepted=10, committed=10, moving=True)
                for r in requests:  # until the half-close
                    fake.take(r)
                return
            n = max(fake.rows)
            yield self.opened(n + 1, True, accepted=n, committed=10)
            if n == 100:
                yield e.SubmitAck(accepted=100, committed=100)
            for r in requests:
                fake.take(r)
                if fake.rows[-1] == 100:
                    yield e.SubmitAck(accepted=100, committed=100)
        fake, (code, _, err) = self.serve(script)
        self.assertEqual(code, 0, err)
        self.assertEqual((fake.calls, fake.rows), (2, list(range(1, 101))))

    def test_a_session_that_is_lost_is_told(self):
        def script(fake, call, requests, context):
            next(requests)
            if call == 1:
                yield self.opened(1, False)
                fake.take(next(requests))
                yield e.SubmitAck(accepted=10, committed=10)
                context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
            yield self.opened(1, False)
        _, (code, _, err) = self.serve(script)
        self.assertEqual(code, 1)
        self.assertIn("10 rows were committed", err)

    def test_somebody_else_has_the_session(self):
        def script(fake, call, requests, context):
            next(requests)
            context.abort(grpc.StatusCode.ABORTED, "EFX-4008: opened anew")
            yield
        _, (code, _, err) = self.serve(script)
        self.assertEqual(code, 1)
        self.assertIn("somebody else", err)


class Process(Case):
    def maps(self, pid):
        with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
            return f.read()

    def test_only_who_speaks_grpc_maps_it(self):
        app = self.file("app.sql", APP)
        with subprocess.Popen([EFX, "run", app, "--input", "-"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as p:
            p.stdin.write(b'{"stream":"S","ts":1,"data":{"k":"a","v":1}}\n')
            p.stdin.flush()
            self.assertIn(b'"a"', p.stdout.readline())
            maps = self.maps(p.pid)
            self.assertNotIn("libgrpc", maps)
            self.assertNotIn("libefx_grpc", maps)
            p.stdin.close()
            p.wait()
        with env.Node(EFX, APP) as node:
            self.assertIn("libefx_grpc.so", self.maps(node.process.pid))

    def test_a_program_without_its_library_says_so(self):
        alone = shutil.copy(EFX, os.path.join(self.dir, "efx"))
        p = subprocess.run([alone, "cluster", "status"], capture_output=True, timeout=60,
                           check=False)
        self.assertEqual(p.returncode, 1)
        self.assertIn(b"libefx_grpc.so is not there", p.stderr)

    def test_an_installed_program_finds_it(self):
        home = os.path.dirname(os.path.dirname(os.path.abspath(EFX)))
        subprocess.run(["cmake", "--install", home, "--prefix", self.dir], check=True,
                       stdout=subprocess.DEVNULL)
        with env.Node(os.path.join(self.dir, "bin", "efx"), APP) as node:
            self.assertIn(self.dir, self.maps(node.process.pid))
            self.assertEqual(node.stop(), 0)

    def test_a_listener_survives_that_descriptors_ran_out(self):
        app = self.file("app.sql", APP)
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))  # noqa: E731
        with open(os.path.join(self.dir, "log"), "wb") as log, \
                subprocess.Popen([EFX, "run", app, "--grpc", "127.0.0.1:0", "--output",
                                  os.path.join(self.dir, "out")], stderr=log,
                                 preexec_fn=limit) as p:
            address = None
            while address is None:
                time.sleep(0.05)
                with open(log.name, encoding="utf-8") as f:
                    words = f.read().split("gRPC on ")
                    address = words[1].split()[0] if len(words) > 1 else None
            host, port = address.rsplit(":", 1)
            flood = [socket.create_connection((host, int(port))) for _ in range(150)]
            time.sleep(2.5)  # the watch looks each second
            for s in flood:
                s.close()
            with grpc.insecure_channel(address) as channel:
                stub = eg.EventFluxStub(channel)
                until = time.monotonic() + 60
                while True:
                    try:
                        got = stub.Status(e.StatusRequest(), timeout=2)
                        break
                    except grpc.RpcError:
                        self.assertLess(time.monotonic(), until, "it never answers again")
            self.assertEqual(got.app, "app")
            p.send_signal(signal.SIGTERM)
            self.assertEqual(p.wait(timeout=60), 0)


class RoundRobin(Case):
    def test_no_call_fails_while_nodes_leave_and_return(self):
        nodes = [env.Node(EFX, APP) for _ in range(3)]
        addresses = [n.address for n in nodes]
        config = {"loadBalancingConfig": [{"round_robin": {}}],
                  "healthCheckConfig": {"serviceName": "eventflux.v1.EventFlux"},
                  "methodConfig": [{"name": [{}], "retryPolicy": {
                      "maxAttempts": 4, "initialBackoff": "0.05s", "maxBackoff": "1s",
                      "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}
        stop, failed, n = threading.Event(), [], [0]

        def ask():
            options = [("grpc.service_config", json.dumps(config))]
            with grpc.insecure_channel("ipv4:" + ",".join(addresses), options) as channel:
                stub = eg.EventFluxStub(channel)
                while not stop.is_set():
                    try:
                        stub.Status(e.StatusRequest(), timeout=20)
                        n[0] += 1
                    except grpc.RpcError as x:
                        failed.append(x)
        asking = threading.Thread(target=ask)
        asking.start()
        try:
            for i in (0, 1):
                time.sleep(0.5)
                self.assertEqual(nodes[i].stop(), 0)
                time.sleep(0.5)
                args = ["--grpc", addresses[i]]
                nodes[i] = env.Node(EFX, APP, args)
            time.sleep(0.5)
        finally:
            stop.set()
            asking.join()
            for node in nodes:
                node.stop()
        self.assertEqual(failed, [])
        self.assertGreater(n[0], 50)


if __name__ == "__main__":
    unittest.main()
