#!/usr/bin/python3
"""The chart on a real API server: installed, upgraded, scaled, drained, rolled back. See kube_plane.py for
what is real there. The cases build on one release and run in the order of their names.

    kube_test.py CLUSTER_FOLDER HELM_FOLDER SCHEMAS_FOLDER        called by scripts/kube_test.sh
"""
import base64
import json
import os
import subprocess
import sys
import threading
import time
import unittest

from helm_test import CHART, MANY
from kube_plane import Plane, wait_for

CLUSTER, HELM, SCHEMAS = sys.argv[1:4]
NS, DRY = "prod", "dry"
NODES = "app.kubernetes.io/instance=efx,app.kubernetes.io/component=node"
BASE = ["--namespace", NS, "--wait", "--timeout", "90s", "--set", "networkPolicy.enabled=true",
        "--set", "serviceMonitor.enabled=true"]
plane = None


def setUpModule():
    global plane
    started = time.monotonic()
    plane = Plane(CLUSTER, HELM)
    plane.__enter__()
    unittest.addModuleCleanup(plane.__exit__)
    print(f"control plane ready in {time.monotonic() - started:.1f} s", file=sys.stderr)
    for namespace in (NS, DRY):
        plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
    plane.kubectl("create", "-f", SCHEMAS + "/servicemonitor-crd.yaml")
    plane.kubectl("wait", "--for=condition=Established", "crd/servicemonitors.monitoring.coreos.com")


def pods():
    return {p["metadata"]["name"]: p for p in plane.list("pods", NS, NODES)}


