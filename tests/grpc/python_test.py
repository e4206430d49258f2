#!/usr/bin/python3
"""The gRPC services from outside, by Python's grpcio over stubs made from proto/.

    python_test.py EFX FOLDER      FOLDER: where stubs are made
"""
import json
import os
import shutil
import struct
import sys
import tempfile
import threading
import time
import unittest

import grpc

import grpc_env as env

EFX = sys.argv.pop(1)
env.make_stubs(sys.argv.pop(1))

# pylint: disable=wrong-import-position,import-error
import eventflux_pb2 as e  # noqa: E402
import eventflux_pb2_grpc as eg  # noqa: E402
import health_pb2 as h  # noqa: E402
import health_pb2_grpc as hg  # noqa: E402
import reflection_alpha_pb2 as ra  # noqa: E402
import reflection_alpha_pb2_grpc as rag  # noqa: E402
import reflection_pb2 as r  # noqa: E402
import reflection_pb2_grpc as rg  # noqa: E402
import transport_pb2 as t  # noqa: E402
import transport_pb2_grpc as tg  # noqa: E402

APP = """
CREATE STREAM S (k STRING, d DOUBLE, i INT NOT NULL, l LONG, b BOOL, f FLOAT, y BYTES, o OBJECT);
CREATE STREAM Small (v INT);
CREATE TABLE T (k STRING PRIMARY KEY, n LONG);
INSERT INTO Out SELECT k, d, i, l, b, f, y, o FROM S;
INSERT INTO Twice SELECT v * 2 AS v FROM Small;
"""
MB = 1024 * 1024


def row(*values, ts=None):
    """Values by their Python type; None is NULL."""
    out = e.Row()
    if ts is not None:
        out.ts_ms = ts
    for v in values:
        x = out.values.add()
        if isinstance(v, bool):
            x.b = v
        elif isinstance(v, int):
            x.i = v
        elif isinstance(v, float):
            x.d = v
        elif isinstance(v, str):
            x.s = v
        elif isinstance(v, bytes):
            x.y = v
    return out


def rows_of(batch):
    return [[None if v.WhichOneof("v") is None else getattr(v, v.WhichOneof("v"))
             for v in one.values] for one in batch.rows]


def once(stream, *rows):
    return e.SubmitRequest(open=e.Open(), batches=[e.Batch(stream=stream, rows=rows)])


class Served(unittest.TestCase):
    """One node for all cases of a class."""
    args = ()
    sql = APP

    @classmethod
    def setUpClass(cls):
        cls.node = env.Node(EFX, cls.sql, cls.args)
        cls.channel = grpc.insecure_channel(cls.node.address)
        cls.stub = eg.EventFluxStub(cls.channel)
        cls.old = tg.TransportStub(cls.channel)

    @classmethod
    def tearDownClass(cls):
        cls.channel.close()
        status, said = cls.node.stop(), cls.node.said()
        shutil.rmtree(cls.node.folder)
        if status != 0:
            raise RuntimeError(f"the node ended with {status}: {said}")

    def fails(self, code, efx, call):
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        x = caught.exception
        self.assertEqual(x.code(), code, x.details())
        if efx is not None:
            meta = dict(x.trailing_metadata())
            self.assertEqual(meta.get("efx-code"), efx, x.details())
            self.assertTrue(x.details().startswith(efx + ": "), x.details())
            self.assertEqual(meta.get("efx-node"), "alone")
        return x

    def subscribe(self, stream, **how):
        """A live subscription: its schema has come."""
        call = self.stub.Subscribe(e.SubscribeRequest(stream=stream, as_rows=True, **how))
        first = next(call)
        self.assertEqual(len(first.batch.rows), 0)
        self.assertGreater(len(first.schema), 0)
        return call

    def take(self, call, n):
        got = []
        while len(got) < n:
            got += rows_of(next(call).batch)
        return got


