#!/usr/bin/env python3
"""The demo on a cluster: a Redis of its own and three nodes, a stream of card payments submitted to
all of them, alerts as they come, one node killed in the middle, and every total checked.

    demo_cluster.py BIN [PAYMENTS [SECONDS]]   BIN: folder of efx and efx-node; 300000 payments in 18 s

The check shares nothing with the engine: plain loops over the same payments. Of each card every
payment must have been counted, once, in the order in which it was paid; of the alerts none may be
missing and none too many. Exit status 1 if anything is not so.
"""
import collections
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "node"))
from cluster import Cluster, wait_for  # noqa: E402

APP = "examples/card-alerts-cluster.sql"
SUBMITTERS = 3
PAYMENTS_A_CARD = 15
KILL_AT, RETURN_AT = 0.35, 0.6
COUNTRIES = ["DE", "FR", "NL", "ES", "IT", "PL", "AT", "CH", "SE", "PT"]


def title(text):
    print(f"\n== {text}", flush=True)


def grouped(n):
    return f"{n:,}"


# ---- the payments, and what must come of them


def make_payments(n):
    """For each submitter its payments in order; a card is one submitter's."""
    dice, cards = random.Random(42), n // PAYMENTS_A_CARD + 1
    parts = [[] for _ in range(SUBMITTERS)]
    thieves = collections.deque()  # second halves, due at a payment's number
    for i in range(n):
        card, cents = dice.randrange(cards), 200 + int(29800 * dice.random() * dice.random())
        if thieves and thieves[0][0] <= i:
            _, card = thieves.popleft()
            cents = 50001 + dice.randrange(50000)
        elif dice.randrange(3000) == 0:
            cents = 1 + dice.randrange(199)
            thieves.append((i + dice.randrange(2000, 4000), card))
        elif dice.randrange(4000) == 0:
            cents = 100000 + dice.randrange(100000)
        parts[card % SUBMITTERS].append(
            (f"card-{card:05}", cents, dice.randrange(20000), dice.choice(COUNTRIES)))
    return parts


def expected(parts):
    """By plain loops: totals of each card after each of its payments, and the alerts."""
    totals = collections.defaultdict(list)
    tried, unusual = collections.Counter(), collections.Counter()
    waiting = collections.defaultdict(list)
    ten = collections.defaultdict(lambda: collections.deque(maxlen=10))
    for part in parts:
        for card, cents, _, country in part:
            before = totals[card][-1][1] if totals[card] else 0
            totals[card].append((len(totals[card]) + 1, before + cents))
            if cents > 50000:
                for first in waiting.pop(card, ()):
                    tried[(card, first, cents, country)] += 1
            if cents < 200:
                waiting[card].append(cents)
            ten[card].append(cents)
            if len(ten[card]) == 10 and cents * 3 > sum(ten[card]) * 2:
                unusual[(card, cents, sum(ten[card]))] += 1
    return totals, tried, unusual


# ---- what runs


class Reader(threading.Thread):
    """efx subscribe: its rows in a list; what the cluster takes back leaves it."""

    def __init__(self, efx, stream, addresses):
        super().__init__(daemon=True)
        command = [efx, "subscribe", stream]
        for a in addresses:
            command += ["--to", a]
        self.stream, self.rows, self.taken_back, self.told = stream, [], 0, 0
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      text=True, start_new_session=True)
        self.last = 0.0  # when a row came
        self.lock = threading.Lock()
        self.start()

    def run(self):
        for line in self.child.stdout:
            said = json.loads(line)
            with self.lock:
                if "take_back" in said:
                    n = said["take_back"]
                    self.taken_back += n
                    del self.rows[len(self.rows) - n:]
                else:
                    self.rows.append(tuple(said["data"].values()))
                    self.last = time.monotonic()

    def news(self):
        """Rows that came since the last call and still stand."""
        with self.lock:
            at = min(self.told, len(self.rows))
            self.told = len(self.rows)
            return self.rows[at:]

    def close(self):
        if self.child.poll() is None:
            self.child.terminate()
        self.child.wait()
        return self.child.stderr.read()


