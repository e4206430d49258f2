"""Real processes for the tests of a cluster: a Redis and N efx-node, on free loopback ports, in a
temporary folder. Ended by their own process ids, whatever happens.

    with Cluster(bin_folder, sql, n=3) as c:
        c.wait_ready()
        c.nodes[1].kill()                     SIGKILL; .stop(), .cont(), .term(), .start()
        c.redis.kill(); c.redis.start()       it keeps its data: append-only, always
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

WAIT_SECONDS = 60


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def memory_folder():
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def wait_for(what, condition, seconds=WAIT_SECONDS, every=0.02):
    """The first true value of condition(); AssertionError with what() after so long."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(what() if callable(what) else what)
        time.sleep(every)


class Process:
    """One child with its log; never left behind."""

    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        self.log_path = os.path.join(folder, name + ".log")
        self.child = None
        self.stopped = False

    def spawn(self, command, **how):
        with open(self.log_path, "ab") as log:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          start_new_session=True, **how)

    def is_alive(self):
        return self.child is not None and self.child.poll() is None

    def signal(self, which):
        if self.is_alive():
            os.kill(self.child.pid, which)

    def kill(self):
        self.signal(signal.SIGKILL)
        if self.child is not None:
            self.child.wait()
        self.stopped = False

    def stop(self):
        self.signal(signal.SIGSTOP)
        self.stopped = True

    def cont(self):
        self.signal(signal.SIGCONT)
        self.stopped = False

    def term(self, seconds=30):
        """Asks it to end; its exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired as e:
            raise AssertionError(f"{self.name} does not end:\n{self.log_tail()}") from e

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def log_tail(self, lines=25):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                said = [l for l in f if not l.startswith((" ", "warning "))]
                return "".join(f"    {self.name}: {l}" for l in said[-lines:])
        except OSError:
            return ""


class Relay:
    """A loopback port in front of another: what goes through can be cut off without a word, as a
    network does it, and let through again. New connections are taken and say nothing meanwhile."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.open = threading.Event()
        self.open.set()
        self.sockets = set()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(near,), daemon=True).start()

    def serve(self, near):
        self.open.wait()
        try:
            far = socket.create_connection(self.target)
        except OSError:
            near.close()
            return
        pair = (near, far)
        for s in pair:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sockets.update(pair)
        for a, b in (pair, pair[::-1]):
            threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    def pump(self, a, b):
        try:
            while data := a.recv(65536):
                self.open.wait()
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        self.open.clear()

    def heal(self):
        self.open.set()

    def close(self):
        self.open.set()
        self.listener.close()
        for s in self.sockets:
            s.close()


class Redis(Process):
    def __init__(self, folder):
        super().__init__("redis", folder)
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        if shutil.which("redis-server") is None:
            raise AssertionError("redis-server is missing; scripts/setup.sh installs it")
        self.spawn(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir",
                    self.folder, "--save", "", "--appendonly", "yes", "--appendfsync", "always"])
        wait_for(lambda: "redis does not answer\n" + self.log_tail(), self.answers)

    def lose(self):
        """Restarted, and everything that it knew is gone."""
        self.kill()
        shutil.rmtree(os.path.join(self.folder, "appendonlydir"))
        self.start()

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                s.sendall(b"PING\r\n")
                return s.recv(16).startswith(b"+PONG")
        except OSError:
            return False