class Rows(Served):
    def test_every_type_comes_out_as_it_went_in_rows(self):
        out = self.subscribe("Out")
        sent = [["äö", 1.5, -7, 1 << 40, True, 0.25, b"\0\xff", '{"a":[1]}'],
                [None, None, 1, None, None, None, None, None],
                ["x" * 100, float("inf"), 2147483647, -1 << 63, False, -0.5, b"", "null"]]
        ack = self.stub.SubmitOnce(once("S", *[row(*v) for v in sent]))
        self.assertEqual((ack.accepted, len(ack.rejects)), (3, 0))
        self.assertEqual(self.take(out, 3), sent)
        out.cancel()

    def test_every_type_comes_out_as_it_went_in_columns(self):
        c = e.Column
        batch = e.Batch(stream="S", row_count=3, ts_ms=struct.pack("<3q", 5, 6, -1 << 63), columns=[
            c(name="k", type=e.TYPE_STRING, nulls=b"\x02", ends=struct.pack("<3I", 2, 2, 5),
              heap=b"ABxyz"),
            c(name="i", type=e.TYPE_INT, fixed=struct.pack("<3i", 1, -2, 3)),
            c(name="d", type=e.TYPE_FLOAT, fixed=struct.pack("<3f", 1.5, 2.5, -0.25)),
            c(name="l", type=e.TYPE_INT, nulls=b"\xf8", fixed=struct.pack("<3i", 1, -2, 3)),
            c(name="b", type=e.TYPE_BOOL, fixed=b"\1\0\1"),
            c(name="y", type=e.TYPE_BYTES, ends=struct.pack("<3I", 0, 1, 1), heap=b"\xff")])
        out = self.subscribe("Out")
        ack = self.stub.SubmitOnce(e.SubmitRequest(open=e.Open(), batches=[batch]))
        self.assertEqual(ack.accepted, 3)
        self.assertEqual(self.take(out, 3), [
            ["AB", 1.5, 1, 1, True, None, b"", None],
            [None, 2.5, -2, -2, False, None, b"\xff", None],
            ["xyz", -0.25, 3, 3, True, None, b"", None]])
        out.cancel()

    def test_columns_come_out_as_columns(self):
        call = self.stub.Subscribe(e.SubscribeRequest(stream="Twice"))
        next(call)
        self.stub.SubmitOnce(once("Small", *[row(v) for v in range(200)]))
        got = []
        while len(got) < 200:
            b = next(call).batch
            self.assertEqual(b.columns[0].type, e.TYPE_INT)
            got += struct.unpack(f"<{b.row_count}i", b.columns[0].fixed)
        self.assertEqual(got, [2 * v for v in range(200)])
        call.cancel()

    def test_rows_are_numbered_and_cut_as_asked(self):
        call = self.subscribe("Twice", max_rows=3)
        self.stub.SubmitOnce(once("Small", *[row(v) for v in range(10)]))
        batches, n = [], 0
        while n < 10:
            batches.append(next(call))
            n += len(batches[-1].batch.rows)
        self.assertTrue(all(len(b.batch.rows) <= 3 for b in batches))
        self.assertEqual([b.first_row for b in batches],
                         [1 + sum(len(x.batch.rows) for x in batches[:i])
                          for i in range(len(batches))])
        call.cancel()

    def test_names_choose_columns_and_their_order(self):
        out = self.subscribe("Out")
        batch = e.Batch(stream="S", columns=[e.Column(name="l"), e.Column(name="i")],
                        rows=[row(5, 6), row(None, 7)])
        self.stub.SubmitOnce(e.SubmitRequest(open=e.Open(), batches=[batch]))
        self.assertEqual([(v[2], v[3]) for v in self.take(out, 2)], [(6, 5), (7, None)])
        out.cancel()

    def test_more_rows_than_a_step_has_room_for(self):
        n = 20000
        out = self.stub.Subscribe(e.SubscribeRequest(stream="Twice"))
        next(out)
        column = e.Column(name="v", type=e.TYPE_INT, fixed=struct.pack(f"<{n}i", *range(n)))
        batch = e.Batch(stream="Small", row_count=n, columns=[column])
        self.assertEqual(self.stub.SubmitOnce(
            e.SubmitRequest(open=e.Open(), batches=[batch])).accepted, n)
        got = []
        while len(got) < n:
            b = next(out).batch
            got += struct.unpack(f"<{b.row_count}i", b.columns[0].fixed)
        self.assertEqual(got, [2 * v for v in range(n)])
        out.cancel()

    def test_a_bad_value_rejects_its_row_alone(self):
        acks = list(self.stub.Submit(iter([
            e.SubmitRequest(open=e.Open(session="rejects", level=e.LEVEL_ACCEPTED)),
            e.SubmitRequest(first_seq=1, batches=[e.Batch(stream="S", rows=[
                row("a", 1.0, 1), row("b", 1.0, 1 << 31), row("c", 1.0), row("d", 1.0, 2),
                row("e", 1.0, 1, None, None, None, None, "{"), row("f", 1.0, 1)])]),
            e.SubmitRequest(first_seq=7, batches=[e.Batch(stream="S", row_count=2, columns=[
                e.Column(name="k", type=e.TYPE_STRING, ends=struct.pack("<2I", 1, 3),
                         heap=b"a\xc3\x28"),
                e.Column(name="i", type=e.TYPE_INT, fixed=struct.pack("<2i", 1, 2))])])])))
        rejects = [(x.seq, x.code, x.stream, x.column) for a in acks for x in a.rejects]
        self.assertEqual(rejects, [(2, "EFX-3002", "S", "i"), (3, "EFX-3102", "S", "i"),
                                   (5, "EFX-3002", "S", "o"), (8, "EFX-3002", "S", "k")])
        self.assertEqual(acks[-1].accepted, 8)

    def test_a_message_that_makes_no_sense_counts_no_row(self):
        fixed = struct.pack("<2i", 1, 2)
        i = e.Column(name="v", type=e.TYPE_INT, fixed=fixed)
        bad = [
            ("EFX-1201", e.Batch(stream="Nowhere", rows=[row(1)])),
            ("EFX-1201", e.Batch(stream="Out", rows=[row(1)])),
            ("EFX-1203", e.Batch(stream="Small", row_count=2, columns=[
                e.Column(name="w", type=e.TYPE_INT, fixed=fixed)])),
            ("EFX-1310", e.Batch(stream="Small", row_count=2, columns=[
                e.Column(name="v", type=e.TYPE_LONG, fixed=fixed * 2)])),
            ("EFX-1310", e.Batch(stream="Small", row_count=2, columns=[
                e.Column(name="v", fixed=fixed)])),
            ("EFX-1102", e.Batch(stream="Small", row_count=2, columns=[i, i])),
            ("EFX-1311", e.Batch(stream="Small", row_count=2, columns=[
                i, e.Column(type=e.TYPE_INT, fixed=fixed)])),
            ("EFX-4001", e.Batch(stream="Small", row_count=3, columns=[i])),
            ("EFX-4001", e.Batch(stream="Small", row_count=2, ts_ms=b"12345678", columns=[i])),
            ("EFX-4001", e.Batch(stream="Small", row_count=2, columns=[
                e.Column(name="v", type=e.TYPE_INT, fixed=fixed, nulls=b"12")])),
            ("EFX-4001", e.Batch(stream="S", row_count=2, columns=[
                e.Column(name="k", type=e.TYPE_STRING, ends=struct.pack("<2I", 3, 2),
                         heap=b"abc")])),
            ("EFX-4001", e.Batch(stream="S", row_count=2, columns=[
                e.Column(name="k", type=e.TYPE_STRING, ends=struct.pack("<2I", 1, 2),
                         heap=b"abc")])),
            ("EFX-1310", e.Batch(stream="Small", rows=[row(1), row("2")])),
            ("EFX-1311", e.Batch(stream="Small", rows=[row(1), row(1, 2)])),
            ("EFX-4001", e.Batch(stream="Small", row_count=1, rows=[row(1)])),
        ]
        before = self.stub.Status(e.StatusRequest()).rows_in
        for code, batch in bad:
            good = e.Batch(stream="Small", rows=[row(1)])
            self.fails(grpc.StatusCode.INVALID_ARGUMENT, code, lambda: self.stub.SubmitOnce(
                e.SubmitRequest(open=e.Open(), batches=[good, batch])))
        self.assertEqual(self.stub.Status(e.StatusRequest()).rows_in, before)

    def test_rows_without_bytes_are_limited(self):
        batch = e.Batch(stream="Small", row_count=4000000000)
        self.fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "EFX-4005", lambda: self.stub.SubmitOnce(
            e.SubmitRequest(open=e.Open(), batches=[batch])))

    def test_garbage_is_refused(self):
        call = self.channel.unary_unary("/eventflux.v1.EventFlux/SubmitOnce")
        for junk in [b"\xff", b"\x1a\x05abc", b"\x0b", b"\x1a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f"]:
            self.fails(grpc.StatusCode.INVALID_ARGUMENT, None, lambda: call(junk))