class Submitter(threading.Thread):
    """efx submit, fed at a pace: its own node first, the others where that one does not answer."""

    def __init__(self, efx, no, rows, addresses, per_second):
        super().__init__(daemon=True)
        command = [efx, "submit", "Payments", "--format", "csv", "--level", "committed",
                   "--session", f"till-{no + 1}"]
        for a in addresses[no:] + addresses[:no]:
            command += ["--to", a]
        self.no, self.rows, self.per_second, self.sent = no, rows, per_second, 0
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.PIPE, text=True, start_new_session=True)
        self.said = ""
        self.start()

    def run(self):
        threading.Thread(target=self.listen, daemon=True).start()
        try:
            self.child.stdin.write("card,cents,merchant,country\n")
            begun = time.monotonic()
            while self.sent < len(self.rows):
                due = int((time.monotonic() - begun) * self.per_second)
                part = self.rows[self.sent:due]
                self.child.stdin.write("".join(f"{a},{b},{c},{d}\n" for a, b, c, d in part))
                self.child.stdin.flush()
                self.sent += len(part)
                time.sleep(0.02)
            self.child.stdin.close()
        except (BrokenPipeError, ValueError):
            pass  # it has ended; its exit status says why

    def listen(self):
        self.said = self.child.stderr.read()


# ---- the show


class Show:
    """One line at the bottom that is written again, and lines above it."""

    def __init__(self, total):
        self.total, self.terminal = total, sys.stdout.isatty()
        self.begun = time.monotonic()
        self.drawn, self.next_plain = False, 0.0

    def at(self):
        return f"{time.monotonic() - self.begun:5.1f} s"

    def say(self, text):
        self.clear()
        print(f"  {self.at()}  {text}", flush=True)

    def clear(self):
        if self.drawn:
            sys.stdout.write("\r\x1b[K")
            self.drawn = False

    def bar(self, n, alerts, nodes):
        share = min(1.0, n / self.total)
        text = (f"  {self.at()}  [{'#' * int(30 * share):.<30}] {share:4.0%}  "
                f"{grouped(n)} payments counted, {alerts} alerts, {nodes} nodes")
        if self.terminal:
            self.clear()
            sys.stdout.write(text)
            sys.stdout.flush()
            self.drawn = True
        elif time.monotonic() >= self.next_plain:
            self.next_plain = time.monotonic() + 2
            print(text, flush=True)


