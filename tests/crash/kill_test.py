#!/usr/bin/env python3
"""kill -9 of `efx run` at random moments and at every named point of a checkpoint's way.

    kill_test.py EFX [--runs N] [--seed N] [--keep]

Each run: a program, an input, settings, all from its seed. The process is killed again and again,
started again each time, and what its exactly-once sinks and its --output file hold in the end is
compared row by row with what one process that nobody disturbs writes. A failing seed is printed.
"""
import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

POINTS = ["before-mark", "in-slice", "before-sinks", "before-chunks", "after-chunks",
          "after-manifest", "before-commit", "between-commits", "after-commit", "in-restore",
          "after-restore"]
ROWS = 40000
KILLS_MAX = 6
WAIT_S = 120

HEAD = """
CREATE STREAM T (at TIMESTAMP, k STRING, v INT, w DOUBLE)
    WITH ('type' = 'source', 'extension' = 'file', 'file.path' = '{dir}/t.{t_ext}',
          'format' = '{t_format}', 'file.follow' = 'false', 'event.time' = 'at'{late});
CREATE STREAM {name} ({columns})
    WITH ('type' = 'sink', 'extension' = 'file', 'file.path' = '{out}/{name}', 'format' = '{format}',
          'delivery' = 'exactly-once'{header});
CREATE STREAM Slow (k STRING, n LONG)
    WITH ('type' = 'sink', 'extension' = 'file', 'file.path' = '{out}/Slow', 'format' = 'json',
          'delivery' = 'exactly-once');
INSERT INTO Slow SELECT k, count() AS n FROM T WINDOW('tumbling', 20 SEC, 0) GROUP BY k;
"""
PROGRAMS = [
    ("k STRING, n LONG, s LONG, m INT",
     "INSERT INTO Main SELECT k, count() AS n, sum(v) AS s, max(v) AS m FROM T GROUP BY k;"),
    ("k STRING, a DOUBLE, n LONG",
     "INSERT INTO Main SELECT k, avg(w) AS a, count() AS n FROM T WINDOW('time', 5 SEC) GROUP BY k;"),
    ("k STRING, x INT, y INT",
     "INSERT INTO Main SELECT e1.k AS k, e1.v AS x, e2.v AS y FROM PATTERN (EVERY e1=T[v > 90] -> "
     "e2=T[k = e1.k AND v < 10]) WITHIN 10 SEC;"),
    ("k STRING, n LONG, s LONG",
     "CREATE TABLE Held (k STRING PRIMARY KEY, v INT);\n"
     "UPSERT INTO Held SELECT k, v FROM T WHERE v > 50 ON Held.k = k;\n"
     "INSERT INTO Main SELECT T.k AS k, count() AS n, sum(Held.v) AS s FROM T JOIN Held ON T.k = "
     "Held.k GROUP BY T.k;"),
    ("k STRING, n LONG, s LONG",
     "INSERT INTO Main SELECT k, count() AS n, sum(v) AS s FROM T WINDOW('length', 50);"),
    ("k STRING, n LONG, s LONG",
     "INSERT INTO Main SELECT k, count() AS n, sum(v) AS s FROM T GROUP BY k OUTPUT LAST EVERY 100 "
     "EVENTS;"),
    ("k STRING, n LONG, s LONG",
     "PARTITION WITH (k OF T) BEGIN INSERT INTO Main SELECT k, count() AS n, sum(v) AS s FROM T "
     "WINDOW('length', 7); END;"),
    ("k STRING, n LONG, s LONG",
     "INSERT INTO Main SELECT k, count() AS n, sum(v) AS s FROM T WINDOW('session', 3 SEC, k) GROUP "
     "BY k;"),
]


def write_input(path, dice, csv, late):
    at = 1000
    with open(path, "w", encoding="utf-8") as f:
        if csv:
            f.write("at,k,v,w\n")
        for i in range(ROWS):
            at += dice.randrange(8)
            when = at - dice.randrange(200) if late else at
            k, v, w = "k%d" % dice.randrange(300), dice.randrange(100), dice.randrange(1000) / 8
            if i % 997 == 0:
                f.write("nonsense\n")
            elif csv:
                f.write("%d,%s,%d,%s\n" % (when, k, v, w))
            else:
                f.write('{"at":%d,"k":"%s","v":%d,"w":%s}\n' % (when, k, v, w))


def rows_of(folder, name):
    """Rows of an exactly-once sink in the order of its parts; headers of later parts left out."""
    rows, head = [], None
    path = os.path.join(folder, name)
    for part in sorted(os.listdir(path)) if os.path.isdir(path) else []:
        if part.startswith("."):
            continue
        with open(os.path.join(path, part), encoding="utf-8") as f:
            text = f.read()
        assert text.endswith("\n"), "%s/%s is empty or ends within a row" % (name, part)
        lines = text.splitlines()
        if part.endswith(".csv"):
            assert head in (None, lines[0]), "%s/%s has another header" % (name, part)
            head = lines[0]
            lines = lines[1:]
        rows += lines
    return [head] + rows


