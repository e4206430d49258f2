#!/usr/bin/env python3
"""Three nodes, one stream, one Redis, and what can happen to them: real processes, an independent
client, and at the end every row counted exactly once at level committed.

    faults_test.py BIN [unittest's arguments]
    faults_test.py BIN --random N [--seed S] [--seconds T]
                                N random schedules, or as many as fit; a failure prints its seed

Each run submits rows of three sessions at a bounded rate, does its faults meanwhile, waits until all
is committed, and then asks every node by probes: one more payment of each card, of which the running
totals, the partition's and the pattern's counts must be those that plain loops find.
"""
import argparse
import collections
import random
import sys
import time
import unittest

from client import Session, Subscriber, pb
from cluster import Cluster, wait_for

APP = """
CREATE STREAM Payments (card STRING NOT NULL, seq LONG, cents LONG);

INSERT INTO Totals
SELECT card, count(*) AS n, sum(cents) AS cents FROM Payments GROUP BY card;

PARTITION WITH (card OF Payments)
BEGIN
    INSERT INTO #Ten
    SELECT card, cents, sum(cents) AS ten, count(*) AS n FROM Payments WINDOW('length', 10);

    INSERT INTO Unusual SELECT card, cents, ten FROM #Ten WHERE n = 10 AND cents * 3 > ten * 2;
END;

INSERT INTO Tried
SELECT card, e1.cents AS first, e2.cents AS cents
FROM PATTERN (EVERY e1=Payments[cents < 200] -> e2=Payments[cents > 50000]) PARTITION BY card;

-- The same without a key: it lives whole on one node.
INSERT INTO TriedThere
SELECT e1.card AS card, e1.cents AS first, e2.cents AS cents
FROM PATTERN (EVERY e1=Payments[cents < 200] -> e2=Payments[card = e1.card AND cents > 50000]);

INSERT INTO UnusualTotals SELECT card, count(*) AS n FROM Unusual GROUP BY card;
INSERT INTO TriedTotals SELECT card, count(*) AS n, sum(first) AS first FROM Tried GROUP BY card;
INSERT INTO TriedThereTotals
SELECT card, count(*) AS n, sum(first) AS first FROM TriedThere GROUP BY card;
"""
KINDS = (pb.TYPE_STRING, pb.TYPE_LONG, pb.TYPE_LONG)
CARDS, SESSIONS, ROWS, RATE = 600, 3, 15000, 3000
PROBE_CENTS = 1_000_000_000
BIN = None


class Model:
    """What the app must have found, by plain loops."""

    def __init__(self):
        self.n, self.cents = collections.Counter(), collections.Counter()
        self.ten = collections.defaultdict(lambda: collections.deque(maxlen=10))
        self.unusual, self.tried, self.first = (collections.Counter() for _ in range(3))
        self.waiting = collections.defaultdict(list)

    def take(self, card, cents):
        self.n[card] += 1
        self.cents[card] += cents
        ten = self.ten[card]
        ten.append(cents)
        if len(ten) == 10 and cents * 3 > sum(ten) * 2:
            self.unusual[card] += 1
        if cents > 50000:
            self.tried[card] += len(self.waiting[card])
            self.first[card] += sum(self.waiting[card])
            self.waiting[card].clear()
        if cents < 200:
            self.waiting[card].append(cents)

    def probe(self):
        """One more payment of every card; what the three streams' last rows say then."""
        said = {"Totals": {}, "UnusualTotals": {}, "TriedTotals": {}}
        said["TriedThereTotals"] = said["TriedTotals"]  # the same pattern, placed
        for card in sorted(self.n):
            unusual, tried = self.unusual[card], self.tried[card]
            self.take(card, PROBE_CENTS)
            said["Totals"][card] = (self.n[card], self.cents[card])
            if self.unusual[card] != unusual:
                said["UnusualTotals"][card] = (self.unusual[card],)
            if self.tried[card] != tried:
                said["TriedTotals"][card] = (self.tried[card], self.first[card])
        return said


def make_rows(dice, session, n):
    cards = [f"card-{c:05}" for c in range(session, CARDS, SESSIONS)]
    return [(dice.choice(cards), i + 1,
             dice.choice((dice.randrange(1, 200), dice.randrange(200, 30000),
                          dice.randrange(50001, 90000)) if dice.random() < 0.2
                         else (dice.randrange(200, 30000),))) for i in range(n)]


