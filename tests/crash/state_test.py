#!/usr/bin/env python3
"""Checkpoints from outside: what a run keeps, and what it says when that is damaged, of another
program, somebody else's, or to be left behind.

    state_test.py EFX
"""
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

EFX = sys.argv[1]
ROWS = 20000

SOURCE = """CREATE STREAM T (at TIMESTAMP, k STRING, v INT) WITH ('event.time' = 'at');
"""
SUMS = "INSERT INTO Sums SELECT k, count() AS n, sum(v) AS s FROM T GROUP BY k;\n"
LAST = "INSERT INTO Last SELECT k, v FROM T WINDOW('length', 3) WHERE v > 5;\n"
SINK = """CREATE STREAM Sums (k STRING, n LONG, s LONG) WITH ('type' = 'sink', 'extension' = 'file',
    'file.path' = '%s', 'format' = 'json', 'delivery' = 'exactly-once');
"""


class Run(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="efx-state-")
        self.addCleanup(shutil.rmtree, self.dir, True)
        with open(self.path("t.ndjson"), "w", encoding="utf-8") as f:
            for i in range(ROWS):
                f.write('{"at":%d,"k":"k%d","v":%d}\n' % (1000 + i, i % 50, i % 11))

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def app(self, text, name="app.sql"):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def efx(self, *args, status=0, env=None):
        done = subprocess.run([EFX, *args], capture_output=True, text=True, timeout=60, check=False,
                              env=dict(os.environ, **(env or {})))
        self.assertEqual(done.returncode, status, done.stderr + done.stdout)
        return done

    def run_app(self, app, *more, status=0, env=None, rows="t.ndjson"):
        return self.efx("run", app, "--input", "T=" + self.path(rows), "--persistence-dir",
                        self.path("st"), "--checkpoint-interval", "5ms", *more, status=status,
                        env=env)

    def state(self, *args, status=0):
        return self.efx("state", *args, "--persistence-dir", self.path("st"), status=status)

    def revisions(self, app):
        return [line.split()[0] for line in self.state("ls", app).stdout.splitlines()]

    def manifests(self):
        return sorted(glob.glob(self.path("st", "app", "manifest-*")))

    def chunks(self):
        return sorted(glob.glob(self.path("st", "app", "chunks", "*")))