class Sessions(Served):
    def test_a_row_that_is_sent_again_counts_once(self):
        name = "again"
        batch = [e.Batch(stream="Small", rows=[row(v) for v in range(5)])]
        first = e.SubmitRequest(open=e.Open(session=name), first_seq=1, batches=batch)
        self.assertEqual(self.stub.SubmitOnce(first).accepted, 5)
        again = self.stub.SubmitOnce(first)
        self.assertEqual((again.accepted, again.repeats), (5, 5))
        part = e.SubmitRequest(open=e.Open(session=name), first_seq=4, batches=batch)
        ack = self.stub.SubmitOnce(part)
        self.assertEqual((ack.accepted, ack.repeats), (8, 2))

    def test_opening_says_what_comes_next(self):
        self.stub.SubmitOnce(e.SubmitRequest(open=e.Open(session="next"), first_seq=1, batches=[
            e.Batch(stream="Small", rows=[row(1), row(2)])]))
        acks = list(self.stub.Submit(iter([e.SubmitRequest(open=e.Open(session="next"))])))
        self.assertEqual((acks[0].opened.next_seq, acks[0].opened.known, acks[0].accepted),
                         (3, True, 2))
        acks = list(self.stub.Submit(iter([e.SubmitRequest(open=e.Open(session="new"))])))
        self.assertEqual((acks[0].opened.next_seq, acks[0].opened.known), (1, False))

    def test_a_gap_is_told_with_the_row_that_comes_next(self):
        x = self.fails(grpc.StatusCode.OUT_OF_RANGE, "EFX-4007", lambda: self.stub.SubmitOnce(
            e.SubmitRequest(open=e.Open(session="gap"), first_seq=5, batches=[
                e.Batch(stream="Small", rows=[row(1)])])))
        self.assertEqual(dict(x.trailing_metadata())["efx-next-seq"], "1")

    def test_the_newer_opening_wins(self):
        go = threading.Event()

        def older():
            yield e.SubmitRequest(open=e.Open(session="twice", opening=5))
            go.wait(30)
        call = self.stub.Submit(older())
        next(call)
        late = lambda: list(self.stub.Submit(iter([  # noqa: E731
            e.SubmitRequest(open=e.Open(session="twice", opening=4))])))
        self.fails(grpc.StatusCode.ABORTED, "EFX-4008", late)
        list(self.stub.Submit(iter([e.SubmitRequest(open=e.Open(session="twice", opening=6))])))
        self.fails(grpc.StatusCode.ABORTED, "EFX-4008", lambda: list(call))
        go.set()

    def test_what_an_open_may_not_ask(self):
        bad = [
            (grpc.StatusCode.FAILED_PRECONDITION, "EFX-4009", e.Open(session="s", level=2)),
            (grpc.StatusCode.FAILED_PRECONDITION, "EFX-4009", e.Open(session="s", level=3)),
            (grpc.StatusCode.FAILED_PRECONDITION, "EFX-4009", e.Open(app_hash=b"x" * 16)),
            (grpc.StatusCode.INVALID_ARGUMENT, "EFX-4002", e.Open(level=3)),
            (grpc.StatusCode.INVALID_ARGUMENT, "EFX-4002", e.Open(session="x" * 65)),
        ]
        for code, efx, opening in bad:
            self.fails(code, efx, lambda: list(self.stub.Submit(iter(
                [e.SubmitRequest(open=opening)]))))
        app = self.stub.Describe(e.DescribeRequest()).app_hash
        self.assertEqual(self.stub.SubmitOnce(e.SubmitRequest(
            open=e.Open(app_hash=app))).accepted, 0)

    def test_the_order_of_messages_is_kept_to(self):
        rows = [e.Batch(stream="Small", rows=[row(1)])]
        wrong = [
            [e.SubmitRequest(first_seq=1, batches=rows)],
            [e.SubmitRequest(open=e.Open(), batches=rows)],
            [e.SubmitRequest(open=e.Open()), e.SubmitRequest(open=e.Open())],
            [e.SubmitRequest(open=e.Open()), e.SubmitRequest(first_seq=1, batches=rows)],
            [e.SubmitRequest(open=e.Open(session="n")), e.SubmitRequest(batches=rows)],
            [],
        ]
        for messages in wrong:
            self.fails(grpc.StatusCode.INVALID_ARGUMENT, "EFX-4002",
                       lambda: list(self.stub.Submit(iter(messages))))

    def test_an_ack_comes_without_rows(self):
        stop = threading.Event()

        def slow():
            yield e.SubmitRequest(open=e.Open(session="idle"))
            stop.wait(60)
        call = self.stub.Submit(slow())
        for _ in range(4):
            next(call)
        stop.set()
        call.cancel()

    def test_a_clock_that_is_the_systems_is_not_moved(self):
        for ask in [e.SubmitRequest(advance_ms=5), e.SubmitRequest(drain=True)]:
            self.fails(grpc.StatusCode.INVALID_ARGUMENT, "EFX-4002", lambda: list(self.stub.Submit(
                iter([e.SubmitRequest(open=e.Open(session="clock")), ask]))))


