#!/usr/bin/env python3
"""The program `efx` from outside: exit codes, what goes to which stream, inputs, outputs, .test files."""

import gzip
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

EFX = sys.argv.pop(1) if len(sys.argv) > 1 else "efx"
APP = "CREATE STREAM S (k STRING, v INT); INSERT INTO Out SELECT k, v FROM S WHERE v > 1;"
TWO = "CREATE STREAM A (v INT); CREATE STREAM B (v INT); " \
      "INSERT INTO Out SELECT 'a' AS s, v FROM A; INSERT INTO Out SELECT 'b' AS s, v FROM B;"


def event(stream, ts, data):
    return json.dumps({"stream": stream, "ts": ts, "data": data}) + "\n"


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def file(self, name, text):
        path = os.path.join(self.dir.name, name)
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        return path

    def efx(self, *args, stdin=""):
        p = subprocess.run([EFX, *args], input=stdin.encode(), capture_output=True, timeout=60)
        return p.returncode, p.stdout.decode(), p.stderr.decode()

    def run_app(self, sql, *args, stdin="", clock="virtual"):
        app = self.file("app.sql", sql)
        return self.efx("run", app, "--clock", clock, *args, stdin=stdin)

    def rows(self, out):
        return [list(json.loads(line)["data"].values()) for line in out.splitlines()]