def command(efx, app, out, store, settings):
    args = [efx, "run", app, "--only", "Main", "--output", os.path.join(out, "output.ndjson"),
            "--shards", str(settings["shards"])]
    if settings["input"] is not None:
        args += ["--input", settings["input"]]
    return args + ["--persistence-dir", store, "--checkpoint-interval",
                   "%dms" % settings["interval"]]


def write_app(path, work, out, settings):
    columns, body = PROGRAMS[settings["program"]]
    text = HEAD.format(dir=work, out=out, name="Main", columns=columns, format=settings["format"],
                       header=", 'csv.include-header' = 'true'" if settings["format"] == "csv" else "",
                       t_ext="csv" if settings["csv"] else "ndjson",
                       t_format="csv" if settings["csv"] else "json",
                       late=", 'watermark.delay' = '1 sec'" if settings["late"] else "")
    if settings["input"] is not None:  # the same rows by --input
        source = text[text.index("    WITH ('type' = 'source'"):text.index("'event.time'")]
        text = text.replace(source, "    WITH (")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text + body + "\n")


def run_whole(args):
    done = subprocess.run(args, capture_output=True, text=True, timeout=WAIT_S, check=False)
    if done.returncode != 0:
        raise AssertionError("exit %d of an undisturbed run: %s" % (done.returncode, done.stderr))


def one(efx, seed, keep):
    dice = random.Random(seed)
    work = tempfile.mkdtemp(prefix="efx-kill-")
    settings = {
        "program": seed % len(PROGRAMS), "shards": dice.choice([1, 1, 2, 3]),
        "interval": dice.choice([1, 3, 10, 30]), "csv": dice.random() < 0.3,
        "format": dice.choice(["json", "json", "csv"]), "late": dice.random() < 0.3, "input": None,
    }
    if dice.random() < 0.4:
        settings["input"] = "T=%s/t.%s" % (work, "csv" if settings["csv"] else "ndjson")
    what = "start"
    try:
        write_input("%s/t.%s" % (work, "csv" if settings["csv"] else "ndjson"), dice,
                    settings["csv"], settings["late"])
        outs = {}
        for which in "whole", "killed":
            outs[which] = os.path.join(work, which)
            os.mkdir(outs[which])
            os.mkdir(os.path.join(work, "app-" + which))
            write_app(os.path.join(work, "app-" + which, "app.sql"), work, outs[which], settings)
        run_whole(command(efx, os.path.join(work, "app-whole", "app.sql"), outs["whole"],
                          os.path.join(work, "store-whole"), settings))
        args = command(efx, os.path.join(work, "app-killed", "app.sql"), outs["killed"],
                       os.path.join(work, "store-killed"), settings)
        kills = []
        for _ in range(dice.randrange(1, KILLS_MAX)):
            env = dict(os.environ)
            point = dice.choice(POINTS + ["moment"] * 4)
            if point != "moment":
                env["EFX_CRASH_AT"] = "%s:%d" % (point, dice.randrange(1, 5))
            what = env.get("EFX_CRASH_AT", point)
            with subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                  env=env) as p:
                if point == "moment":
                    time.sleep(dice.random() * 0.3)
                    p.send_signal(dice.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
                _, errors = p.communicate(timeout=WAIT_S)
            if p.returncode not in (0, -signal.SIGKILL, -signal.SIGTERM):
                raise AssertionError("exit %d: %s" % (p.returncode, errors))
            kills.append("%s=%d" % (what, p.returncode))
        what = "last run after " + ", ".join(kills)
        run_whole(args)
        for name in "Main", "Slow":
            a, b = rows_of(outs["whole"], name), rows_of(outs["killed"], name)
            if a != b:
                at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
                raise AssertionError("%s: %d rows, not %d; they part at %d: %s | %s" % (
                    name, len(b), len(a), at, a[at:at + 2], b[at:at + 2]))
            left = [f for f in os.listdir(os.path.join(outs["killed"], name)) if f[0] == "."]
            if left:
                raise AssertionError("%s: %s are left" % (name, left))
        with open(outs["whole"] + "/output.ndjson", encoding="utf-8") as f, \
                open(outs["killed"] + "/output.ndjson", encoding="utf-8") as g:
            if f.read() != g.read():
                raise AssertionError("--output differs")
    except (AssertionError, subprocess.TimeoutExpired) as e:
        print("kill_test: seed %d fails (%s; %s): %s" % (seed, what, settings, e))
        if keep:
            print("kill_test: kept in " + work)
        return False
    finally:
        if not keep:
            shutil.rmtree(work, ignore_errors=True)
    return True


def main():
    p = argparse.ArgumentParser()
    p.add_argument("efx")
    p.add_argument("--runs", type=int, default=25)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--keep", action="store_true")
    o = p.parse_args()
    failed = [s for s in range(o.seed, o.seed + o.runs) if not one(o.efx, s, o.keep)]
    print("kill_test: %d runs from seed %d, %d failed" % (o.runs, o.seed, len(failed)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