class Run:
    """A cluster under load; faults are done by the test in between."""

    def __init__(self, seed=1, n=3, rows=ROWS, rate=RATE, **how):
        self.dice = random.Random(seed)
        self.cluster = Cluster(BIN, APP, n=n, **how)
        self.model = Model()
        self.rows = [make_rows(self.dice, s, rows) for s in range(SESSIONS)]
        self.rate = rate
        self.sessions, self.probes = [], 0

    def __enter__(self):
        self.cluster.__enter__()
        try:
            self.cluster.wait_ready(members=len(self.cluster.nodes))
        except BaseException:
            print(self.cluster.story())
            self.cluster.close()
            raise
        self.cluster.watch()
        self.begin()
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            for s in self.sessions:
                print(f"    {s.name}: committed {s.committed} of {len(s.rows)}, accepted "
                      f"{s.accepted}, on {s.nodes}, rewinds {s.rewinds}, errors {s.errors[-5:]}")
        self.cluster.__exit__(kind, value, trace)

    def begin(self):
        addresses = self.cluster.addresses()
        self.sessions = [
            Session(f"s{i}", addresses, "Payments", KINDS, rows, per_second=self.rate, first=i)
            for i, rows in enumerate(self.rows)]
        for s in self.sessions:
            s.start()

    def wait_committed(self, share, seconds=60):
        """Until so much of all rows is committed."""
        n = sum(len(r) for r in self.rows)
        wait_for(lambda: f"{[s.committed for s in self.sessions]} of {n} rows are committed, "
                         f"errors {[s.errors[-2:] for s in self.sessions]}",
                 lambda: any(s.failed for s in self.sessions) or
                 sum(s.committed for s in self.sessions) >= share * n, seconds)

    def finish(self, nodes=None, seconds=90):
        """All committed; every node that lives says the right totals."""
        for s in self.sessions:
            s.finish(seconds)
        for rows in self.rows:
            for card, _, cents in rows:
                self.model.take(card, cents)
        for node in nodes or [n for n in self.cluster.nodes if n.is_alive()]:
            self.probe(node)
        if self.cluster.broken:
            raise AssertionError("; ".join(self.cluster.broken))
        rejects = sum(s.rejects for s in self.sessions)
        if rejects:
            raise AssertionError(f"{rejects} good rows were rejected")

    def probe(self, node):
        expected = self.model.probe()
        wait_for(f"{node.name} is not ready", node.is_ready)
        readers = {name: Subscriber(node.grpc, name) for name in expected}
        try:
            for name, r in readers.items():
                if not r.ready.wait(20) or r.ended is not None:
                    raise AssertionError(f"{node.name}: no subscription of {name}: {r.ended}")
            self.probes += 1
            cards = sorted(self.model.n)
            rows = [(card, -self.probes, PROBE_CENTS) for card in cards]
            s = Session(f"probe{self.probes}", [node.grpc], "Payments", KINDS, rows)
            s.start()
            s.finish(30)
            for name, r in readers.items():
                self.compare(node, name, r, expected[name])
        finally:
            for r in readers.values():
                r.close()

    def compare(self, node, name, reader, expected):
        """The last row of each card, and of Totals no more and no less than one."""
        def last():
            return {row[0]: tuple(row[1:]) for row in list(reader.rows)}
        try:
            wait_for("", lambda: last() == expected, 10)
        except AssertionError:
            said = last()
            wrong = {k: (said.get(k), v) for k, v in expected.items() if said.get(k) != v}
            more = sorted(set(said) - set(expected))
            raise AssertionError(
                f"{node.name}: {name}: {len(wrong)} of {len(expected)} cards are wrong (said, "
                f"expected): {dict(list(wrong.items())[:5])}, not expected {more[:5]}; "
                f"{reader.ended or ''}") from None
        if name == "Totals" and len(reader.rows) != len(expected):
            raise AssertionError(f"{node.name}: Totals: {len(reader.rows)} rows for "
                                 f"{len(expected)} payments")


def others(run):
    leader = run.cluster.leader()
    return [n for n in run.cluster.nodes if n is not leader and n.is_alive()]