class Node(Process):
    def __init__(self, cluster, i, seeds):
        super().__init__(f"n{i}", cluster.folder)
        self.cluster, self.i, self.seeds = cluster, i, seeds
        self.tcp, self.grpc, self.http = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self.relays = {}  # "peers": others reach it through that one; "redis": it reaches Redis
        self.epochs = []  # as it told them, of this incarnation

    def behind_relays(self):
        """Before its start, and before others are told to join it."""
        host, port = self.tcp.split(":")
        self.relays = {"peers": Relay((host, int(port))),
                       "redis": Relay(("127.0.0.1", self.cluster.redis.port))}

    def told(self):
        """Where others reach it."""
        return self.relays["peers"].address if self.relays else self.tcp

    def redis_url(self):
        relay = self.relays.get("redis")
        return f"redis://{relay.address}/0" if relay else self.cluster.redis.url

    def start(self, options=()):
        self.epochs = []
        command = [os.path.join(self.cluster.bin, "efx-node"), "--id", self.name, "--app",
                   self.cluster.app, "--redis", self.redis_url(), "--advertise-tcp", self.told(),
                   "--data",
                   os.path.join(self.folder, self.name), "--listen-tcp", self.tcp, "--listen-grpc",
                   self.grpc, "--listen-http", self.http, "--shards", "1", "--set",
                   f"cluster.failure_timeout={self.cluster.failure_ms}ms"]
        for seed in self.seeds:
            command += ["--join", seed]
        self.spawn(command + list(self.cluster.options) + list(options))

    def page(self, path, seconds=2):
        """(status code, JSON); (0, None): no answer."""
        try:
            with urllib.request.urlopen(f"http://{self.http}{path}", timeout=seconds) as r:
                return r.status, json.loads(r.read())
        except urllib.error.HTTPError as e:
            return e.code, json.loads(e.read())
        except (OSError, ValueError):
            return 0, None

    def is_ready(self):
        return self.page("/ready")[0] == 200


class Cluster:
    def __init__(self, bin_folder, sql, n=3, failure_ms=1000, options=(), keep=False,
                 relays=False):
        self.bin, self.n, self.failure_ms, self.options = bin_folder, n, failure_ms, options
        # In memory where there is such a folder: a busy disk's fsync is no fault of this test's.
        self.folder = tempfile.mkdtemp(prefix="efx-cluster-", dir=memory_folder())
        self.keep = keep
        self.app = os.path.join(self.folder, "app.sql")
        with open(self.app, "w", encoding="utf-8") as f:
            f.write(sql)
        self.redis = Redis(self.folder)
        self.relays = relays
        self.nodes = []
        for i in range(n):
            self.add_node()
        self.watching = False

    def add_node(self):
        """Not started; the second and all later ones join the first."""
        i = len(self.nodes) + 1
        node = Node(self, i, [x.told() for x in self.nodes[:2]])
        if self.relays:
            node.behind_relays()
        self.nodes.append(node)
        return node

    def __enter__(self):
        try:
            self.redis.start()
            for node in self.nodes:
                node.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and issubclass(kind, Exception):
            print(self.story(), flush=True)
        self.close()

    def close(self):
        self.watching = False
        for p in self.nodes + [self.redis]:
            p.kill()
        for relay in (r for n in self.nodes for r in n.relays.values()):
            relay.close()
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def story(self):
        return "".join(p.log_tail() for p in self.nodes + [self.redis])

    def addresses(self):
        return [n.grpc for n in self.nodes]

    def wait_ready(self, nodes=None, members=None):
        nodes = nodes or self.nodes
        for node in nodes:
            wait_for(lambda n=node: f"{n.name} is not ready: {n.page('/ready')}", node.is_ready)
        if members is not None:
            wait_for(lambda: f"no {members} members: {nodes[0].page('/api/status')}",
                     lambda: len((nodes[0].page("/api/status")[1] or {}).get("nodes", [])) == members)

    def leader(self):
        """The node that leads, as one that is ready says."""
        for node in self.nodes:
            if node.is_alive() and not node.stopped:
                code, status = node.page("/api/status")
                if code == 200 and status["leader"]:
                    return next((n for n in self.nodes if n.name == status["leader"]), None)
        return None

    # ---- what must hold all the time

    def watch(self):
        """Begins to look at every node's epoch: it may only grow."""
        self.watching, self.broken = True, []
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        while self.watching:
            for node in self.nodes:
                if not node.is_alive() or node.stopped:
                    continue
                epochs = node.epochs
                code, status = node.page("/api/status", 1)
                if code != 200 or epochs is not node.epochs:
                    continue
                if epochs and status["epoch"] < epochs[-1]:
                    self.broken.append(f"{node.name}: epoch {status['epoch']} after {epochs[-1]}")
                if not epochs or status["epoch"] != epochs[-1]:
                    epochs.append(status["epoch"])
            time.sleep(0.1)