class Virtual(Served):
    args = ("--clock", "virtual")
    sql = """CREATE STREAM S (v INT);
    INSERT INTO Sums SELECT sum(v) AS v FROM S WINDOW('tumbling', 1 SEC, 0);"""

    def test_the_clock_moves_with_the_messages(self):
        out = self.subscribe("Sums")
        list(self.stub.Submit(iter([
            e.SubmitRequest(open=e.Open(session="v")),
            e.SubmitRequest(first_seq=1, batches=[e.Batch(stream="S", rows=[
                row(1, ts=100), row(2, ts=200)])], advance_ms=1000)])))
        self.assertEqual(self.take(out, 1), [[3]])
        out.cancel()


class Queries(Served):
    def ask(self, sql, **how):
        return list(self.stub.Query(e.QueryRequest(sql=sql, as_rows=True, **how)))

    def test_a_table_is_changed_and_read(self):
        got = self.ask("INSERT INTO T VALUES ('a', 1), ('b', 2)")
        self.assertEqual(got[-1].changed, 2)
        got = self.ask("SELECT k, n FROM T WHERE n > 1")
        self.assertEqual([c.name for c in got[0].schema], ["k", "n"])
        self.assertEqual([v for x in got for v in rows_of(x.batch)], [["b", 2]])

    def test_no_row_still_has_columns(self):
        got = self.ask("SELECT k, n FROM T WHERE n > 1000000")
        self.assertEqual([c.name for c in got[0].schema], ["k", "n"])
        self.assertEqual(sum(len(x.batch.rows) for x in got), 0)

    def test_many_rows_come_in_messages_that_a_client_takes(self):
        text = "x" * 1000
        for i in range(0, 10000, 500):
            values = ", ".join(f"('big{k}{text}', {k})" for k in range(i, i + 500))
            self.ask(f"INSERT INTO T VALUES {values}")
        got = self.ask("SELECT k, n FROM T WHERE k LIKE 'big%'")
        self.assertEqual([v[1] for x in got for v in rows_of(x.batch)], list(range(10000)))

    def test_a_change_with_a_number_counts_once(self):
        how = {"session": "q", "seq": 1}
        self.assertEqual(self.ask("INSERT INTO T VALUES ('q', 1)", **how)[-1].changed, 1)
        self.assertTrue(self.ask("INSERT INTO T VALUES ('q', 1)", **how)[-1].repeat)
        self.fails(grpc.StatusCode.OUT_OF_RANGE, "EFX-4007", lambda: self.ask(
            "INSERT INTO T VALUES ('q', 1)", session="q", seq=9))

    def test_faults_are_told(self):
        self.fails(grpc.StatusCode.INVALID_ARGUMENT, "EFX-1203",
                   lambda: self.ask("SELECT nix FROM T"))
        self.fails(grpc.StatusCode.INVALID_ARGUMENT, "EFX-1001", lambda: self.ask("SELEKT"))

    def test_subscriptions_that_cannot_be(self):
        ask = lambda **how: next(self.stub.Subscribe(e.SubscribeRequest(**how)))  # noqa: E731
        self.fails(grpc.StatusCode.INVALID_ARGUMENT, "EFX-1201", lambda: ask(stream="Nix"))
        self.fails(grpc.StatusCode.INVALID_ARGUMENT, "EFX-4002",
                   lambda: ask(stream="Out", level=e.LEVEL_LOGGED))
        self.fails(grpc.StatusCode.FAILED_PRECONDITION, "EFX-4009",
                   lambda: ask(stream="Out", level=e.LEVEL_COMMITTED))

    def test_streams_and_tables_are_described(self):
        d = self.stub.Describe(e.DescribeRequest(plan=True))
        kinds = {s.name: s.kind for s in d.streams}
        self.assertEqual((kinds["S"], kinds["T"]), ("internal", "table"))
        self.assertEqual((d.app, d.sql), ("app", APP))
        json.loads(d.plan_json)
        one = self.stub.Describe(e.DescribeRequest(name="T")).streams
        self.assertEqual([(c.name, c.type, c.key) for c in one[0].columns],
                         [("k", e.TYPE_STRING, True), ("n", e.TYPE_LONG, False)])
        s = self.stub.Describe(e.DescribeRequest(name="S")).streams[0]
        self.assertEqual([c.not_null for c in s.columns][:3], [False, False, True])
        self.fails(grpc.StatusCode.INVALID_ARGUMENT, "EFX-1201",
                   lambda: self.stub.Describe(e.DescribeRequest(name="Nix")))

    def test_status_and_what_needs_a_store(self):
        s = self.stub.Status(e.StatusRequest())
        self.assertEqual((s.store_state, len(s.nodes), s.nodes[0].state, s.nodes[0].key_groups),
                         ("none", 1, e.NODE_STATE_RUNNING, 1024))
        for call, ask in [(self.stub.Checkpoint, e.CheckpointRequest()),
                          (self.stub.Restore, e.RestoreRequest()),
                          (self.stub.Deploy, e.DeployRequest(sql="x")),
                          (self.stub.Drain, e.DrainRequest())]:
            self.fails(grpc.StatusCode.FAILED_PRECONDITION, "EFX-5002", lambda: call(ask))