class Faults(unittest.TestCase):
    def test_nothing_happens(self):
        with Run(seed=1, failure_ms=5000) as r:
            r.finish()
            self.assertEqual(sum(s.rewinds for s in r.sessions), 0)

    def test_a_member_is_killed_and_comes_back(self):
        with Run(seed=2) as r:
            r.wait_committed(0.3)
            victim = others(r)[0]
            victim.kill()
            r.wait_committed(0.6)
            victim.start()
            r.finish()

    def test_the_leader_is_killed_and_comes_back(self):
        with Run(seed=3) as r:
            r.wait_committed(0.3)
            victim = wait_for("nobody leads", r.cluster.leader)
            victim.kill()
            r.wait_committed(0.6)
            victim.start()
            r.finish()

    def test_a_killed_member_stays_away(self):
        with Run(seed=4) as r:
            r.wait_committed(0.4)
            others(r)[0].kill()
            r.finish()

    def test_a_member_is_stopped_beyond_its_lease_and_wakes(self):
        with Run(seed=5) as r:
            r.wait_committed(0.3)
            victim = others(r)[0]
            victim.stop()
            r.wait_committed(0.6)
            victim.cont()
            r.finish()

    def test_the_leader_is_stopped_beyond_its_lease_and_wakes(self):
        with Run(seed=6) as r:
            r.wait_committed(0.3)
            victim = wait_for("nobody leads", r.cluster.leader)
            victim.stop()
            r.wait_committed(0.6)
            victim.cont()
            r.finish()

    def test_redis_is_restarted_with_its_data(self):
        with Run(seed=7) as r:
            r.wait_committed(0.3)
            r.cluster.redis.kill()
            r.cluster.redis.start()
            r.finish()

    def test_redis_goes_while_a_member_reads_its_state(self):
        with Run(seed=17) as r:
            r.wait_committed(0.2)
            victim = others(r)[0]
            victim.kill()
            before = len(victim.log())
            victim.start()
            wait_for("it is not taken in", lambda: " info  epoch " in victim.log()[before:], 30, 0.0005)
            r.cluster.redis.kill()
            time.sleep(1.5)
            r.cluster.redis.start()
            r.finish()
            self.assertTrue(victim.is_alive())

    def test_redis_is_away_beyond_the_leases(self):
        with Run(seed=8) as r:
            r.wait_committed(0.3)
            r.cluster.redis.kill()
            time.sleep(4)
            r.cluster.redis.start()
            r.finish()

    def test_redis_loses_its_data_while_all_members_live(self):
        with Run(seed=18) as r:
            r.wait_committed(0.3)
            r.cluster.redis.lose()
            r.wait_committed(0.8)
            others(r)[0].kill()  # what it goes back to is in the new record
            r.finish()
            self.assertIn("the store has lost its data", "".join(n.log() for n in r.cluster.nodes))

    def test_redis_loses_its_data_and_a_member_is_gone(self):
        with Run(seed=19) as r:
            r.wait_committed(0.3)
            victim = others(r)[0]
            r.cluster.redis.kill()  # first, so that nobody can be evicted
            victim.kill()
            r.cluster.redis.lose()
            for node in r.cluster.nodes:
                if node is not victim:
                    self.assertEqual(node.child.wait(60), 1, node.log_tail())
                    self.assertIn("the store has lost its data", node.log_tail())

    def test_a_member_drains_and_returns(self):
        with Run(seed=9, failure_ms=5000) as r:
            r.wait_committed(0.3)
            victim = others(r)[0]
            self.assertEqual(victim.term(), 0)
            r.wait_committed(0.6)
            victim.start()
            r.finish()
            self.assertEqual(sum(s.rewinds for s in r.sessions), 0)

    def test_a_member_is_cut_from_redis(self):
        with Run(seed=12, relays=True) as r:
            r.wait_committed(0.3)
            victim = others(r)[0]
            victim.relays["redis"].cut()
            r.wait_committed(0.6)
            victim.relays["redis"].heal()
            r.finish()

    def test_the_leader_is_cut_from_redis(self):
        with Run(seed=13, relays=True) as r:
            r.wait_committed(0.3)
            victim = wait_for("nobody leads", r.cluster.leader)
            victim.relays["redis"].cut()
            r.wait_committed(0.6)
            victim.relays["redis"].heal()
            r.finish()

    def test_a_member_is_not_reached_by_its_peers(self):
        with Run(seed=14, relays=True) as r:
            r.wait_committed(0.3)
            victim = others(r)[0]
            victim.relays["peers"].cut()
            r.wait_committed(0.6)
            victim.relays["peers"].heal()
            r.finish()

    def test_the_leader_is_not_reached_by_its_peers(self):
        with Run(seed=16, relays=True) as r:
            r.wait_committed(0.3)
            victim = wait_for("nobody leads", r.cluster.leader)
            victim.relays["peers"].cut()
            r.wait_committed(0.6)
            victim.relays["peers"].heal()
            r.finish()

    def test_a_member_is_not_reached_and_reaches_no_redis(self):
        with Run(seed=15, relays=True) as r:
            r.wait_committed(0.3)
            victim = others(r)[-1]
            for relay in victim.relays.values():
                relay.cut()
            r.wait_committed(0.6)
            for relay in victim.relays.values():
                relay.heal()
            r.finish()

    def test_each_member_in_turn_drains_and_returns(self):
        with Run(seed=11, failure_ms=5000) as r:
            for node in r.cluster.nodes * 2:
                self.assertEqual(node.term(), 0)
                node.start()
                wait_for(f"{node.name} is not ready", node.is_ready)
            r.finish()
            self.assertEqual(sum(s.rewinds for s in r.sessions), 0)

    def test_a_fourth_joins(self):
        with Run(seed=10, failure_ms=5000) as r:
            r.wait_committed(0.3)
            node = r.cluster.add_node()
            node.start()
            r.cluster.wait_ready([node], members=4)
            r.finish()
            self.assertEqual(sum(s.rewinds for s in r.sessions), 0)

    def test_random_schedules(self):
        for seed in (101, 102, 103):
            with self.subTest(seed=seed):
                random_run(seed)


