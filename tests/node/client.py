"""A client of the cluster that shares no line with it: made from proto/eventflux.proto by protoc,
following the rules that stand at its fields.

    Session       submits its rows in order until every one is committed, whatever happens
    Subscriber    rows of a stream as they come; takes back what the cluster takes back
"""
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time

import grpc

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]


def load_stubs():
    folder = tempfile.mkdtemp(prefix="efx-stubs-")
    subprocess.run(["protoc", "-I", os.path.join(ROOT, "proto"), "--python_out", folder,
                    "--grpc_out", folder, "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin",
                    "eventflux.proto"], check=True)
    sys.path.insert(0, folder)
    import eventflux_pb2
    import eventflux_pb2_grpc
    import shutil
    shutil.rmtree(folder)
    return eventflux_pb2, eventflux_pb2_grpc


pb, pb_grpc = load_stubs()


def pack(kind, values):
    """A column of values, none of them NULL."""
    if kind == pb.TYPE_STRING:
        raw = [v.encode() for v in values]
        ends, n = [], 0
        for r in raw:
            n += len(r)
            ends.append(n)
        return {"ends": struct.pack(f"<{len(ends)}I", *ends), "heap": b"".join(raw)}
    letter = {pb.TYPE_INT: "i", pb.TYPE_LONG: "q", pb.TYPE_DOUBLE: "d"}[kind]
    return {"fixed": struct.pack(f"<{len(values)}{letter}", *values)}


