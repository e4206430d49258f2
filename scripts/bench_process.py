#!/usr/bin/env python3
"""What only a whole process shows: event lines through `efx run`, start-up time, idle memory.

    bench_process.py BIN_DIR JSON_FILE [EVENTS]

BIN_DIR holds `efx` and `bench`. Prints a line a figure, writes them as a JSON list. Exit 1 if the event
lines gave other rows than the benchmark's own loop.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

SQL = ("CREATE STREAM Bid (auction LONG, bidder LONG, price LONG, ts TIMESTAMP, key LONG) "
       "WITH ('event.time' = 'ts');\n"
       "INSERT INTO Out SELECT auction, price FROM Bid WHERE auction % 123 = 0;\n")
STARTS = 20
RUNS = 3


def rows_of_loop(bench, events, folder):
    out = os.path.join(folder, "loop.json")
    subprocess.run([bench, "filter", "--events", str(events), "--reps", "1", "--json", out],
                   check=True, stdout=subprocess.DEVNULL)
    with open(out, encoding="utf-8") as f:
        return json.load(f)[0]["rows"]


def run(efx, app, source, target):
    start = time.monotonic()
    subprocess.run([efx, "run", app, "--clock", "virtual", "--input", source, "--output", target],
                   check=True, stderr=subprocess.DEVNULL)
    return time.monotonic() - start


def event_lines(efx, bench, app, events, folder):
    source, target = os.path.join(folder, "bids.ndjson"), os.path.join(folder, "out.ndjson")
    with open(source, "wb") as f:
        subprocess.run([bench, "--emit", str(events)], check=True, stdout=f)
    run(efx, app, source, target)
    with open(target, "rb") as f:
        rows = sum(1 for _ in f)
    wanted = rows_of_loop(bench, events, folder)
    best = min(run(efx, app, source, "/dev/null") for _ in range(RUNS))
    megabytes = os.path.getsize(source) / 1e6
    print(f"event lines: {events / best / 1e6:.2f} M events/s, {megabytes / best:.0f} MB/s, "
          f"{rows} rows {'agree' if rows == wanted else f'DIFFER from {wanted}'}")
    return {"workload": "json_lines", "mevents_per_s": events / best / 1e6,
            "mbytes_per_s": megabytes / best, "rows": rows, "rows_agree": rows == wanted}


def start_up(efx, app):
    best = min(run(efx, app, "/dev/null", "/dev/null") for _ in range(STARTS))
    print(f"start-up: {best * 1e3:.1f} ms from exec to exit on empty input")
    return {"workload": "start_up", "ms": best * 1e3}


def idle_memory(efx, app):
    """Resident memory of a process that has started and waits for its input."""
    process = subprocess.Popen([efx, "run", app, "--clock", "virtual", "--input", "-",
                                "--output", "/dev/null"],
                               stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    time.sleep(1)
    resident = 0
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                resident = int(line.split()[1]) * 1024
    process.stdin.close()
    process.wait(timeout=30)
    print(f"idle memory: {resident / 1e6:.1f} MB resident")
    return {"workload": "idle_memory", "resident_bytes": resident}


def main():
    folder_of, out = sys.argv[1], sys.argv[2]
    events = int(sys.argv[3]) if len(sys.argv) > 3 else 2000000
    efx, bench = os.path.join(folder_of, "efx"), os.path.join(folder_of, "bench")
    with tempfile.TemporaryDirectory() as folder:
        app = os.path.join(folder, "filter.sql")
        with open(app, "w", encoding="utf-8") as f:
            f.write(SQL)
        figures = [event_lines(efx, bench, app, events, folder), start_up(efx, app),
                   idle_memory(efx, app)]
    with open(out, "w", encoding="utf-8") as f:
        json.dump(figures, f, indent=1)
    return 0 if figures[0]["rows_agree"] else 1


if __name__ == "__main__":
    sys.exit(main())