class Transport(Served):
    def event(self, payload, stream="Small", **more):
        return t.TransportMessage(id="m1", message_type=t.MESSAGE_TYPE_EVENT, payload=payload,
                                  headers={"stream": stream}, **more)

    def answer(self, got):
        self.assertEqual((got.id, got.message_type), ("m1", t.MESSAGE_TYPE_ACKNOWLEDGMENT))
        return got.headers["accepted"], got.headers["rejected"]

    def test_an_object_and_an_array(self):
        out = self.subscribe("Twice")
        self.assertEqual(self.answer(self.old.SendMessage(self.event(b'{"v":1}'))), ("1", "0"))
        self.assertEqual(self.answer(self.old.SendMessage(
            self.event(b'[{"v":2},\n {"v":"x"},\r\n{"v":3}]\n'))), ("2", "1"))
        self.assertEqual(self.take(out, 3), [[2], [4], [6]])
        out.cancel()

    def test_the_first_fault_is_named(self):
        got = self.old.SendMessage(self.event(b'[{"v":"x"},{"v":1}]'))
        self.assertIn("EFX-3002", got.headers["error"])
        self.assertIn("EFX-3001", self.old.SendMessage(self.event(b"{")).headers["error"])

    def test_payloads_may_be_packed(self):
        text = b'[{"v":1},{"v":2}]'
        snappy = bytes([len(text), (len(text) - 1) << 2]) + text  # one literal
        lz4 = struct.pack("<I", len(text)) + bytes([0xf0, len(text) - 15]) + text
        for how, packed in [(t.COMPRESSION_TYPE_SNAPPY, snappy), (t.COMPRESSION_TYPE_LZ4, lz4)]:
            got = self.old.SendMessage(self.event(packed, compression=how))
            self.assertEqual(self.answer(got), ("2", "0"))
            self.fails(grpc.StatusCode.INVALID_ARGUMENT, "EFX-4001", lambda: self.old.SendMessage(
                self.event(packed[:-3], compression=how)))

    def test_a_stream_of_messages_is_answered_in_order(self):
        def messages():
            for i in range(300):
                m = self.event(b'{"v":%d}' % i)
                m.id = str(i)
                yield m
        got = list(self.old.StreamMessages(messages()))
        self.assertEqual([g.id for g in got], [str(i) for i in range(300)])
        self.assertTrue(all(g.headers["accepted"] == "1" for g in got))

    def test_what_is_not_taken(self):
        self.fails(grpc.StatusCode.INVALID_ARGUMENT, "EFX-1201",
                   lambda: self.old.SendMessage(self.event(b"{}", stream="Nix")))
        self.fails(grpc.StatusCode.UNIMPLEMENTED, "EFX-4003", lambda: self.old.SendMessage(
            t.TransportMessage(message_type=t.MESSAGE_TYPE_STATE)))

    def test_events_come_as_json(self):
        call = self.old.StreamEvents(t.EventRequest(
            node_id="me", filter=t.EventFilter(stream_names=["Twice"]), batch_size=2))
        got = []
        done = threading.Event()

        def read():
            for m in call:
                self.assertEqual((m.message_type, m.headers["stream"]),
                                 (t.MESSAGE_TYPE_EVENT, "Twice"))
                rows = json.loads(m.payload)
                self.assertLessEqual(len(rows), 2)
                got.extend(rows)
                if any(x == {"v": 2000} for x in got):
                    done.set()
                    return
        reader = threading.Thread(target=read)
        reader.start()
        v = 0
        while not done.wait(0.02):  # until the subscription is there
            self.stub.SubmitOnce(once("Small", row(v), row(1000), row(7)))
            v += 1
        reader.join()
        call.cancel()

    def test_a_heartbeat_says_how_the_node_is(self):
        got = self.old.Heartbeat(t.HeartbeatRequest(node_id="me", timestamp=1))
        self.assertEqual((got.server_node_id, got.server_status.health),
                         ("alone", t.NODE_HEALTH_HEALTHY))
        self.assertGreater(got.server_timestamp, 1700000000000)
        self.assertGreater(got.server_status.memory_usage, 0)
        self.assertEqual((got.cluster_info.total_nodes, got.cluster_info.healthy_nodes), (1, 1))