def random_run(seed):
    """Faults at random moments, one after the other, while rows come."""
    dice = random.Random(seed * 7919)
    plan = []
    with Run(seed=seed) as r:
        c = r.cluster
        try:
            for _ in range(dice.randrange(2, 4)):
                time.sleep(dice.uniform(0.2, 1.5))
                what = dice.choice(("kill", "kill_leader", "stop", "redis", "term"))
                leader = c.leader()
                victims = [n for n in c.nodes if n.is_alive() and (n is leader) == (what == "kill_leader")]
                victim = dice.choice(victims or c.nodes)
                plan.append(f"{what} {'redis' if what == 'redis' else victim.name}")
                if what == "redis":
                    c.redis.kill()
                    time.sleep(dice.choice((0, 0.5, 3)))
                    c.redis.start()
                elif what == "stop":
                    victim.stop()
                    time.sleep(dice.uniform(0.1, 4))
                    victim.cont()
                elif what == "term":
                    victim.term()
                    time.sleep(dice.uniform(0, 1))
                    victim.start()
                else:
                    victim.kill()
                    time.sleep(dice.uniform(0, 3))
                    victim.start()
            c.wait_ready(members=3)
            r.finish()
        except Exception as e:
            raise AssertionError(f"seed {seed}: {plan}: {e}") from e
    return plan


def main():
    global BIN
    BIN = sys.argv.pop(1)
    p = argparse.ArgumentParser(add_help=False)
    p.add_argument("--random", type=int, default=0)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--seconds", type=float, default=float("inf"))
    o, rest = p.parse_known_args()
    if not o.random:
        sys.argv[1:] = rest
        result = unittest.main(verbosity=2, exit=False).result
        bad = len(result.failures) + len(result.errors)
        print(f"{result.testsRun - bad} passed, {bad} failed")
        sys.exit(bad > 0)
    bad, n, end = 0, 0, time.monotonic() + o.seconds
    for seed in range(o.seed, o.seed + o.random):
        if time.monotonic() > end:
            break
        n += 1
        try:
            print(f"seed {seed}: {random_run(seed)}: passed", flush=True)
        except AssertionError as e:
            bad += 1
            print(f"{e}: FAILED; again by --random 1 --seed {seed}", flush=True)
    print(f"{n - bad} passed, {bad} failed")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