class Demo:
    def __init__(self, folder, n, seconds):
        self.efx = os.path.join(folder, "efx")
        with open(os.path.join(ROOT, APP), encoding="utf-8") as f:
            self.cluster = Cluster(folder, f.read(), n=3)
        self.parts = make_payments(n)
        self.n, self.seconds = n, seconds
        self.readers, self.submitters = {}, []
        self.show = Show(n)
        self.victim = self.killed = self.back = None
        self.taken_over = self.counted_again = None
        self.hidden = 0

    def counted(self):
        return len(self.readers["Totals"].rows)

    def alerts(self):
        return len(self.readers["TriedCards"].rows) + len(self.readers["Unusual"].rows)

    def status(self, node=None):
        node = node or next(x for x in self.cluster.nodes if x is not self.victim)
        return node.page("/api/status")[1] or {"nodes": [], "epoch": 0, "rewinds": 0}

    def begin(self):
        self.cluster.wait_ready(members=3)
        status = self.status(self.cluster.nodes[0])
        for node in self.cluster.nodes:
            info = next(x for x in status["nodes"] if x["id"] == node.name)
            print(f"{node.name}: nodes {node.tcp}, gRPC {node.grpc}, HTTP {node.http}; "
                  f"{info['key_groups']} of 1,024 key groups"
                  f"{'; leads' if status['leader'] == node.name else ''}")
        self.victim = next(x for x in self.cluster.nodes if x.name == status["leader"])
        watchers = [x.grpc for x in self.cluster.nodes if x is not self.victim]
        for stream in ("Totals", "TriedCards", "Unusual"):
            self.readers[stream] = Reader(self.efx, stream, watchers)
        time.sleep(0.7)  # subscriptions begin where they are made

    def submit(self):
        title(f"{grouped(self.n)} card payments, submitted to all three, one third each")
        addresses = self.cluster.addresses()
        self.show = Show(self.n)
        self.submitters = [Submitter(self.efx, i, rows, addresses, len(rows) / self.seconds)
                           for i, rows in enumerate(self.parts)]

    def print_alerts(self):
        news = [(f"card {c} was tried with {a / 100:.2f}, then used for {b / 100:.2f} in {where}")
                for c, a, b, where in self.readers["TriedCards"].news()]
        news += [f"card {c}: {a / 100:.2f} is more than two thirds of its last ten payments"
                 for c, a, _ in self.readers["Unusual"].news()]
        for text in news[:1]:
            self.show.say(text + (f"  (and {self.hidden} more)" if self.hidden else ""))
            self.hidden = 0
        self.hidden += len(news[1:])

    def step(self):
        """What is due in the story."""
        share = self.counted() / self.n
        if self.killed is None and share >= KILL_AT:
            self.show.say(f"==> kill -9 {self.victim.name}, which leads")
            self.victim.kill()
            self.killed = time.monotonic()
        elif self.killed is not None and self.counted_again is None:
            status = self.status()
            survivors = [x for x in status["nodes"] if x["id"] != self.victim.name]
            if self.taken_over is None and len(survivors) == len(status["nodes"]) == 2:
                self.taken_over = time.monotonic() - self.killed
                groups = ", ".join(f"{x['id']} {x['key_groups']}" for x in survivors)
                self.show.say(f"==> its cards go on elsewhere after {self.taken_over:.2f} s: epoch "
                              f"{status['epoch']}, key groups {groups}")
            totals = self.readers["Totals"]
            if self.taken_over is not None and totals.taken_back and \
                    totals.last > self.killed + self.taken_over:
                self.counted_again = totals.last - self.killed
                self.show.say(f"==> counting again after {self.counted_again:.2f} s; "
                              f"{grouped(totals.taken_back)} rows since the last checkpoint were "
                              "taken back and come anew")
        elif self.killed is not None and self.back is None and share >= RETURN_AT:
            self.victim.start()
            self.back = time.monotonic()
            self.show.say(f"==> {self.victim.name} is started again")
        elif self.back and self.back is not True and self.victim.is_ready():
            self.show.say(f"==> {self.victim.name} has its share again after "
                          f"{time.monotonic() - self.back:.2f} s: epoch {self.status()['epoch']}")
            self.back = True

    def run(self):
        next_alerts = 0.0
        while any(s.child.poll() is None for s in self.submitters):
            self.step()
            if time.monotonic() >= next_alerts:
                self.print_alerts()
                next_alerts = time.monotonic() + 0.7
            self.show.bar(self.counted(), self.alerts(),
                          sum(x.is_alive() for x in self.cluster.nodes))
            time.sleep(0.02)
        for s in self.submitters:
            if s.child.returncode != 0:
                raise AssertionError(f"efx submit to {s.no + 1} failed: {s.said.strip()}")
        self.show.clear()
        if self.killed is None or self.back is None:
            raise AssertionError("it was over before a node was killed and came back")
        wait_for(f"{self.victim.name} is not ready", self.victim.is_ready)

    # ---- the check

    def check(self):
        title("every total and every alert compared with plain loops over the same payments")
        totals, tried, unusual = expected(self.parts)
        try:
            wait_for("", lambda: self.counted() >= self.n, 10)
        except AssertionError:
            pass  # the comparison says what is missing
        time.sleep(0.3)  # what is too much would come now
        said = collections.defaultdict(list)
        for card, payments, cents in self.readers["Totals"].rows:
            said[card].append((payments, cents))
        wrong = [c for c in set(totals) | set(said) if totals.get(c) != said.get(c)]
        lines = [("payments counted", self.n, self.counted()),
                 ("cards with the right totals", len(totals), len(totals) - len(wrong)),
                 ("cards that were tried", sum(tried.values()),
                  sum((collections.Counter(self.readers["TriedCards"].rows) & tried).values())),
                 ("unusual payments", sum(unusual.values()),
                  sum((collections.Counter(self.readers["Unusual"].rows) & unusual).values()))]
        print(f"{'':30} {'expected':>12} {'found':>12}")
        for what, a, b in lines:
            print(f"{what:30} {grouped(a):>12} {grouped(b):>12}")
        more = self.alerts() - sum(tried.values()) - sum(unusual.values())
        good = not wrong and not more and all(a == b for _, a, b in lines)
        for card in sorted(wrong)[:5]:
            print(f"{card}: expected {totals.get(card)}, found {said.get(card)}")
        if more:
            print(f"{more} alerts too many")
        return good

    def close(self):
        for s in self.submitters:
            if s.child.poll() is None:
                s.child.kill()
        for r in self.readers.values():
            r.close()


def main():
    folder = os.path.abspath(sys.argv[1])
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 300000
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    demo = Demo(folder, n, float(sys.argv[3]) if len(sys.argv) > 3 else 18)
    title(f"a Redis and three nodes, the second and third by --join, running {APP}")
    try:
        with demo.cluster:
            try:
                demo.begin()
                demo.submit()
                demo.run()
                good = demo.check()
                status = demo.status()
            finally:
                demo.close()
    except KeyboardInterrupt:
        print("\nstopped; everything that was started has ended")
        return 130
    except AssertionError as e:
        print(f"\n{e}")
        return 1
    print(f"\n{'None lost, none doubled' if good else 'NOT as it should be'}: a node was killed, "
          f"{demo.taken_over or 0:.2f} s later its cards went on elsewhere, "
          f"{demo.counted_again or 0:.2f} s later they were counted; now epoch {status['epoch']}, "
          f"checkpoint {status['last']['no']}.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