class Standard(Served):
    """Health, reflection, and what gRPC itself promises."""

    def test_health(self):
        stub = hg.HealthStub(self.channel)
        for service in ["", "eventflux.v1.EventFlux"]:
            self.assertEqual(stub.Check(h.HealthCheckRequest(service=service)).status, 1)
        self.fails(grpc.StatusCode.NOT_FOUND, None,
                   lambda: stub.Check(h.HealthCheckRequest(service="nix")))
        watch = stub.Watch(h.HealthCheckRequest(service="nix"))
        self.assertEqual(next(watch).status, h.HealthCheckResponse.SERVICE_UNKNOWN)
        watch.cancel()

    def test_reflection_of_both_names(self):
        for m, stub in [(r, rg.ServerReflectionStub(self.channel)),
                        (ra, rag.ServerReflectionStub(self.channel))]:
            ask = m.ServerReflectionRequest
            got = list(stub.ServerReflectionInfo(iter([
                ask(list_services="*"), ask(file_containing_symbol="eventflux.v1.Batch"),
                ask(file_containing_symbol="eventflux.transport.Transport.Heartbeat"),
                ask(file_by_filename="health.proto"), ask(file_containing_symbol="a.b")])))
            names = {s.name for s in got[0].list_services_response.service}
            self.assertEqual(names, {"eventflux.v1.EventFlux", "eventflux.transport.Transport",
                                     "grpc.health.v1.Health",
                                     "grpc.reflection.v1.ServerReflection",
                                     "grpc.reflection.v1alpha.ServerReflection"})
            for x in got[1:4]:
                self.assertEqual(len(x.file_descriptor_response.file_descriptor_proto), 1)
            self.assertEqual(got[4].error_response.error_code, 5)

    def test_an_unknown_method_is_unimplemented(self):
        for path in ["/eventflux.v1.EventFlux/Nix", "/a/b", "/eventflux.v1.EventFlux"]:
            self.fails(grpc.StatusCode.UNIMPLEMENTED, None,
                       lambda: self.channel.unary_unary(path)(b"", timeout=20))

    def test_a_message_that_is_too_long(self):
        big = once("S", row("x" * (4 * MB), 1.0, 1))
        self.fails(grpc.StatusCode.RESOURCE_EXHAUSTED, None, lambda: self.stub.SubmitOnce(big))
        self.assertEqual(self.stub.SubmitOnce(once("Small", row(1))).accepted, 1)

    def test_a_deadline_ends_the_call(self):
        call = self.stub.Subscribe(e.SubscribeRequest(stream="Out"), timeout=0.3)
        self.fails(grpc.StatusCode.DEADLINE_EXCEEDED, None, lambda: list(call))

    def test_cancelled_calls_leave_nothing(self):
        calls = [self.subscribe("Out") for _ in range(50)]
        for c in calls:
            c.cancel()
        got = None
        for _ in range(500):
            got = self.old.Heartbeat(t.HeartbeatRequest())
            if got.server_status.active_connections == 1:
                return
            time.sleep(0.02)
        self.fail(f"{got.server_status.active_connections} calls are open")

    def test_too_many_calls_are_refused(self):
        calls = [self.stub.Subscribe(e.SubscribeRequest(stream="Out")) for _ in range(260)]
        codes = []
        for c in calls:
            try:
                next(c)
            except grpc.RpcError as x:
                codes.append(x.code())
        self.assertEqual(hg.HealthStub(self.channel).Check(h.HealthCheckRequest()).status, 1)
        for c in calls:
            c.cancel()
        self.assertEqual(codes, [grpc.StatusCode.RESOURCE_EXHAUSTED] * 4)

    def test_compressed_messages_are_taken(self):
        for how in [grpc.Compression.Gzip, grpc.Compression.Deflate]:
            with grpc.insecure_channel(self.node.address, compression=how) as channel:
                ack = eg.EventFluxStub(channel).SubmitOnce(
                    once("S", *[row("x" * 500, 1.0, i) for i in range(500)]))
                self.assertEqual(ack.accepted, 500)

    def test_a_client_that_pings_is_kept(self):
        options = [("grpc.keepalive_time_ms", 100), ("grpc.keepalive_permit_without_calls", 1),
                   ("grpc.http2.max_pings_without_data", 0)]
        with grpc.insecure_channel(self.node.address, options=options) as channel:
            call = eg.EventFluxStub(channel).Subscribe(
                e.SubscribeRequest(stream="Out"), timeout=3)
            next(call)
            self.fails(grpc.StatusCode.DEADLINE_EXCEEDED, None, lambda: list(call))

    def test_a_reader_that_is_too_slow_is_let_go(self):
        call = self.subscribe("Out")
        text, n = "x" * 4000, 0
        while n < 40000:  # 160 MB: more than the limit and what the wire holds
            self.stub.SubmitOnce(once("S", *[row(text, 1.0, i) for i in range(1000)]))
            n += 1000
            if not call.is_active():
                break
        self.fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "EFX-4005", lambda: list(call))


