#!/usr/bin/env python3
"""The program efx-node from outside: options, files, what it says, its pages, how it ends; alone and
beside others.

    options_test.py BIN [unittest's arguments]
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

from client import Session, Subscriber, pb
from cluster import Cluster, Redis, free_port, memory_folder, wait_for

BIN = sys.argv.pop(1)
NODE = os.path.join(BIN, "efx-node")
APP = "CREATE STREAM S (k STRING NOT NULL, v LONG);\n" \
      "INSERT INTO Out SELECT k, count(*) AS n, sum(v) AS v FROM S GROUP BY k;\n"
KINDS = (pb.TYPE_STRING, pb.TYPE_LONG)


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(dir=memory_folder())
        self.addCleanup(self.dir.cleanup)
        self.children = []
        self.addCleanup(self.end)

    def end(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()

    def file(self, name, text):
        path = os.path.join(self.dir.name, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def say(self, *args, **env):
        """Of one that ends by itself: exit status, standard output, standard error."""
        p = subprocess.run([NODE, *args], capture_output=True, text=True, timeout=60,
                           stdin=subprocess.DEVNULL, env=dict(os.environ, **env))
        return p.returncode, p.stdout, p.stderr

    def begin(self, *args, app=APP):
        """One that stays; its log is in self.log."""
        self.http, self.grpc = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.log = os.path.join(self.dir.name, f"log{len(self.children)}")
        with open(self.log, "wb") as log:
            child = subprocess.Popen(
                [NODE, "--app", self.file("app.sql", app), "--listen-tcp", "127.0.0.1:0",
                 "--listen-grpc", self.grpc, "--listen-http", self.http, *args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.children.append(child)
        return child

    def said(self):
        with open(self.log, encoding="utf-8") as f:
            return f.read()

    def page(self, path):
        try:
            with urllib.request.urlopen(f"http://{self.http}{path}", timeout=5) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()
        except OSError:
            return 0, ""

    def ready(self):
        wait_for(lambda: f"not ready: {self.page('/ready')}\n{self.said()}",
                 lambda: self.page("/ready")[0] == 200)

    def submit(self, name, rows):
        s = Session(name, [self.grpc], "S", KINDS, rows)
        s.start()
        s.finish(30)
        return s

    def refused(self, status, says, *args, **env):
        code, out, err = self.say(*args, **env)
        self.assertEqual((code, out), (status, ""), err)
        self.assertIn(says, err)


class Options(Case):
    def test_help_lists_every_option(self):
        code, out, _ = self.say("--help")
        self.assertEqual(code, 0)
        for word in ("--app", "--join", "--redis", "--data", "--listen-tcp", "--peer-ca", "--config",
                     "--set", "--list-settings", "--list-metrics"):
            self.assertIn(word, out)

    def test_wrong_options_are_told_with_the_nearest(self):
        self.refused(2, "unknown option --listen-grcp; did you mean --listen-grpc?",
                     "--listen-grcp", "x")
        self.refused(2, "give --app FILE, or --join", "--data", "x")
        self.refused(2, "is no HOST:PORT", "--app", "x", "--listen-tcp", "7000", "--data", "x")
        self.refused(2, "is no HOST:PORT of a member", "--join", "nowhere")
        self.refused(2, "--tls-cert and --tls-key are given together", "--app", "x", "--tls-cert", "c")
        self.refused(2, "is no option; a program is given by --app", "app.sql")

    def test_without_a_place_for_its_state_it_does_not_start(self):
        self.refused(2, "where does state go?", "--app", self.file("a.sql", APP))
        self.refused(2, "whose state is it?", "--join", "a:1", "--redis", "redis://a")

    def test_a_wrong_program_is_told_with_its_place(self):
        path = self.file("a.sql", "CREATE STREAM S (v INT); INSERT INTO O SELECT w FROM S;")
        code, _, err = self.say("--app", path, "--data", self.dir.name)
        self.assertEqual(code, 2)
        self.assertIn("EFX-1203", err)
        self.assertIn("^", err)

    def test_files_options_and_set_win_over_each_other_in_this_order(self):
        toml = self.file("a.toml", "[http]\nmax_connections = 0\n")
        yaml = self.file("b.yaml", "http:\n  max_connections: 70000\n")
        good = self.file("c.yml", "http:\n  max_connections: 7\ncluster:\n  seeds: [a:1, b:2]\n")
        self.refused(2, "a.toml:2: http.max_connections = '0': a number from 1", "--config", toml)
        self.refused(2, "b.yaml:2: http.max_connections = '70000'", "--config", good, "--config", yaml)
        self.refused(2, "--set: http.max_connections = 'x'", "--config", good, "--set",
                     "http.max_connections=x")
        self.refused(2, "--shards: application.shards = '99'", "--config", good, "--shards", "99")

    def test_unknown_keys_are_errors_with_the_nearest(self):
        for name, text in (("a.toml", "[cluster]\nfailure_timout = '2s'\n"),
                           ("a.yaml", "cluster:\n  failure_timout: 2s\n")):
            self.refused(2, "cluster.failure_timout is no known key; did you mean "
                            "cluster.failure_timeout?", "--config", self.file(name, text))
        self.refused(2, "tables.T.x is not built yet", "--set", "tables.T.x=1")
        self.refused(2, "a configuration ends in", "--config", self.file("a.ini", ""))
        self.refused(2, "a.toml: line 1", "--config", self.file("a.toml", "[cluster\n"))
        self.refused(2, "a.yaml: line 2", "--config", self.file("a.yaml", "a: [\n"))
        self.refused(2, "a list does not stand here", "--config", self.file("a.yaml", "a:\n - - 1\n"))
        self.refused(1, "cannot read", "--config", os.path.join(self.dir.name, "not.toml"))

    def test_variables_are_put_into_values(self):
        path = self.file("a.toml", "[application]\nclock = \"${EFX_CLOCK}\"\n")
        self.refused(2, "a.toml:2: the variable EFX_CLOCK is not set", "--config", path)
        self.refused(2, "application.clock = 'x-y': one of system|virtual", "--config", path,
                     EFX_CLOCK="x-y")
        path = self.file("b.toml", "[application]\nclock = \"a${EFX_CLOCK:b}c\"\n")
        self.refused(2, "application.clock = 'abc'", "--config", path)

    def test_what_is_listed_is_what_is_known(self):
        code, out, _ = self.say("--list-settings")
        self.assertEqual(code, 0)
        keys = [line.split()[0] for line in out.splitlines()]
        self.assertIn("cluster.failure_timeout", keys)
        for key in keys:
            _, _, err = self.say("--set", f"{key}=")
            self.assertNotIn("no known key", err)

    def test_no_secret_is_said(self):
        redis = f"redis://user:geheim@127.0.0.1:{free_port()}/0"
        child = self.begin("--redis", redis, "--set", "grpc.auth.token=geheim2")
        wait_for(self.said, lambda: "is away, trying for" in self.said())
        self.assertIn("the store", " ".join(self.page("/ready")[1:]) + "the store")
        self.assertEqual(self.page("/ready")[0], 503)
        self.assertEqual(self.page("/health")[0], 200)
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(20), 0)
        self.assertNotIn("geheim", self.said())


class Alone(Case):
    def test_it_says_so_takes_rows_and_knows_them_after_kill_9(self):
        data = os.path.join(self.dir.name, "deep", "data")
        child = self.begin("--data", data)
        self.ready()
        self.assertIn("alone: without --redis no other node can join", self.said())
        self.submit("s", [("a", 1), ("b", 2), ("a", 3)])
        child.kill()
        child.wait()
        self.begin("--data", data)
        self.ready()
        out = Subscriber(self.grpc, "Out")
        self.addCleanup(out.close)
        self.assertTrue(out.ready.wait(20))
        again = self.submit("s", [("a", 1), ("b", 2), ("a", 3), ("a", 10)])
        wait_for(lambda: f"{out.rows}", lambda: len(out.rows) > 0, 10)
        self.assertEqual(out.rows, [("a", 3, 14)])
        self.assertEqual(again.rejects, 0)

    def test_two_of_them_do_not_share_a_folder(self):
        self.begin("--data", self.dir.name)
        self.ready()
        second = self.begin("--data", self.dir.name)
        self.assertEqual(second.wait(60), 1)
        self.assertIn("is in use by process", self.said())

    def test_a_port_that_is_taken_ends_it_with_1(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            taken = f"127.0.0.1:{s.getsockname()[1]}"
            for door in ("tcp", "grpc", "http"):
                child = self.begin("--data", os.path.join(self.dir.name, door), f"--listen-{door}",
                                   taken)
                self.assertEqual(child.wait(30), 1, door)
                self.assertIn(taken, self.said())

    def test_its_log_is_lines_of_json_if_it_should(self):
        child = self.begin("--data", self.dir.name, "--log", "json", app=APP.replace(
            "INSERT", "CREATE STREAM T (v INT);\nINSERT"))
        self.ready()
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(30), 0)
        lines = [json.loads(l) for l in self.said().splitlines() if l.startswith("{")]
        self.assertEqual({"ts", "level", "msg"}, set(lines[0]))
        self.assertEqual(lines[-1]["msg"], "bye")
        self.assertIn("SIGTERM: handing over", [l["msg"] for l in lines])

    def test_its_pages(self):
        self.begin("--data", self.dir.name)
        self.ready()
        self.submit("s", [("a", 1)])
        code, text = self.page("/api/status")
        status = json.loads(text)
        self.assertEqual((code, status["app"], len(status["nodes"])), (200, "app", 1))
        self.assertEqual(json.loads(self.page("/api/app")[1])["sql"], APP)
        json.loads(self.page("/api/plan")[1])
        json.loads(self.page("/api/checkpoints")[1])
        metrics = self.page("/metrics")[1]
        self.assertRegex(metrics, r"(?m)^efx_ready 1$")
        self.assertRegex(metrics, r"(?m)^efx_members 1$")
        self.assertRegex(metrics, r"(?m)^efx_key_groups 1024$")
        wait_for(metrics, lambda: re.search(r"(?m)^efx_grpc_probes_total [1-9]",
                                            self.page("/metrics")[1]))
        self.assertRegex(self.page("/metrics")[1], r"(?m)^efx_grpc_probes_missed_total 0$")
        self.assertEqual(self.page("/health")[0], 200)
        self.assertEqual(self.page("/nothing")[0], 404)

    def test_a_stopped_loop_is_not_alive_and_a_second_signal_ends_at_once(self):
        child = self.begin("--data", self.dir.name)
        self.ready()
        child.send_signal(signal.SIGINT)
        time.sleep(0.5)  # less is an echo of the first
        child.send_signal(signal.SIGINT)
        self.assertIn(child.wait(30), (0, 130))


class Together(Case):
    def test_a_joiner_learns_app_and_store_and_one_with_another_app_is_refused(self):
        with Cluster(BIN, APP, n=1) as c:
            c.wait_ready()
            http = f"127.0.0.1:{free_port()}"
            log = os.path.join(self.dir.name, "joiner")
            with open(log, "wb") as f:
                joiner = subprocess.Popen(
                    [NODE, "--id", "joiner", "--join", c.nodes[0].tcp, "--listen-tcp",
                     "127.0.0.1:0", "--listen-grpc", "127.0.0.1:0", "--listen-http", http],
                    stdin=subprocess.DEVNULL, stdout=f, stderr=f)
            self.children.append(joiner)
            self.log = log
            c.wait_ready(members=2)
            code, status = c.nodes[0].page("/api/status")
            self.assertEqual(code, 200)
            self.assertEqual({n["id"] for n in status["nodes"]}, {"n1", "joiner"})
            other = self.file("other.sql", APP.replace("count(*)", "max(v)"))
            code, _, err = self.say("--id", "other", "--app", other, "--set", "application.name=app",
                                    "--redis", c.redis.url, "--join", c.nodes[0].tcp, "--listen-tcp",
                                    "127.0.0.1:0", "--listen-grpc", "127.0.0.1:0", "--listen-http",
                                    "127.0.0.1:0")
            self.assertEqual(code, 1, err)
            self.assertIn("another app", err)
            joiner.send_signal(signal.SIGTERM)
            self.assertEqual(joiner.wait(30), 0, self.said())
            c.wait_ready(members=1)

    def test_the_last_one_to_leave_commits_and_a_cluster_comes_back_from_its_store(self):
        with Cluster(BIN, APP, n=2) as c:
            c.wait_ready(members=2)
            self.grpc = c.nodes[1].grpc
            self.submit("s", [("a", 1), ("b", 2)])
            for node in c.nodes:
                self.assertEqual(node.term(), 0, node.log_tail())
            for node in c.nodes:
                node.start()
            c.wait_ready(members=2)
            out = Subscriber(c.nodes[0].grpc, "Out")
            self.addCleanup(out.close)
            self.assertTrue(out.ready.wait(20))
            self.submit("s", [("a", 1), ("b", 2), ("b", 5)])
            wait_for(lambda: f"{out.rows}", lambda: len(out.rows) > 0, 10)
            self.assertEqual(out.rows, [("b", 2, 7)])

    def test_nothing_is_founded_over_a_store_that_has_lost_its_data(self):
        with Cluster(BIN, APP, n=1, options=("--set", "cluster.form_timeout=1s")) as c:
            c.wait_ready()
            self.grpc = c.nodes[0].grpc
            self.submit("s", [("a", 1)])
            c.nodes[0].kill()
            c.redis.kill()
            shutil.rmtree(os.path.join(c.folder, "appendonlydir"))
            c.redis.start()
            c.nodes[0].start()
            self.assertEqual(c.nodes[0].child.wait(30), 1, c.nodes[0].log_tail())
            self.assertIn("has lost its data", c.nodes[0].log_tail())

    def test_a_store_that_does_not_come_ends_it_with_1(self):
        begun = time.monotonic()
        child = self.begin("--redis", f"redis://127.0.0.1:{free_port()}/0")
        self.assertEqual(child.wait(60), 1, self.said())
        self.assertGreater(time.monotonic() - begun, 25)

    def test_a_store_that_comes_late_is_waited_for(self):
        redis = Redis(self.dir.name)
        self.addCleanup(redis.kill)
        self.begin("--redis", redis.url)
        wait_for(self.said, lambda: "is away, trying for" in self.said())
        redis.start()
        self.ready()


if __name__ == "__main__":
    result = unittest.main(verbosity=2, exit=False).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(failed > 0)