def unpack(batch, schema):
    """Rows of a batch in the column form, as tuples."""
    columns = []
    for info, c in zip(schema, batch.columns):
        n = batch.row_count
        if info.type in (pb.TYPE_STRING, pb.TYPE_OBJECT, pb.TYPE_BYTES):
            ends = struct.unpack(f"<{n}I", c.ends)
            values = [c.heap[a:b].decode() for a, b in zip((0,) + ends[:-1], ends)]
        elif info.type == pb.TYPE_BOOL:
            values = [bool(b) for b in c.fixed]
        else:
            letter = {pb.TYPE_INT: "i", pb.TYPE_LONG: "q", pb.TYPE_FLOAT: "f",
                      pb.TYPE_DOUBLE: "d"}[info.type]
            values = list(struct.unpack(f"<{n}{letter}", c.fixed))
        if c.nulls:
            values = [None if c.nulls[r // 8] >> r % 8 & 1 else v for r, v in enumerate(values)]
        columns.append(values)
    return list(zip(*columns))


class LostRows(Exception):
    """The cluster has forgotten what it had said was committed."""


class Session(threading.Thread):
    """stream, kinds: of the rows, tuples. per_second: 0 = as fast as it goes."""

    def __init__(self, name, addresses, stream, kinds, rows, per_second=0, first=0, batch=200,
                 silent_seconds=5.0, window=20000):
        super().__init__(name=name, daemon=True)
        self.addresses, self.stream, self.kinds, self.rows = addresses, stream, kinds, rows
        self.at, self.batch, self.window = first, batch, window
        self.per_second, self.silent_seconds = per_second, silent_seconds
        self.lock = threading.Condition()
        self.committed = self.accepted = 0
        self.sent_to = 1  # row to send next
        self.openings = self.rewinds = self.repeats = self.rejects = 0
        self.nodes, self.errors = [], []
        self.failed = None
        self.last_ack = 0.0
        self.longest_silence = 0.0  # between two acks that moved `committed`
        self.begun = None

    # ---- a call

    def message(self, first, rows):
        columns = [pb.Column(type=k, **pack(k, [r[i] for r in rows]))
                   for i, k in enumerate(self.kinds)]
        batch = pb.Batch(stream=self.stream, row_count=len(rows), columns=columns)
        return pb.SubmitRequest(first_seq=first, batches=[batch])

    def may_send(self):
        """Rows that may leave now, by rate and window."""
        n = len(self.rows) - self.sent_to + 1
        n = min(n, self.committed + self.window - self.sent_to + 1, self.batch)
        if self.per_second:
            due = int((time.monotonic() - self.begun) * self.per_second) + 1
            n = min(n, due - self.sent_to + 1)
        return n

    def requests(self, call):
        """What a call sends; `call` is this call's own state."""
        yield pb.SubmitRequest(open=pb.Open(session=self.name, level=pb.LEVEL_COMMITTED,
                                            incarnation=str(os.getpid()),
                                            opening=time.time_ns() // 1000))
        while True:
            with self.lock:
                while not call["over"] and (not call["opened"] or call["moving"] or
                                            self.may_send() <= 0):
                    if self.committed == len(self.rows) or call["moving"]:
                        return
                    self.lock.wait(0.02)
                if call["over"] or self.committed == len(self.rows):
                    return
                first, n = self.sent_to, self.may_send()
                self.sent_to += n
            yield self.message(first, self.rows[first - 1:first - 1 + n])

    def handle(self, call, ack):
        with self.lock:
            now = time.monotonic()
            if ack.HasField("opened"):
                o = ack.opened
                self.nodes.append(o.node)
                if not o.known and self.committed > 0:
                    raise LostRows(f"{self.name}: {self.committed} were committed, {o.node} knows "
                                   f"nothing of the session")
                if o.next_seq < self.committed + 1:
                    raise LostRows(f"{self.name}: {self.committed} were committed, {o.node} wants "
                                   f"row {o.next_seq}")
                self.sent_to = o.next_seq
                call["opened"] = True
            if ack.resend_from:
                if ack.resend_from <= self.committed:
                    raise LostRows(f"{self.name}: {self.committed} were committed, and it should "
                                   f"go back to {ack.resend_from}")
                self.sent_to = ack.resend_from
                self.rewinds += 1
            if ack.committed > self.committed:
                self.longest_silence = max(self.longest_silence, now - call["moved"])
                call["moved"] = now
            self.committed = max(self.committed, ack.committed)
            self.accepted = ack.accepted
            self.rejects += len(ack.rejects)
            call["repeats"] = ack.repeats
            call["moving"] = call["moving"] or ack.moving
            self.last_ack = now
            self.lock.notify_all()

    def one_call(self, address):
        call = {"opened": False, "over": False, "moving": False, "repeats": 0,
                "moved": self.moved}
        with grpc.insecure_channel(address, options=OPTIONS) as channel:
            self.openings += 1
            self.last_ack = time.monotonic()
            stream = pb_grpc.EventFluxStub(channel).Submit(self.requests(call))
            done = threading.Event()

            def guard():  # a node that says nothing for too long is left
                while not done.wait(0.1):
                    if time.monotonic() - self.last_ack > self.silent_seconds:
                        stream.cancel()
                        return
            threading.Thread(target=guard, daemon=True).start()
            try:
                for ack in stream:
                    self.handle(call, ack)
            except grpc.RpcError as e:
                self.errors.append(f"{address}: {e.code().name}: {e.details()}")
                if e.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED,
                                grpc.StatusCode.FAILED_PRECONDITION):
                    raise
            finally:
                done.set()
                self.moved = call["moved"]
                self.repeats += call["repeats"]
                with self.lock:
                    call["over"] = True
                    self.lock.notify_all()

    def run(self):
        self.begun = self.moved = time.monotonic()
        try:
            while self.committed < len(self.rows):
                before = self.committed
                self.one_call(self.addresses[self.at % len(self.addresses)])
                self.at += 1
                if self.committed == before:
                    time.sleep(0.1)
        except Exception as e:  # whoever joins looks at it
            self.failed = e

    def finish(self, seconds):
        self.join(seconds)
        if self.failed is not None:
            raise self.failed
        if self.is_alive():
            raise AssertionError(
                f"{self.name}: {self.committed} of {len(self.rows)} rows are committed after "
                f"{seconds} s; sent to {self.sent_to}, last errors {self.errors[-3:]}")


class Subscriber(threading.Thread):
    """Rows of a stream at level ACCEPTED from one node, in a list."""

    def __init__(self, address, stream, level=None):
        super().__init__(daemon=True)
        self.channel = grpc.insecure_channel(address, options=OPTIONS)
        self.call = pb_grpc.EventFluxStub(self.channel).Subscribe(
            pb.SubscribeRequest(stream=stream, level=level or pb.LEVEL_ACCEPTED))
        self.rows, self.schema = [], []
        self.taken_back = 0
        self.ready = threading.Event()
        self.ended = None
        self.start()

    def run(self):
        try:
            for batch in self.call:
                if batch.schema:
                    self.schema = list(batch.schema)
                    self.ready.set()
                if batch.take_back_from:
                    self.taken_back += len(self.rows) - batch.take_back_from + 1
                    del self.rows[batch.take_back_from - 1:]
                if batch.batch.row_count:
                    if batch.first_row != len(self.rows) + 1:
                        raise AssertionError(f"row {batch.first_row} after {len(self.rows)}")
                    self.rows += unpack(batch.batch, self.schema)
        except grpc.RpcError as e:
            self.ended = e
        except AssertionError as e:
            self.ended = e
        self.ready.set()

    def close(self):
        self.call.cancel()
        self.channel.close()