class Leaving(unittest.TestCase):
    def test_sigterm_ends_calls_in_order(self):
        with env.Node(EFX, APP) as node, grpc.insecure_channel(node.address) as channel:
            stub = eg.EventFluxStub(channel)
            watch = hg.HealthStub(channel).Watch(h.HealthCheckRequest())
            self.assertEqual(next(watch).status, 1)
            out = stub.Subscribe(e.SubscribeRequest(stream="Out"))
            next(out)
            hold = threading.Event()

            def slow():
                yield e.SubmitRequest(open=e.Open(session="s"))
                hold.wait(30)
            submit = stub.Submit(slow())
            next(submit)
            self.assertEqual(node.stop(), 0)
            hold.set()
            self.assertEqual([x.status for x in self.until_end(watch)], [2])
            self.assertEqual(out.code(), grpc.StatusCode.UNAVAILABLE) if self.until_end(out) == [] \
                else self.fail("rows")
            self.until_end(submit)
            self.assertEqual(submit.code(), grpc.StatusCode.UNAVAILABLE)

    def until_end(self, call):
        got = []
        try:
            for x in call:
                got.append(x)
        except grpc.RpcError:
            pass
        return got

    def test_a_port_that_is_taken_is_told(self):
        with env.Node(EFX, APP) as node:
            import subprocess
            p = subprocess.run([EFX, "run", os.path.join(node.folder, "app.sql"), "--grpc",
                                node.address], capture_output=True, timeout=60, check=False)
            self.assertEqual(p.returncode, 1, p.stderr)
            self.assertIn(b"cannot listen on", p.stderr)


