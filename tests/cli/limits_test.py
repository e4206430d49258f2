#!/usr/bin/env python3
"""Every limit of docs/runtime.md is reached, and what happens there is what the page says; file sinks that
put files aside; signals."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

EFX = sys.argv.pop(1) if len(sys.argv) > 1 else "efx"
S = "CREATE STREAM S (k STRING, v INT); "


def event(ts, data, stream="S"):
    return json.dumps({"stream": stream, "ts": ts, "data": data}) + "\n"


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def path(self, name):
        return os.path.join(self.dir.name, name)

    def app(self, sql):
        with open(self.path("app.sql"), "w", encoding="utf-8") as f:
            f.write(sql)
        return self.path("app.sql")

    def efx(self, *args, stdin=""):
        p = subprocess.run([EFX, *args], input=stdin.encode(), capture_output=True, timeout=120)
        return p.returncode, p.stdout.decode(), p.stderr.decode()

    def run_app(self, sql, *args, stdin=""):
        return self.efx("run", self.app(sql), "--clock", "virtual", "--input", "-", *args, stdin=stdin)

    def rows(self, out):
        return [list(json.loads(line)["data"].values()) for line in out.splitlines()]


class Texts(Case):
    def refused(self, sql, code):
        status, _, err = self.efx("check", self.app(sql))
        self.assertEqual(status, 2, err[:300])
        self.assertIn(code, err)

    def test_a_program_has_a_mebibyte(self):
        fits = S + "INSERT INTO O SELECT v FROM S; "
        self.assertEqual(self.efx("check", self.app(fits + " " * (1048576 - len(fits))))[0], 0)
        self.refused(fits + " " * (1048577 - len(fits)), "EFX-1010")

    def test_expressions_nest_200_deep(self):
        sql = S + "INSERT INTO O SELECT %sv%s AS v FROM S;"
        self.assertEqual(self.efx("check", self.app(sql % ("(" * 150, ")" * 150)))[0], 0)
        self.refused(sql % ("(" * 201, ")" * 201), "EFX-1007")

    def test_a_stream_has_1024_columns(self):
        def columns(n):
            return "CREATE STREAM W (" + ", ".join(f"c{i} INT" for i in range(n)) + ");"
        self.assertEqual(self.efx("check", self.app(columns(1024)))[0], 0)
        self.refused(columns(1025), "EFX-1113")


class Rows(Case):
    def test_a_line_has_16_mebibytes(self):
        text = "x" * (16 * 1024 * 1024)
        lines = event(1, ["a", 1]) + event(2, [text, 2]) + event(3, ["b", 3])
        for shards in ("1", "2"):
            code, out, err = self.run_app(S + "INSERT INTO O SELECT length(k) AS n, v FROM S;", "--shards", shards,
                                          stdin=lines)
            self.assertEqual(code, 0, err[-300:])
            self.assertEqual(self.rows(out), [[1, 1], [1, 3]])
            self.assertIn("EFX-3001", err)
            self.assertIn("1 data error", err)

    def test_an_event_sends_so_many_rows_round_a_loop(self):
        sql = S + "INSERT INTO L SELECT v FROM S; INSERT INTO L SELECT v + 1 AS v FROM L; " \
                  "INSERT INTO O SELECT count(*) AS n FROM L;"
        code, out, err = self.run_app(sql, "--only", "O", "--set", "loop.max_rows=1000",
                                      stdin=event(1, ["a", 1]) + event(2, ["a", 1]))
        self.assertEqual(code, 0, err)
        self.assertEqual(self.rows(out)[-1], [2002])
        self.assertIn("2 data errors", err)
        self.assertIn("EFX-3105", err)

    def test_a_query_has_so_many_partial_matches(self):
        sql = S + "INSERT INTO O SELECT e1.v AS a, e2.v AS b FROM PATTERN (EVERY e1=S[v < 10] -> e2=S[v = 10]);"
        lines = "".join(event(i, ["a", i % 10]) for i in range(8)) + event(9, ["a", 10])
        code, out, err = self.run_app(sql, "--set", "pattern.max_partials=5", stdin=lines)
        self.assertEqual(code, 0, err)
        self.assertEqual(self.rows(out), [[i, 10] for i in range(5)])
        self.assertIn("3 data errors", err)
        self.assertIn("EFX-3106", err)

    def test_a_move_of_the_clock_fires_a_trigger_so_often(self):
        sql = S + "CREATE TRIGGER T AT EVERY 10 ms; INSERT INTO O SELECT triggered_time AS t FROM T;"
        code, out, err = self.run_app(sql, "--set", "trigger.max_catch_up=3",
                                      stdin=event(1000, ["a", 1]) + event(2000, ["a", 1]))
        self.assertEqual(code, 0, err)
        self.assertEqual(self.rows(out), [[1980], [1990], [2000]])
        self.assertIn("97", err)

    def test_state_beyond_its_bytes_stops_the_program(self):
        sql = S + "INSERT INTO O SELECT k, count(*) AS n FROM S GROUP BY k;"
        lines = "".join(event(i, [f"a key that is not short {i}", 1]) for i in range(60000))
        code, _, err = self.run_app(sql, "--set", "state.max_bytes=2000000", stdin=lines)
        self.assertEqual(code, 1, err[-300:])
        self.assertIn("state.max_bytes", err)

    def test_ten_bad_lines_a_second_are_told(self):
        code, _, err = self.run_app(S + "INSERT INTO O SELECT v FROM S;", stdin="{bad\n" * 500)
        self.assertEqual(code, 0)
        told = err.count("standard input line")
        self.assertTrue(10 <= told < 200, told)
        self.assertIn("500 data errors", err)

    def test_the_log_level_of_a_stream_decides_what_is_told(self):
        for level, told in (("debug", 0), ("error", 1)):
            sql = f"CREATE STREAM S (k STRING, v INT) WITH ('error.log-level' = '{level}'); " \
                  "INSERT INTO O SELECT v FROM S;"
            code, _, err = self.run_app(sql, stdin=event(1, ["a", "x"]))
            self.assertEqual(code, 0, err)
            self.assertEqual(err.count("line 1: EFX-3002"), told)
            self.assertIn("1 data error", err)

    def test_an_unknown_stream_is_named(self):
        code, _, err = self.run_app("CREATE STREAM Trades (v INT); INSERT INTO O SELECT v FROM Trades;",
                                    stdin=event(1, [1], "Trade") + event(2, [1], "Zzzzzzzzz") + "{\"stream\": 1}\n")
        self.assertEqual(code, 0)
        self.assertIn("line 1: EFX-3001: payload unreadable: no stream 'Trade' takes events; did you mean 'Trades'?", err)
        self.assertIn("line 2: EFX-3001: payload unreadable: no stream 'Zzzzzzzzz' takes events\n", err)
        self.assertIn("3 data errors", err)

    def test_uuids_of_one_flush_are_all_different(self):
        sql = S + "INSERT INTO O SELECT k, uuid() AS u FROM S WINDOW lengthBatch(5000) GROUP BY k;"
        lines = "".join(event(1, [f"k{i}", 1]) for i in range(5000))
        seen = []
        for batch in ("7", "4096"):
            code, out, err = self.run_app(sql, "--seed", "1", "--shards", "1", "--set", f"application.max_batch={batch}",
                                          stdin=lines)
            self.assertEqual(code, 0, err)
            seen.append([u for _, u in self.rows(out)])
            self.assertEqual(len(set(seen[-1])), 5000)
        self.assertEqual(len(seen[0]), len(seen[1]))


class FileSink(Case):
    def write(self, more, n=2000):
        target = self.path("out.json")
        sql = f"""CREATE STREAM S (v INT); CREATE STREAM T (v INT) WITH (type = 'sink', extension = 'file',
                  format = 'json', 'file.path' = '{target}', 'json.timestamp.field' = '' {more});
                  INSERT INTO T SELECT v FROM S;"""
        lines = "".join(event(i, [i]) for i in range(n))
        code, _, err = self.run_app(sql, stdin=lines)
        self.assertEqual(code, 0, err)
        return sorted(os.listdir(self.dir.name))

    def values(self, names):
        values = []
        for name in names:
            with open(self.path(name), "rb") as f:
                data = f.read()
            if name.endswith(".zst"):
                data = subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout
            values.append([json.loads(line)["v"] for line in data.splitlines()])
        return values

    def test_a_file_of_some_size_is_put_aside(self):
        names = [n for n in self.write(", 'file.rotate.size.bytes' = '4096'") if n.startswith("out.json")]
        self.assertGreater(len(names), 3)
        parts = self.values(names)
        self.assertEqual(sorted(v for p in parts for v in p), list(range(2000)))
        for p in parts:
            self.assertEqual(p, sorted(p))
        for name in names:
            self.assertLess(os.path.getsize(self.path(name)), 8192)

    def test_what_is_put_aside_is_packed(self):
        names = self.write(", 'file.rotate.size.bytes' = '4096', 'file.rotate.compression' = 'zstd'")
        packed = [n for n in names if n.endswith(".zst")]
        self.assertGreater(len(packed), 3, names)
        plain = [n for n in names if n.startswith("out.json") and n not in packed]
        self.assertEqual(sorted(v for p in self.values(packed + plain) for v in p), list(range(2000)))


class Signals(Case):
    def start(self, sql, *args):
        return subprocess.Popen([EFX, "run", self.app(sql), "--clock", "virtual", *args], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_a_signal_under_load_drains(self):
        sql = """CREATE STREAM S (v LONG) WITH (type = 'source', extension = 'datagen', 'datagen.rate' = '0',
                   'datagen.v.kind' = 'sequence');
                 INSERT INTO O SELECT count(*) AS n FROM S OUTPUT LAST EVERY 10000 EVENTS;"""
        for shards in ("1", "2"):
            p = self.start(sql, "--shards", shards)
            first = p.stdout.readline()
            self.assertEqual(json.loads(first)["data"], {"n": 10000})
            p.send_signal(signal.SIGINT)
            out, err = p.communicate(timeout=60)
            self.assertEqual(p.returncode, 0, err.decode()[-300:])
            last = json.loads((first + out).splitlines()[-1])["data"]["n"]
            rows_in = int(err.decode().split("efx: ")[1].split(" row")[0])
            self.assertEqual(last, rows_in)

    def test_a_second_signal_ends_it_at_once(self):
        p = self.start("CREATE STREAM S (v INT); INSERT INTO O SELECT v FROM S;", "--input", "-", "--output", "-")
        p.stdin.write(b'{"stream":"S","ts":1,"data":[1]}\n')
        p.stdin.flush()
        p.stdout.readline()
        os.kill(p.pid, signal.SIGSTOP) # both are there when it goes on
        p.send_signal(signal.SIGINT)
        p.send_signal(signal.SIGTERM)
        os.kill(p.pid, signal.SIGCONT)
        p.wait(timeout=60)
        self.assertEqual(p.returncode, 130)
        p.communicate()


if __name__ == "__main__":
    unittest.main()