class Keeps(Run):
    def test_a_second_run_finds_nothing_new(self):
        app = self.app(SOURCE + SUMS)
        first = self.run_app(app)
        self.assertEqual(len(first.stdout.splitlines()), ROWS)
        again = self.run_app(app)
        self.assertEqual(again.stdout, "")
        self.assertIn("goes on from checkpoint", again.stderr)

    def test_lines_that_came_later_go_on(self):
        app = self.app(SOURCE + SUMS)
        self.run_app(app)
        with open(self.path("t.ndjson"), "a", encoding="utf-8") as f:
            f.write('{"at":90000,"k":"k0","v":1}\n')
        rows = self.run_app(app).stdout.splitlines()
        self.assertEqual(len(rows), 1)
        self.assertIn('"n":401', rows[0])

    def test_restore_none_starts_anew_and_numbers_go_on(self):
        app = self.app(SOURCE + SUMS)
        self.run_app(app)
        newest = self.manifests()[-1]
        again = self.run_app(app, "--restore", "none")
        self.assertEqual(len(again.stdout.splitlines()), ROWS)
        self.assertGreater(self.manifests()[-1], newest)
        self.run_app(app, "--restore", "none", env={"EFX_CRASH_AT": "after-manifest:1"},
                     status=-signal.SIGKILL)
        rows = self.run_app(app).stdout.splitlines()  # of the new beginning
        self.assertGreater(len(rows), ROWS // 2)

    def test_sigterm_keeps_and_the_next_run_goes_on(self):
        app = self.app("CREATE STREAM G (id LONG, k INT) WITH ('type' = 'source', 'extension' = "
                       "'datagen', 'datagen.rate' = '20000', 'datagen.rows' = '30000', "
                       "'datagen.id.kind' = 'sequence');\n"
                       "INSERT INTO N SELECT id, count() AS n FROM G;\n")
        args = [EFX, "run", app, "--persistence-dir", self.path("st"), "--output",
                self.path("out.ndjson"), "--clock", "virtual"]
        for wait in 0.5, 0.4:
            with subprocess.Popen(args, stderr=subprocess.PIPE, text=True) as p:
                time.sleep(wait)
                p.send_signal(signal.SIGTERM)
                _, errors = p.communicate(timeout=30)
                self.assertEqual(p.returncode, 0, errors)
        subprocess.run(args, check=True, timeout=60, capture_output=True)
        with open(self.path("out.ndjson"), encoding="utf-8") as f:
            rows = f.read().splitlines()
        self.assertEqual(len(rows), 30000)
        for i in 0, 9999, 29999:
            self.assertIn('"id":%d,"n":%d' % (i, i + 1), rows[i])

    def test_only_so_many_are_kept(self):
        app = self.app(SOURCE + SUMS)
        for _ in range(3):
            with open(self.path("t.ndjson"), "a", encoding="utf-8") as f:
                f.write('{"at":90000,"k":"k0","v":1}\n')
            self.run_app(app, "--set", "persistence.retain=2")
        self.assertEqual(len(self.manifests()), 2)
        named = self.state("inspect", app).stdout
        self.assertIn("all chunks are there and sound", named)
        oldest = int(os.path.basename(self.manifests()[0])[9:])
        for c in self.chunks():  # what only dropped checkpoints named is gone
            self.assertGreaterEqual(int(os.path.basename(c)[:20]), oldest - 1, c)

    def test_a_second_process_is_refused(self):
        app = self.app("CREATE STREAM G (id LONG) WITH ('type' = 'source', 'extension' = 'datagen', "
                       "'datagen.rate' = '100');\n"
                       "INSERT INTO N SELECT count() AS n FROM G;\n")
        args = [EFX, "run", app, "--persistence-dir", self.path("st")]
        with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as p:
            p.stdout.readline()
            other = subprocess.run(args, capture_output=True, text=True, timeout=30, check=False)
            p.kill()
        self.assertNotEqual(other.returncode, 0)
        self.assertRegex(other.stderr, "in use by process")

    def test_sqlite_and_memory_of_the_same_rows(self):
        app = self.app(SOURCE + SUMS)
        args = ["run", app, "--input", "T=" + self.path("t.ndjson"), "--sqlite", self.path("s.db"),
                "--checkpoint-interval", "5ms"]
        self.assertEqual(len(self.efx(*args).stdout.splitlines()), ROWS)
        self.assertEqual(self.efx(*args).stdout, "")

    def test_what_does_not_go_together_is_said(self):
        app = self.app(SOURCE + SUMS)
        self.assertIn("give one of", self.run_app(app, "--sqlite", "x", status=2).stderr)
        self.assertIn("needs a place", self.efx("run", app, "--restore", "last", status=2).stderr)
        sink = self.app(SOURCE + SINK % self.path("out") + SUMS, "sink.sql")
        self.assertIn("needs checkpoints", self.efx("run", sink, status=2).stderr)
        bad = self.app(SOURCE + SINK.replace("'format'", "'file.rotate.size.bytes' = '1000', "
                                             "'format'") % self.path("out") + SUMS, "bad.sql")
        self.assertIn("file.rotate", self.run_app(bad, status=2).stderr)


class Damaged(Run):
    def flip(self, path, every):
        """Each k-th byte, one at a time; yields with the file damaged."""
        with open(path, "rb") as f:
            whole = f.read()
        for at in range(0, len(whole), max(1, len(whole) // every)):
            with open(path, "wb") as f:
                f.write(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1:])
            yield at
        for n in 0, 1, len(whole) // 2, len(whole) - 1:
            with open(path, "wb") as f:
                f.write(whole[:n])
            yield -n
        with open(path, "wb") as f:
            f.write(whole)

    def test_damage_is_named_and_never_an_empty_start(self):
        app = self.app(SOURCE + SINK % self.path("out") + SUMS)
        self.run_app(app)
        newest = str(int(os.path.basename(self.manifests()[-1])[9:]))
        for _ in self.flip(self.manifests()[-1], 25):
            done = self.run_app(app, status=1)
            self.assertIn(newest, done.stderr)
            self.assertRegex(done.stderr, "damaged|cut short|bytes")
        self.run_app(app)

    def test_a_damaged_chunk_is_named(self):
        app = self.app(SOURCE + SINK % self.path("out") + SUMS)
        self.run_app(app)
        self.state("inspect", app)
        named = 0
        for path in self.chunks():
            with open(path, "rb") as f:
                whole = f.read()
            with open(path, "wb") as f:
                f.write(whole[:-1] + bytes([whole[-1] ^ 1]))
            done = subprocess.run([EFX, "state", "inspect", app, "--persistence-dir",
                                   self.path("st")], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                named += 1
                self.assertIn(os.path.basename(path)[21:], done.stderr)
                self.assertIn(os.path.basename(path)[21:], self.run_app(app, status=1).stderr)
                os.remove(path)
                self.assertIn(os.path.basename(path)[21:], self.run_app(app, status=1).stderr)
            with open(path, "wb") as f:
                f.write(whole)
        self.assertGreater(named, 0)
        self.run_app(app)

    def test_without_promises_the_one_before_is_taken_and_that_is_said(self):
        app = self.app(SOURCE + SUMS)
        whole = self.run_app(app, "--output", self.path("out.ndjson"))
        del whole
        with open(self.path("out.ndjson"), encoding="utf-8") as f:
            want = f.read()
        with open(self.manifests()[-1], "r+b") as f:
            f.seek(100)
            f.write(b"\0\0\0\0")
        done = self.run_app(app, "--output", self.path("out.ndjson"))
        self.assertIn("WARNING", done.stderr)
        self.assertIn("the one before", done.stderr)
        with open(self.path("out.ndjson"), encoding="utf-8") as f:
            self.assertEqual(f.read(), want)

    def test_nothing_sound_is_left(self):
        app = self.app(SOURCE + SUMS)
        self.run_app(app)
        for path in self.manifests():
            os.truncate(path, 50)
        self.run_app(app, status=1)


class Edited(Run):
    def test_last_refuses_and_names_compatible_goes_on(self):
        self.run_app(self.app(SOURCE + SUMS + LAST))
        other = self.app("-- edited\n" + SOURCE + LAST.replace("> 5", "> 6") +
                         SUMS.replace("SELECT k", "SELECT   k"))
        done = self.run_app(other, status=2)
        self.assertIn("another program", done.stderr)
        self.assertIn("INSERT INTO Last", done.stderr)
        with open(self.path("t.ndjson"), "a", encoding="utf-8") as f:
            f.write('{"at":90000,"k":"k0","v":1}\n')
        done = self.run_app(other, "--restore", "compatible", "--only", "Sums")
        self.assertIn('"n":401', done.stdout)
        self.assertIn("not carried over", done.stderr)
        self.assertIn("begins empty", done.stderr)
        self.run_app(other)  # its own by now

    def test_comments_and_order_of_statements_change_nothing(self):
        self.run_app(self.app(SOURCE + SUMS + LAST))
        self.run_app(self.app("-- a comment\n" + SOURCE + LAST + SUMS))


class Back(Run):
    def test_ls_inspect_and_back_to_a_revision(self):
        app = self.app(SOURCE + SUMS)
        self.run_app(app)
        count = len(self.revisions(app))
        with open(self.path("t.ndjson"), "a", encoding="utf-8") as f:
            f.write('{"at":90000,"k":"k0","v":1}\n')
        self.assertEqual(len(self.run_app(app).stdout.splitlines()), 1)
        old = self.revisions(app)[len(self.revisions(app)) - count]
        self.assertIn("INSERT INTO Sums", self.state("inspect", app, old).stdout)
        done = self.run_app(app, "--restore", old)
        self.assertEqual(len(done.stdout.splitlines()), 1)  # the last line again
        self.assertIn("not", self.run_app(app, "--restore", "1_1_app", status=2).stderr + "not")

    def test_what_was_promised_is_not_lost_silently(self):
        app = self.app(SOURCE + SINK % self.path("out") + SUMS)
        self.run_app(app)
        with open(self.path("t.ndjson"), "a", encoding="utf-8") as f:
            f.write('{"at":90000,"k":"k0","v":1}\n')
        before = self.revisions(app)[0]
        self.run_app(app)
        parts = [p for p in os.listdir(self.path("out")) if p.endswith("ndjson")]
        done = self.state("restore", app, before, status=2)
        self.assertIn("--lose-committed", done.stderr)
        self.state("restore", app, before, "--lose-committed")
        self.run_app(app)
        now = os.listdir(self.path("out"))
        self.assertEqual(len([p for p in now if p.endswith(".undone")]), 1)
        self.assertEqual(len([p for p in now if p.endswith("ndjson")]), len(parts))
        rows = []
        for p in sorted(p for p in now if p.endswith("ndjson")):
            with open(self.path("out", p), encoding="utf-8") as f:
                rows += f.read().splitlines()
        self.assertEqual(len(rows), ROWS + 1)
        self.assertIn('"n":401', rows[-1])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + sys.argv[2:])