def ready(pod):
    return not pod["metadata"].get("deletionTimestamp") and any(
        c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def jobs_done():
    """How many deploy Jobs have completed so far; Helm deletes them, events stay."""
    return sum(e["reason"] == "Completed" and e["involvedObject"]["name"] == "efx-deploy"
               for e in plane.list("events", NS))


def deployed_text():
    """The text that the last revision's Job brought."""
    hooks = plane.helm("get", "hooks", "efx", "-n", NS)
    return hooks[hooks.index("kind: ConfigMap"):].split("app.sql: ", 1)[1].split("\n", 1)[0]


def evict(pod):
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": NS}}
    return plane.kubectl("create", "--raw", f"/api/v1/namespaces/{NS}/pods/{pod}/eviction", "-f", "-",
                         stdin=json.dumps(body), ok=False)


class Watch:
    """What happened to the members' pods during the block: who ended, and the fewest that were ready."""

    def __init__(self, n):
        self.state = {name: ready(p) for name, p in pods().items()}
        self.ended, self.least = [], n

    def __enter__(self):
        self.process = subprocess.Popen(
            [CLUSTER + "/kone", "kubectl", "get", "pods", "-n", NS, "-l", NODES, "--watch-only",
             "--output-watch-events", "-o", "json"], env=plane.env, stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self.follow)
        self.thread.start()
        time.sleep(0.5)  # until the watch stands; what it would miss fails the test, nothing else
        return self

    def follow(self):
        text, decoder = "", json.JSONDecoder()
        for line in self.process.stdout:
            text += line
            try:
                event, end = decoder.raw_decode(text.lstrip())
            except ValueError:
                continue
            text = text.lstrip()[end:]
            self.take(event["type"], event["object"])

    def take(self, kind, pod):
        name = pod["metadata"]["name"]
        if kind == "DELETED":
            self.ended.append(name)
            self.state.pop(name, None)
        else:
            self.state[name] = ready(pod)
        self.least = min(self.least, sum(self.state.values()))

    def __exit__(self, *_):
        time.sleep(0.5)
        self.process.terminate()
        self.process.wait()
        self.thread.join()
        self.process.stdout.close()


class Release(unittest.TestCase):
    def test_01_every_rendering_is_accepted_by_the_server(self):
        plane.kubectl("create", "serviceaccount", "efx", "-n", DRY)  # a pod without its account is refused
        for what, values in MANY.items():
            path = os.path.join(plane.dir, "values.json")
            with open(path, "w", encoding="utf-8") as f:
                json.dump(values, f)
            text = plane.helm("template", "efx", CHART, "-n", DRY, "-f", path)
            with self.subTest(what):
                plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-n", DRY, "-f", "-",
                              stdin=text)

    def test_02_install(self):
        started = time.monotonic()
        out = plane.helm("install", "efx", CHART, *BASE)
        print(f"install {time.monotonic() - started:.1f} s", file=sys.stderr)
        self.assertIn("3 members, 2 must be alive", out)
        self.assertEqual(set(pods()), {"efx-0", "efx-1", "efx-2"})
        self.assertTrue(all(ready(p) for p in pods().values()))
        self.assertEqual(len({p["spec"]["nodeName"] for p in pods().values()}), 3)
        claims = plane.list("pvc", NS)
        self.assertEqual({c["metadata"]["name"] for c in claims},
                         {"data-efx-0", "data-efx-1", "data-efx-2", "data-efx-redis-0"})
        self.assertEqual({c["status"]["phase"] for c in claims}, {"Bound"})
        for service, n in (("efx", 3), ("efx-headless", 3), ("efx-redis", 1)):
            slices = plane.list("endpointslices", NS, f"kubernetes.io/service-name={service}")
            self.assertEqual(sum(len(s["endpoints"] or []) for s in slices), n, service)
        self.assertEqual(jobs_done(), 1)
        self.assertIn("Payments", deployed_text())

    def test_03_another_app_reaches_the_cluster_and_restarts_nobody(self):
        before = {n: p["metadata"]["uid"] for n, p in pods().items()}
        secret = plane.get("secret", "efx-redis", NS)["data"]
        plane.helm("upgrade", "efx", CHART, *BASE, "--set", "app.sql=CREATE STREAM A (v INT);")
        self.assertEqual({n: p["metadata"]["uid"] for n, p in pods().items()}, before)
        self.assertEqual(jobs_done(), 2)
        self.assertIn("CREATE STREAM A", deployed_text())
        self.assertEqual(plane.get("configmap", "efx-app", NS)["data"]["app.sql"], "CREATE STREAM A (v INT);")
        self.assertEqual(plane.get("secret", "efx-redis", NS)["data"], secret)
        self.assertEqual(len(base64.b64decode(secret["password"])), 32)

    def test_04_an_upgrade_goes_from_the_last_to_the_first_one_at_a_time(self):
        started = time.monotonic()
        with Watch(3) as watch:
            plane.helm("upgrade", "efx", CHART, *BASE, "--set", "image.tag=0.2.0")
        print(f"rolling upgrade {time.monotonic() - started:.1f} s", file=sys.stderr)
        # On a slow machine the controller may make a pod of the old revision once more and replace it again.
        self.assertEqual(list(dict.fromkeys(watch.ended)), ["efx-2", "efx-1", "efx-0"])
        self.assertEqual(watch.least, 2)
        self.assertEqual({p["spec"]["containers"][0]["image"] for p in pods().values()}, {"efx:0.2.0"})

    def test_05_evictions_take_one_member_at_a_time(self):
        with plane.without_kubelets():
            code, out = evict("efx-1")
            self.assertEqual(code, 0, out)
            code, out = evict("efx-2")
            self.assertNotEqual(code, 0)
            self.assertIn("disruption budget", out)
        wait_for("efx-1 is back", 60, lambda: sum(ready(p) for p in pods().values()) == 3)
        wait_for("efx-2 may go", 60, lambda: evict("efx-2")[0] == 0)
        wait_for("efx-2 is back", 60, lambda: sum(ready(p) for p in pods().values()) == 3)

    def test_06_a_machine_is_emptied(self):
        node = pods()["efx-0"]["spec"]["nodeName"]
        plane.kubectl("drain", node, "--delete-emptydir-data", "--timeout=60s")
        wait_for("efx-0 is back", 60, lambda: sum(ready(p) for p in pods().values()) == 3)
        self.assertNotEqual(pods()["efx-0"]["spec"]["nodeName"], node)
        plane.kubectl("uncordon", node)

    def test_07_more_members(self):
        with Watch(3) as watch:
            plane.helm("upgrade", "efx", CHART, *BASE, "--set", "replicas=5")
        self.assertEqual(len(pods()), 5)
        self.assertGreaterEqual(watch.least, 2)
        for pod in pods().values():
            self.assertIn("--set=cluster.min_nodes=3", pod["spec"]["containers"][0]["args"])

    def test_08_what_kubernetes_refuses_can_be_rolled_back_with_the_app(self):
        done = jobs_done()
        code, out = plane.helm("upgrade", "efx", CHART, *BASE, "--set", "data.size=1Gi", ok=False)
        self.assertNotEqual(code, 0)
        self.assertIn("updates to statefulset spec", out)
        plane.helm("rollback", "efx", "2", "-n", NS, "--wait", "--timeout", "90s")
        self.assertEqual(jobs_done(), done + 1)
        self.assertIn("CREATE STREAM A", deployed_text())
        wait_for("three members again", 60, lambda: len(pods()) == 3)

    def test_09_a_wrong_app_fails_the_upgrade_at_once_and_an_unready_cluster_does_not(self):
        """Plays the kubelet: the Job's first pod ends with 1, the second with 2."""
        with plane.without_kubelets():
            upgrade = subprocess.Popen(
                [plane.helm_bin, "upgrade", "efx", CHART, "-n", NS, "--timeout", "60s", "--set",
                 "app.sql=CREATE STRAEM;"], env=plane.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True)
            seen = set()
            for status in (1, 2):
                pod = wait_for("a pod of the Job", 60, lambda: self.new_pod(seen))
                self.assertIsNone(upgrade.poll())
                seen.add(pod)
                plane.kubectl("patch", "pod", pod, "-n", NS, "--subresource=status", "--type=merge", "-p",
                              json.dumps({"status": {"phase": "Failed", "containerStatuses": [
                                  {"name": "deploy", "image": "efx", "imageID": "", "ready": False,
                                   "restartCount": 0, "started": False,
                                   "state": {"terminated": {"exitCode": status}}}]}}))
            out, _ = upgrade.communicate(timeout=30)
        self.assertNotEqual(upgrade.returncode, 0)
        self.assertIn("failed", out)
        conditions = plane.get("job", "efx-deploy", NS)["status"]["conditions"]
        self.assertIn("PodFailurePolicy", {c.get("reason") for c in conditions})
        self.assertEqual(len(pods()), 3)
        plane.helm("upgrade", "efx", CHART, *BASE)

    def new_pod(self, seen):
        names = [p["metadata"]["name"] for p in plane.list("pods", NS, "batch.kubernetes.io/job-name=efx-deploy")]
        return next((n for n in names if n not in seen), None)

    def test_10_two_releases_live_side_by_side(self):
        plane.helm("install", "alone", CHART, "-n", NS, "--wait", "--timeout", "60s", "--set", "replicas=1",
                   "--set", "redis.enabled=false")
        self.assertEqual(len(plane.list("pods", NS, "app.kubernetes.io/instance=alone,"
                                                    "app.kubernetes.io/component=node")), 1)
        plane.helm("uninstall", "alone", "-n", NS, "--wait")

    def test_11_uninstalling_leaves_volumes_and_nothing_else(self):
        plane.helm("uninstall", "efx", "-n", NS, "--wait", "--timeout", "60s")
        left = plane.kubectl("get", "all,configmaps,secrets,pdb,networkpolicies,servicemonitors,serviceaccounts",
                             "-n", NS, "-o", "name", "-l", "app.kubernetes.io/instance=efx")
        self.assertEqual(left, "")
        claims = {c["metadata"]["name"] for c in plane.list("pvc", NS)}
        self.assertLessEqual({"data-efx-0", "data-efx-1", "data-efx-2", "data-efx-redis-0"}, claims)
        print("memory, MB:", plane.memory_mb(), file=sys.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], failfast=True)