class Run(Case):
    def test_rows_go_to_standard_output_and_a_summary_to_standard_error(self):
        code, out, err = self.run_app(APP, "--input", "-", stdin=event("S", 1, ["a", 2]) + event("S", 2, {"v": 1}))
        self.assertEqual(code, 0, err)
        self.assertEqual(out, '{"stream":"Out","ts":1,"data":{"k":"a","v":2}}\n')
        self.assertIn("2 rows in, 1 row out, 0 data errors", err)

    def test_a_run_that_nothing_brings_events_to_says_how_to(self):
        code, out, err = self.run_app(APP, stdin=event("S", 1, ["a", 2]))
        self.assertEqual((code, out), (0, ""))
        self.assertIn("--input - for standard input", err)
        self.assertNotIn("--input", self.run_app(APP, "--input", "-")[2])

    def test_bad_lines_are_told_with_their_number_and_the_run_goes_on(self):
        lines = event("S", 1, ["a", 2]) + "nonsense\n" + event("S", 2, {"zz": 1}) + event("X", 2, {}) + \
            event("S", 3, ["b", 3])
        code, out, err = self.run_app(APP, "--input", "-", stdin=lines)
        self.assertEqual(code, 0)
        self.assertEqual(self.rows(out), [["a", 2], ["b", 3]])
        self.assertIn("standard input line 2: EFX-3001", err)
        self.assertIn("line 3: EFX-3002", err)
        self.assertIn("line 4: EFX-3001", err)
        self.assertIn("3 data errors", err)

    def test_advance_and_drain_move_the_virtual_clock(self):
        sql = "CREATE STREAM S (v INT); INSERT INTO Out SELECT count(*) AS n FROM S WINDOW tumbling(1 sec);"
        lines = event("S", 0, [1]) + '{"advance":1000}\n' + event("S", 1500, [1])
        code, out, _ = self.run_app(sql, "--input", "-", "--drain", "0ms", stdin=lines)
        self.assertEqual((code, self.rows(out)), (0, [[1]]))
        code, out, _ = self.run_app(sql, "--input", "-", "--drain", "1 sec", stdin=lines)
        self.assertEqual((code, self.rows(out)), (0, [[1], [1]]))

    def test_results_do_not_depend_on_batches_and_shards(self):
        lines = "".join(event("S", i, ["k%d" % (i % 7), i]) for i in range(500))
        want = self.run_app(APP, "--input", "-", stdin=lines)[1]
        self.assertEqual(len(want.splitlines()), 498)
        for args in (["--set", "application.max_batch=1"], ["--shards", "3"], ["--shards", "2", "--set",
                                                                               "application.max_batch=7"]):
            self.assertEqual(self.run_app(APP, "--input", "-", *args, stdin=lines)[1], want)

    def test_several_inputs_are_merged_by_timestamp_ties_in_their_order(self):
        a = self.file("a.ndjson", "".join(event("A", t, [t]) for t in (1, 3, 5)))
        b = self.file("b.ndjson", "".join(event("B", t, [t]) for t in (0, 3, 4)))
        code, out, err = self.run_app(TWO, "--input", a, "--input", b)
        self.assertEqual(code, 0, err)
        self.assertEqual(self.rows(out), [["b", 0], ["a", 1], ["a", 3], ["b", 3], ["b", 4], ["a", 5]])
        code, out, _ = self.run_app(TWO, "--input", b, "--input", a)
        self.assertEqual(self.rows(out)[2:4], [["b", 3], ["a", 3]])

    def test_rows_of_one_stream_come_from_csv_and_json_packed_or_not(self):
        csv = self.file("s.csv", 'v,k\n2,"x, y"\n,z\n3,w')
        code, out, err = self.run_app(APP, "--input", "S=" + csv)
        self.assertEqual((code, self.rows(out)), (0, [["x, y", 2], ["w", 3]]), err)
        packed = self.file("s.json.gz", gzip.compress(b'{"k":"a","v":2,"more":1}\n{"k":"b","v":"3"}'))
        code, out, err = self.run_app(APP, "--input", "S=" + packed)
        self.assertEqual((code, self.rows(out)), (0, [["a", 2], ["b", 3]]), err)
        cut = self.file("cut.json.gz", gzip.compress(b'{"k":"a","v":2}\n' * 100)[:-12])
        self.assertEqual(self.run_app(APP, "--input", "S=" + cut)[0], 1)

    def test_output_is_csv_or_a_table_or_a_file(self):
        lines = event("S", 1, ["a,b", 2])
        self.assertEqual(self.run_app(APP, "--input", "-", "--format", "csv", stdin=lines)[1], 'k,v\n"a,b",2\n')
        self.assertIn("-- Out\n", self.run_app(APP, "--input", "-", "--format", "table", stdin=lines)[1])
        path = os.path.join(self.dir.name, "out.ndjson")
        code, out, _ = self.run_app(APP, "--input", "-", "--output", path, stdin=lines)
        self.assertEqual((code, out), (0, ""))
        with open(path) as f:
            self.assertEqual(self.rows(f.read()), [["a,b", 2]])

    def test_only_names_streams_of_the_output(self):
        sql = APP + "INSERT INTO Other SELECT v FROM S;"
        lines = event("S", 1, ["a", 2])
        self.assertEqual(len(self.run_app(sql, "--input", "-", stdin=lines)[1].splitlines()), 2)
        self.assertEqual(self.rows(self.run_app(sql, "--input", "-", "--only", "Other", stdin=lines)[1]), [[2]])
        code, _, err = self.run_app(sql, "--input", "-", "--only", "Othr", stdin=lines)
        self.assertEqual(code, 2)
        self.assertIn("did you mean 'Other'", err)
        self.assertEqual(self.run_app(sql, "--input", "-", "--format", "csv", stdin=lines)[0], 2)

    def test_faults_have_their_exit_status(self):
        code, out, err = self.run_app("CREATE STREAM S (v INT); INSERT INTO Out SELECT w FROM S;", "--input", "-")
        self.assertEqual(code, 2)
        self.assertIn("EFX-1203", err)
        self.assertIn("^", err)
        for args, want in ((["--input", "/none"], 1), (["--input", "-", "--output", "/none/x"], 1),
                           (["--inptu", "-"], 2), (["--format", "xml"], 2), (["--set", "application.max_bath=1"], 2),
                           (["--set", "application.max_batch=0"], 2), (["--drain", "soon"], 2),
                           (["--restore", "last"], 2), (["--input", "T=" + self.file("t", "")], 2)):
            code, _, err = self.run_app(APP, *args)
            self.assertEqual(code, want, (args, err))
            self.assertEqual(len(err.splitlines()), 1, err)
        self.assertEqual(self.efx("run", "/none.sql")[0], 1)

    def test_a_data_error_under_fail_ends_the_run(self):
        sql = "CREATE STREAM S (v INT) WITH ('error.strategy' = 'fail'); INSERT INTO Out SELECT v FROM S;"
        self.assertEqual(self.run_app(sql, "--input", "-", stdin=event("S", 1, ["x"]))[0], 1)

    def test_a_reader_that_goes_away_ends_it_quietly(self):
        app = self.file("app.sql", APP)
        data = self.file("in.ndjson", "".join(event("S", i, ["k", 2]) for i in range(30000)))
        p = subprocess.Popen([EFX, "run", app, "--clock", "virtual", "--input", data], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        p.stdout.readline()
        p.stdout.close()
        self.assertEqual(p.stderr.read(), b"")
        p.stderr.close()
        self.assertEqual(p.wait(60), 0)

    def test_output_comes_while_input_stays_open_and_a_signal_drains(self):
        app = self.file("app.sql", APP)
        p = subprocess.Popen([EFX, "run", app, "--clock", "system", "--input", "-"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        p.stdin.write(event("S", 1, ["a", 2]).encode())
        p.stdin.flush()
        self.assertEqual(json.loads(p.stdout.readline())["data"], {"k": "a", "v": 2})
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=60)
        self.assertEqual(p.returncode, 0)
        self.assertIn(b"1 row in", err)

    def test_timers_of_the_system_clock_fire_by_themselves(self):
        app = self.file("app.sql", "CREATE STREAM S (v INT); INSERT INTO Out SELECT count(*) AS n FROM S "
                                   "WINDOW tumbling(100 ms);")
        p = subprocess.Popen([EFX, "run", app, "--clock", "system", "--input", "-"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        p.stdin.write(b'{"stream":"S","data":[1]}\n')
        p.stdin.flush()
        self.assertEqual(json.loads(p.stdout.readline())["data"], {"n": 1})
        p.communicate(timeout=60)
        self.assertEqual(p.returncode, 0)


class Connectors(Case):
    def test_file_to_file(self):
        source = self.file("in.json", '{"v":1}\n{"v":"x"}\n{"v":3}\n')
        target = os.path.join(self.dir.name, "out.json")
        sql = f"""CREATE STREAM S (v INT) WITH (type = 'source', extension = 'file', format = 'json',
                    'file.path' = '{source}', 'file.follow' = 'false');
                  CREATE STREAM T (v INT) WITH (type = 'sink', extension = 'file', format = 'json',
                    'file.path' = '{target}', 'json.timestamp.field' = '');
                  INSERT INTO T SELECT v FROM S;"""
        code, out, err = self.run_app(sql)
        self.assertEqual((code, out), (0, ""), err)
        self.assertIn("line 2: EFX-3002", err)
        with open(target) as f:
            self.assertEqual(f.read(), '{"v":1}\n{"v":3}\n')

    def test_a_followed_file_is_read_on_over_rotation(self):
        source = self.file("in.log", '{"v":1}\n')
        app = self.file("app.sql", f"""CREATE STREAM S (v INT) WITH (type = 'source', extension = 'file',
            format = 'json', 'file.path' = '{source}', 'file.poll.interval.ms' = '10');
            INSERT INTO Out SELECT v FROM S;""")
        p = subprocess.Popen([EFX, "run", app, "--clock", "virtual"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)

        def next_v():
            return json.loads(p.stdout.readline())["data"]["v"]
        self.assertEqual(next_v(), 1)
        with open(source, "a") as f:
            f.write('{"v":2}\n')
        self.assertEqual(next_v(), 2)
        os.rename(source, source + ".1")
        self.file("in.log", '{"v":3}\n')
        self.assertEqual(next_v(), 3)
        with open(source, "w") as f:
            f.write("")
        time.sleep(0.1)
        with open(source, "a") as f:
            f.write('{"v":4}\n')
        self.assertEqual(next_v(), 4)
        p.send_signal(signal.SIGTERM)
        p.communicate(timeout=60)
        self.assertEqual(p.returncode, 0)

    def test_generated_rows_are_the_same_each_time(self):
        sql = """CREATE STREAM G (id LONG, x DOUBLE, c STRING) WITH (type = 'source', extension = 'datagen',
                   'datagen.rate' = '0', 'datagen.rows' = '50', 'datagen.id.kind' = 'sequence',
                   'datagen.c.kind' = 'choice', 'datagen.c.values' = 'red, green');
                 INSERT INTO Out SELECT id, x, c FROM G;"""
        code, out, err = self.run_app(sql)
        self.assertEqual(code, 0, err)
        rows = self.rows(out)
        self.assertEqual([r[0] for r in rows], list(range(50)))
        self.assertEqual({r[2] for r in rows}, {"red", "green"})
        self.assertEqual(self.run_app(sql)[1], out)

    def test_nexmark_streams_fit_together(self):
        sql = "".join(f"CREATE STREAM {n} ({c}) WITH (type = 'source', extension = 'nexmark', 'nexmark.type' = '{n}', "
                      "'nexmark.events' = '500');" for n, c in (("person", "id LONG, dateTime TIMESTAMP"),
                                                                ("auction", "id LONG, seller LONG"),
                                                                ("bid", "auction LONG, price LONG")))
        sql += "INSERT INTO P SELECT id FROM person; INSERT INTO A SELECT id FROM auction; " \
               "INSERT INTO B SELECT auction FROM bid;"
        code, out, err = self.run_app(sql)
        self.assertEqual(code, 0, err)
        events = [json.loads(line) for line in out.splitlines()]
        count = {s: sum(e["stream"] == s for e in events) for s in "PAB"}
        self.assertEqual(count, {"P": 10, "A": 30, "B": 460})
        self.assertEqual([e["ts"] for e in events], sorted(e["ts"] for e in events))

    def test_the_log_sink_writes_readable_lines(self):
        sql = APP.replace("INSERT INTO Out", "CREATE STREAM L (k STRING, v INT) WITH (type = 'sink', extension = 'log');"
                          " INSERT INTO L")
        code, out, err = self.run_app(sql, "--input", "-", stdin=event("S", 5, ["x", 2]))
        self.assertEqual((code, out), (0, ""))
        self.assertIn('[LOG] L 5 k="x" v=2\n', err)


class Test(Case):
    def test_cases_pass_at_any_batch_and_shards(self):
        path = self.file("a.test", APP + """
# a comment
test rows pass
  S a, 2   @5     # comment
  S "b, c", 3 @6
  S x, 1
  expect Out
    a, 2   @5
    "b, c", 3
  S null, 9
  expect Out unordered
    null, 9
test nothing
  S a, 0 @1
  expect Out nothing
test count over a restart
  S a, 2 @1
  checkpoint
  restart
  S a, 2 @2
  rescale 2
  S a, 3 @3
  expect Out count 3
test a data error
  S a, x @1
  expect error EFX-3002
""")
        for args in ([], ["--shards", "2"], ["--set", "application.max_batch=1"]):
            code, out, err = self.efx("test", path, *args)
            self.assertEqual((code, out), (0, "passed 4 of 4\n"), err)

    def test_what_differs_is_shown(self):
        path = self.file("b.test", APP + "\ntest wrong\n  S a, 2 @1\n  S b, 3 @2\n  expect Out\n    a, 2\n    b, 4\n")
        code, out, _ = self.efx("test", path)
        self.assertEqual(code, 1)
        self.assertIn("b.test:5 wrong: Out", out)
        self.assertIn("    - b, 4\n", out)
        self.assertIn("    + b, 3   @2\n", out)
        self.assertIn("passed 0 of 1", out)

    def test_a_refused_program_may_be_what_is_expected(self):
        path = self.file("c.test", "CREATE STREAM S (v INT);\nINSERT INTO O SELECT w FROM S;\n"
                                   "test refused\n  expect error EFX-1203\n")
        self.assertEqual(self.efx("test", path)[0], 0)
        path = self.file("d.test", "CREATE STREAM S (v INT);\ntest bad\n  advance soon\n")
        code, _, err = self.efx("test", path)
        self.assertEqual(code, 2)
        self.assertIn("d.test:3", err)


class Rest(Case):
    def test_check_gives_schemas_or_errors_as_json(self):
        app = self.file("app.sql", APP)
        code, out, _ = self.efx("check", "--json", app)
        self.assertEqual(code, 0)
        self.assertEqual(json.loads(out)["streams"]["Out"], [{"name": "k", "type": "STRING"},
                                                             {"name": "v", "type": "INT"}])
        bad = self.file("bad.sql", "CREATE STREAM S (v INT); INSERT INTO Out SELECT w FROM S;")
        code, out, _ = self.efx("check", bad, "--json")
        self.assertEqual(code, 2)
        self.assertEqual(json.loads(out)["errors"][0]["code"], "EFX-1203")
        code, out, err = self.efx("check", bad)
        self.assertEqual((code, out), (2, ""))
        self.assertIn("EFX-1203", err)

    def test_explain_and_bench_say_something(self):
        app = self.file("app.sql", APP)
        self.assertIn("filter", self.efx("explain", app)[1])
        json.loads(self.efx("explain", "--json", app)[1])
        self.assertIn("digraph", self.efx("explain", "--dot", app)[1])
        data = self.file("in.ndjson", event("S", 1, ["a", 2]))
        self.assertEqual(self.efx("explain", app, "--analyze", "--input", data)[0], 0)
        code, out, err = self.efx("bench", app, "--events", "10000")
        self.assertEqual(code, 0, err)
        self.assertIn("events/s", out)

    def test_help_comes_from_the_tables(self):
        code, out, _ = self.efx("help", "source", "file")
        self.assertEqual(code, 0)
        self.assertIn("file.path", out)
        self.assertIn("--input", self.efx("run", "--help")[1])
        self.assertIn("datagen", self.efx("help", "source")[1])
        self.assertEqual(self.efx("help", "source", "kafkaesque")[0], 2)
        self.assertEqual(self.efx("rnu")[0], 2)
        self.assertTrue(self.efx("--version")[1].startswith("efx "))


if __name__ == "__main__":
    unittest.main()