class Secure(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp()
        env.make_authority(cls.dir, "ca")
        env.make_authority(cls.dir, "rogue")
        for authority, name in [("ca", "server"), ("ca", "client"), ("rogue", "stranger")]:
            env.make_certificate(cls.dir, authority, name)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def node(self, *args):
        return env.Node(EFX, APP, ["--tls-cert", self.path("server.pem"),
                                   "--tls-key", self.path("server.key"), *args])

    def credentials(self, ca="ca", client=None):
        if client is None:
            return grpc.ssl_channel_credentials(env.read(self.path(f"{ca}.pem")))
        return grpc.ssl_channel_credentials(env.read(self.path(f"{ca}.pem")),
                                            env.read(self.path(f"{client}.key")),
                                            env.read(self.path(f"{client}.pem")))

    def status(self, node, credentials, options=()):
        with grpc.secure_channel(node.address, credentials, options) as channel:
            return eg.EventFluxStub(channel).Status(e.StatusRequest(), timeout=20)

    def refused(self, node, credentials, options=()):
        with self.assertRaises(grpc.RpcError) as caught:
            self.status(node, credentials, options)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)

    def test_tls(self):
        with self.node() as node:
            self.assertEqual(self.status(node, self.credentials()).app, "app")
            self.refused(node, self.credentials(ca="rogue"))
            self.refused(node, self.credentials(),
                         [("grpc.ssl_target_name_override", "elsewhere.example")])
            with self.assertRaises(grpc.RpcError):
                with grpc.insecure_channel(node.address) as channel:
                    eg.EventFluxStub(channel).Status(e.StatusRequest(), timeout=20)

    def test_clients_must_have_a_certificate_where_one_is_asked(self):
        with self.node("--tls-ca", self.path("ca.pem")) as node:
            self.assertEqual(self.status(node, self.credentials(client="client")).app, "app")
            self.refused(node, self.credentials())
            self.refused(node, self.credentials(client="stranger"))

    def test_a_certificate_that_is_replaced_is_used(self):
        import socket
        import ssl

        def serial(address):
            host, port = address.rsplit(":", 1)
            context = ssl.create_default_context(cafile=self.path("ca.pem"))
            context.set_alpn_protocols(["h2"])
            with socket.create_connection((host, int(port))) as s:
                with context.wrap_socket(s, server_hostname="localhost") as secure:
                    return int(secure.getpeercert()["serialNumber"], 16)
        with self.node() as node:
            before = serial(node.address)
            env.make_certificate(self.dir, "ca", "server", serial=before + 1)
            self.assertEqual(serial(node.address), before + 1)
            self.assertEqual(self.status(node, self.credentials()).app, "app")
            with open(self.path("server.pem"), "w", encoding="utf-8") as f:
                f.write("torn")
            self.assertEqual(serial(node.address), before + 1)
            env.make_certificate(self.dir, "ca", "server")

    def test_a_file_that_is_no_certificate_is_told(self):
        import subprocess
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as app:
            app.write(APP)
            app.flush()
            p = subprocess.run([EFX, "run", app.name, "--grpc", "127.0.0.1:0", "--tls-cert",
                                app.name, "--tls-key", self.path("server.key")],
                               capture_output=True, timeout=60, check=False)
            self.assertEqual(p.returncode, 2, p.stderr)
            self.assertIn(b"as a PEM file", p.stderr)


if __name__ == "__main__":
    unittest.main()
