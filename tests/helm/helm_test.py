#!/usr/bin/python3
"""The chart as Helm renders it: lint, the API's strict schemas, refused values, and what each value does.

    helm_test.py [BIN_FOLDER]       with the programs there: the sample app and the options are tried on them

Helm, kubeconform and the schemas come from scripts/kube_tools.sh, which builds them once.
"""
import functools
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

import yaml

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
CHART = os.path.join(ROOT, "helm")
BIN = sys.argv.pop(1) if __name__ == "__main__" and len(sys.argv) > 1 else None
TOOLS = {}


def setUpModule():
    out = subprocess.run([os.path.join(ROOT, "scripts/kube_tools.sh"), "helm", "kubeconform", "schemas"],
                         stdout=subprocess.PIPE, text=True, check=True).stdout
    TOOLS.update(line.split("=", 1) for line in out.split())


def helm(*args, values=None):
    """(exit code, what it said); `values` is a tree of values."""
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "HELM_CACHE_HOME": home, "HELM_CONFIG_HOME": home, "HELM_DATA_HOME": home}
        if values is not None:
            path = os.path.join(home, "values.yaml")
            with open(path, "w", encoding="utf-8") as f:
                yaml.safe_dump(values, f)
            args = (*args, "-f", path)
        p = subprocess.run([TOOLS["helm"] + "/helm", *args], capture_output=True, text=True, env=env,
                           timeout=60, check=False)
    return p.returncode, p.stdout if p.returncode == 0 else p.stdout + p.stderr


@functools.cache
def rendered_once(values, name):
    code, out = helm("template", name, CHART, "--namespace", "prod", values=json.loads(values))
    if code:
        raise AssertionError(out)
    return out


def rendered(values=None, name="efx"):
    return rendered_once(json.dumps(values or {}), name)


class Rendering:
    """Objects by (kind, name), and short ways to what the tests look at."""

    def __init__(self, values=None, name="efx"):
        self.text = rendered(values, name)
        self.name = name if "efx" in name else name + "-efx"
        self.objects = {(o["kind"], o["metadata"]["name"]): o
                        for o in yaml.load_all(self.text, yaml.CSafeLoader) if o}

    def has(self, kind, name="efx"):
        return (kind, name) in self.objects

    def get(self, kind, name="efx"):
        return self.objects[kind, name]

    @property
    def pod(self):
        return self.get("StatefulSet", self.name)["spec"]["template"]["spec"]

    @property
    def node(self):
        return self.pod["containers"][0]

    @property
    def args(self):
        return self.node["args"]

    @property
    def env(self):
        return {e["name"]: e for e in self.node["env"]}

    def setting(self, key):
        found = [a.split("=", 2)[2] for a in self.args if a.startswith(f"--set={key}=")]
        return found[0] if len(found) == 1 else found

    @property
    def chart_config(self):
        return self.get("ConfigMap", self.name + "-config")["data"]["chart.yaml"]

    @property
    def deploy(self):
        return self.get("Job", "efx-deploy")["spec"]["template"]["spec"]["containers"][0]["command"][2]

    @property
    def pre_stop(self):
        return self.node["lifecycle"]["preStop"]["exec"]["command"][2]


TLS = {"secretName": "cert", "clientCaSecret": "clients", "peerCaSecret": "peers"}
MANY = {  # renderings that must be valid objects, by what they are about
    "defaults": {},
    "one without redis": {"replicas": 1, "redis": {"enabled": False}},
    "five": {"replicas": 5},
    "outside redis": {"redis": {"enabled": False}, "externalRedis": {
        "host": "r.example", "port": 6380, "db": 3, "tls": True, "username": "efx", "existingSecret": "s"}},
    "address of redis in a secret": {"redis": {"enabled": False}, "externalRedis": {"urlSecret": "s"}},
    "tls": {"tls": {"secretName": "cert"}},
    "tls, all of it": {"tls": {**TLS, "adminSecret": "admin"}},
    "token": {"auth": {"existingSecret": "token"}, "deploy": {"compatible": True}},
    "policies and monitor": {
        "networkPolicy": {"enabled": True, "grpcFrom": [{"namespaceSelector": {}}],
                          "httpFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
    "places": {
        "antiAffinity": "hard", "nodeSelector": {"disk": "ssd"}, "priorityClassName": "high",
        "tolerations": [{"key": "a", "operator": "Exists"}], "imagePullSecrets": [{"name": "reg"}],
        "redis": {"nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}],
                  "extraArgs": ["--maxmemory", "2gb"]}},
    "own places": {
        "affinity": {"nodeAffinity": {}}, "antiAffinity": "none", "topologySpreadConstraints": [
            {"topologyKey": "rack", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule"}]},
    "extras": {
        "settings": {"session.hold": "60s", "grpc.max_message_bytes": 2000000,
                     "observability.logging.format": "json"},
        "configFile": "application:\n  shards: 2\n", "extraArgs": ["--seed=1"], "shards": 4,
        "extraEnv": [{"name": "A", "value": "b"}], "extraEnvFrom": [{"secretRef": {"name": "s"}}],
        "extraVolumes": [{"name": "in", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "in", "mountPath": "/in"}],
        "podLabels": {"team": "x"}, "podAnnotations": {"a": "b"},
        "data": {"size": "1Gi", "storageClass": "fast"}},
    "service": {"service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
                "serviceAccount": {"annotations": {"c": "d"}}},
    "headless service": {"service": {"clusterIP": "None"}},
    "nothing extra": {"deploy": {"enabled": False}, "podDisruptionBudget": {"enabled": False},
                      "serviceAccount": {"create": False}, "antiAffinity": "none"},
}
REFUSED = [  # (values, a word of the reason)
    ({"replicas": 0}, "replicas"), ({"replicas": "3"}, "replicas"), ({"replicas": 129}, "replicas"),
    ({"replica": 3}, "replica"), ({"redis": {"appendonly": True}}, "appendonly"),
    ({"app": {"sql": ""}}, "sql"), ({"app": {"name": "a/b"}}, "name"),
    ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"), ({"ports": {"grpc": 70000}}, "grpc"),
    ({"cluster": {"failureTimeoutSeconds": 0}}, "failureTimeoutSeconds"),
    ({"cluster": {"drainTimeoutSeconds": "30s"}}, "drainTimeoutSeconds"),
    ({"cluster": {"id": "a b"}}, "id"), ({"antiAffinity": "maybe"}, "antiAffinity"),
    ({"settings": {"no spaces": 1}}, "no spaces"), ({"settings": {"a.b": [1]}}, "settings"),
    ({"extraArgs": ["seed"]}, "extraArgs"), ({"data": {"size": "big"}}, "size"),
    ({"service": {"type": "ExternalName"}}, "type"), ({"listenAddress": "host"}, "listenAddress"),
    ({"externalRedis": {"username": "a:b"}, "redis": {"enabled": False}}, "username"),
    ({"podDisruptionBudget": {"maxUnavailable": "one"}}, "maxUnavailable"),
    ({"checkpoint": {"retain": 33}}, "retain"), ({"auth": {"token": "x"}}, "token"),
    ({"fullnameOverride": "Upper"}, "fullnameOverride"), ({"shards": 65}, "shards"),
    ({"cluster": {"minNodes": 4}}, "cluster.minNodes is 4, replicas only 3"),
    ({"redis": {"enabled": False}}, "3 replicas share their state in Redis"),
    ({"externalRedis": {"host": "r"}}, "exclude each other"),
    ({"tls": {"peerCaSecret": "ca"}}, "need tls.secretName"),
]
OPTIONS = {  # of efx-node: docs/runtime.md
    "app", "join", "id", "listen-tcp", "listen-grpc", "listen-http", "advertise-tcp", "advertise-grpc",
    "advertise-http", "data", "tls-cert", "tls-key", "tls-ca", "peer-ca", "set", "config", "shards", "seed"}


class Chart(unittest.TestCase):
    def test_lint_finds_nothing(self):
        for values in MANY.values():
            code, out = helm("lint", "--strict", CHART, values=values)
            self.assertEqual(code, 0, out)

    def test_every_rendering_is_valid_by_the_api_s_strict_schemas(self):
        for what, values in MANY.items():
            with self.subTest(what):
                self.assertEqual(self.kubeconform(rendered(values)), (0, ""))

    def test_the_schemas_notice_a_wrong_field_and_a_wrong_type(self):
        good = rendered(MANY["policies and monitor"])
        for old, new in (("podManagementPolicy:", "podManagementPolice:"),
                         ("publishNotReadyAddresses: true", "publishNotReadyAddresses: 7"),
                         ("backoffLimit: 1000", "backoffLimit: many"),
                         ("interval: 15s", "intervall: 15s")):
            self.assertIn(old, good)
            self.assertNotEqual(self.kubeconform(good.replace(old, new))[0], 0, new)

    def kubeconform(self, text):
        where = TOOLS["schemas"] + "/{{.ResourceKind}}{{.KindSuffix}}.json"
        p = subprocess.run([TOOLS["kubeconform"] + "/kubeconform", "-strict", "-schema-location", where],
                           input=text, capture_output=True, text=True, check=False, timeout=60)
        return p.returncode, p.stdout + p.stderr

    def test_wrong_values_are_refused_with_their_name(self):
        for values, reason in REFUSED:
            with self.subTest(values):
                code, out = helm("template", "efx", CHART, values=values)
                self.assertNotEqual(code, 0)
                self.assertIn(reason, out)

    def test_the_schema_knows_every_value_and_no_other(self):
        with open(CHART + "/values.yaml", encoding="utf-8") as f:
            values = yaml.safe_load(f)
        with open(CHART + "/values.schema.json", encoding="utf-8") as f:
            schema = json.load(f)
        schema["properties"].pop("global")  # Helm's own

        def compare(value, node, path):
            if "properties" not in node or not isinstance(value, dict):
                return
            if path in ("resources", "redis.resources"):
                return
            self.assertEqual(set(value), set(node["properties"]), path)
            self.assertIs(node["additionalProperties"], False, path)
            for key, inner in value.items():
                compare(inner, node["properties"][key], f"{path}.{key}".lstrip("."))
        compare(values, schema, "")

    def test_the_readme_shows_the_values(self):
        p = subprocess.run([ROOT + "/scripts/helm_docs.py"], capture_output=True, text=True, check=False)
        self.assertEqual(p.returncode, 0, p.stdout)


class Members(unittest.TestCase):
    def test_members_start_at_once_and_know_each_other_before_they_are_ready(self):
        r = Rendering()
        spec = r.get("StatefulSet")["spec"]
        self.assertEqual((spec["replicas"], spec["podManagementPolicy"]), (3, "Parallel"))
        headless = r.get("Service", "efx-headless")["spec"]
        self.assertEqual((headless["clusterIP"], headless["publishNotReadyAddresses"]), ("None", True))
        self.assertEqual(spec["serviceName"], "efx-headless")
        self.assertEqual([a for a in r.args if a.startswith("--join")],
                         [f"--join=efx-{i}.efx-headless.prod.svc:7000" for i in range(3)])
        self.assertIn("--advertise-tcp=$(POD_NAME).efx-headless.prod.svc:7000", r.args)
        self.assertIn("--advertise-grpc=$(POD_NAME).efx-headless.prod.svc:7100", r.args)
        self.assertNotIn("publishNotReadyAddresses", r.get("Service")["spec"])

    def test_seeds_are_members_that_exist(self):
        for n, seeds in ((1, 1), (2, 2), (3, 3), (7, 3)):
            self.assertEqual(sum(a.startswith("--join") for a in Rendering({"replicas": n}).args), seeds)

    def test_a_majority_must_be_alive_unless_a_value_says_otherwise(self):
        for n, majority in ((1, "1"), (2, "2"), (3, "2"), (4, "3"), (5, "3"), (128, "65")):
            self.assertEqual(Rendering({"replicas": n}).setting("cluster.min_nodes"), majority)
        self.assertEqual(Rendering({"cluster": {"minNodes": 3}}).setting("cluster.min_nodes"), "3")

    def test_a_pod_has_time_for_drain_and_barrier(self):
        r = Rendering({"cluster": {"drainTimeoutSeconds": 60, "barrierTimeoutSeconds": 20}})
        self.assertGreater(r.pod["terminationGracePeriodSeconds"], 60 + 20)
        self.assertEqual(r.setting("barrier.timeout"), "20s")
        self.assertIn("efx cluster drain \"$POD_NAME\" --to", r.pre_stop)
        self.assertIn("--timeout 60s", r.pre_stop)
        self.assertIn("--timeout 50s", r.deploy)  # which hands over, too

    def test_liveness_does_not_look_at_the_store_readiness_does(self):
        node = Rendering().node
        self.assertEqual(node["livenessProbe"]["httpGet"]["path"], "/health")
        self.assertEqual(node["startupProbe"]["httpGet"]["path"], "/health")
        self.assertEqual(node["readinessProbe"]["httpGet"]["path"], "/ready")

    def test_containers_may_nothing(self):
        r = Rendering(MANY["tls, all of it"])
        pods = [o["spec"]["template"]["spec"] for o in r.objects.values() if "template" in o.get("spec", {})]
        pods.append(r.get("Pod", "efx-status")["spec"])
        self.assertEqual(len(pods), 4)
        for pod in pods:
            self.assertIs(pod["securityContext"]["runAsNonRoot"], True)
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            self.assertIs(pod["automountServiceAccountToken"], False)
            for container in pod["containers"]:
                self.assertEqual(container["securityContext"], {
                    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]}})
                self.assertIn("memory", container["resources"]["limits"])
        self.assertEqual(r.pod["securityContext"]["runAsUser"], 10001)

    def test_every_mounted_volume_is_there_and_every_volume_mounted(self):
        for what, values in MANY.items():
            for o in Rendering(values).objects.values():
                pod = o["spec"].get("template", {}).get("spec") if "spec" in o else None
                if pod or o["kind"] == "Pod":
                    with self.subTest((what, o["kind"])):
                        self.check_volumes(pod or o["spec"], o["spec"].get("volumeClaimTemplates", []))

    def check_volumes(self, pod, claims):
        volumes = [v["name"] for v in pod.get("volumes") or []] + [c["metadata"]["name"] for c in claims]
        mounts = [m["name"] for c in pod["containers"] for m in c.get("volumeMounts") or []]
        self.assertEqual(sorted(volumes), sorted(mounts))

    def test_services_budgets_and_policies_choose_the_members_and_only_them(self):
        r = Rendering(MANY["policies and monitor"])
        labels = {o: r.get("StatefulSet", o)["spec"]["template"]["metadata"]["labels"]
                  for o in ("efx", "efx-redis")}
        labels["deploy"] = r.get("Job", "efx-deploy")["spec"]["template"]["metadata"]["labels"]

        def chosen(selector):
            return [o for o, l in labels.items() if selector.items() <= l.items()]
        for service in ("efx", "efx-headless"):
            self.assertEqual(chosen(r.get("Service", service)["spec"]["selector"]), ["efx"])
        self.assertEqual(chosen(r.get("Service", "efx-redis")["spec"]["selector"]), ["efx-redis"])
        self.assertEqual(chosen(r.get("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]), ["efx"])
        for name in ("efx", "efx-redis"):
            self.assertEqual(chosen(r.get("NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"]),
                             [name])
            self.assertEqual(chosen(r.get("StatefulSet", name)["spec"]["selector"]["matchLabels"]), [name])
        monitor = r.get("ServiceMonitor")["spec"]["selector"]["matchLabels"]
        self.assertEqual([n for (k, n), o in r.objects.items() if k == "Service" and
                          monitor.items() <= o["metadata"]["labels"].items()], ["efx-headless"])

    def test_two_releases_share_no_name(self):
        a, b = (set(Rendering(MANY["policies and monitor"], name).objects) for name in ("a", "b"))
        self.assertEqual(a & b, set())

    def test_long_names_stay_valid(self):
        r = Rendering(name="x" * 53)
        for _, name in r.objects:
            self.assertLessEqual(len(name), 52, name)  # a pod's hash label still fits behind it


class App(unittest.TestCase):
    def test_the_text_is_kept_to_the_byte(self):
        sql = "-- ü 'quotes' \"double\" {{ braces }} $(VAR) \\ \t\n\nSELECT 1;\n\n"
        r = Rendering({"app": {"sql": sql, "name": "pay"}})
        self.assertEqual(r.get("ConfigMap", "efx-app")["data"], {"pay.sql": sql})
        self.assertEqual(r.get("ConfigMap", "efx-deploy")["data"], {"pay.sql": sql})
        self.assertIn("/etc/efx/app/pay.sql", r.deploy)
        self.assertEqual(r.setting("application.name"), "pay")

    def test_a_changed_app_restarts_no_member_and_a_changed_configuration_does(self):
        def template(values):
            return Rendering(values).get("StatefulSet")["spec"]["template"]
        self.assertEqual(template({}), template({"app": {"sql": "CREATE STREAM A (v INT);"}}))
        one, two = (template({"configFile": f"application: {{shards: {n}}}"}) for n in (1, 2))
        self.assertNotEqual(one, two)

    def test_the_job_comes_after_all_else_and_gives_up_on_a_wrong_text_only(self):
        r = Rendering()
        job = r.get("Job", "efx-deploy")
        self.assertEqual(job["metadata"]["annotations"]["helm.sh/hook"],
                         "post-install,post-upgrade,post-rollback")
        self.assertEqual(job["spec"]["podFailurePolicy"]["rules"], [
            {"action": "FailJob", "onExitCodes": {"containerName": "deploy", "operator": "In",
                                                  "values": [2]}}])
        self.assertIn("efx cluster deploy /etc/efx/app/app.sql --to efx.prod.svc:7100", r.deploy)
        text, waits = r.get("ConfigMap", "efx-deploy")["metadata"]["annotations"], job["metadata"]["annotations"]
        self.assertLess(int(text["helm.sh/hook-weight"]), int(waits["helm.sh/hook-weight"]))
        self.assertFalse(Rendering(MANY["nothing extra"]).has("Job", "efx-deploy"))

    def test_only_the_first_member_and_only_once_brings_the_text(self):
        """The start command, run with programs that only say how they were called."""
        script = Rendering().node["command"]
        self.assertEqual(script[:2], ["/bin/sh", "-c"])
        for pod, knows, brings in (("efx-0", False, True), ("efx-0", True, False),
                                   ("efx-1", False, False), ("efx-10", False, False)):
            with tempfile.TemporaryDirectory() as d:
                if knows:
                    open(d + "/last", "w", encoding="utf-8").close()
                with open(d + "/efx-node", "w", encoding="utf-8") as f:
                    f.write("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
                os.chmod(d + "/efx-node", 0o755)
                out = subprocess.run(["sh", "-c", script[2].replace("/var/lib/efx", d), script[3], "--id=a b"],
                                     env={"PATH": d + ":/bin:/usr/bin", "POD_NAME": pod},
                                     capture_output=True, text=True, check=True).stdout.splitlines()
            self.assertEqual(out, (["--app", "/etc/efx/app/app.sql"] if brings else []) + ["--id=a b"])

    def test_the_sample_is_a_program(self):
        if not BIN:
            self.fail("give the folder of the programs")
        with open(CHART + "/values.yaml", encoding="utf-8") as f:
            sql = yaml.safe_load(f)["app"]["sql"]
        p = subprocess.run([BIN + "/efx", "check", "-"], input=sql, capture_output=True, text=True, check=False)
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)


class Options(unittest.TestCase):
    def test_every_option_is_one_of_the_program_s(self):
        known = OPTIONS
        if BIN and os.path.exists(BIN + "/efx-node"):
            said = subprocess.run([BIN + "/efx-node", "--help"], capture_output=True, text=True, check=True)
            known = set(re.findall(r"--([a-z][-a-z]*)", said.stdout))
        for values in MANY.values():
            r = Rendering(values)
            for arg in [*r.args, *re.findall(r"--[a-z]+", r.node["command"][2])]:
                self.assertIn(re.match(r"--([-a-z]+)", arg + " ").group(1), known)

    def test_every_key_is_one_of_the_program_s(self):
        if not os.path.exists(f"{BIN}/efx-node"):
            self.fail("give the folder of the programs")
        said = subprocess.run([BIN + "/efx-node", "--list-settings"], capture_output=True, text=True, check=True)
        known = set(re.findall(r"^\s*([a-z_]+\.[a-z_.]+)", said.stdout, re.M))
        for values in MANY.values():
            r = Rendering(values)
            keys = {a.split("=")[1] for a in r.args if a.startswith("--set=")}
            self.assertLessEqual(keys | set(self.flat(yaml.safe_load(r.chart_config))), known)

    def flat(self, tree, path=""):
        for key, value in tree.items():
            yield from self.flat(value, path + key + ".") if isinstance(value, dict) else [path + key]

    def test_secrets_reach_the_program_by_its_environment_only(self):
        r = Rendering(MANY["token"])
        self.assertEqual(yaml.safe_load(r.chart_config), {
            "persistence": {"url": "${EFX_REDIS_URL}"}, "grpc": {"auth": {"token": "${EFX_TOKEN}"}}})
        self.assertIn("--config=/etc/efx/config/chart.yaml", r.args)
        self.assertFalse([a for a in r.args if "$(EFX" in a])
        for command in (r.pre_stop, r.deploy):
            self.assertIn('--token "$EFX_TOKEN"', command)
        self.assertIn("--compatible", r.deploy)
        job = r.get("Job", "efx-deploy")["spec"]["template"]["spec"]["containers"][0]
        self.assertEqual(job["env"], [r.env["EFX_TOKEN"]])
        plain = Rendering()
        self.assertNotIn("--compatible", plain.deploy)
        self.assertNotIn("--token", plain.deploy + plain.pre_stop)

    def test_settings_become_set_and_numbers_stay_numbers(self):
        r = Rendering(MANY["extras"])
        self.assertEqual(r.setting("session.hold"), "60s")
        self.assertEqual(r.setting("grpc.max_message_bytes"), "2000000")
        self.assertEqual(r.get("ConfigMap", "efx-config")["data"]["efx.yaml"], "application:\n  shards: 2\n")
        self.assertIn("--config=/etc/efx/config/efx.yaml", r.args)
        self.assertIn("--shards=4", r.args)
        self.assertEqual(r.args[-1], "--seed=1")

    def test_the_cluster_is_called_after_its_namespace_and_release(self):
        self.assertEqual(Rendering(name="pay").setting("cluster.id"), "prod.pay-efx")
        self.assertEqual(Rendering({"cluster": {"id": "mine"}}).setting("cluster.id"), "mine")

    def test_certificates_come_from_secrets(self):
        r = Rendering(MANY["tls, all of it"])
        for option in ("--tls-cert=/etc/efx/tls/tls.crt", "--tls-key=/etc/efx/tls/tls.key",
                       "--tls-ca=/etc/efx/client-ca/ca.crt", "--peer-ca=/etc/efx/peer-ca/ca.crt"):
            self.assertIn(option, r.args)
        secrets = {v["name"]: v["secret"]["secretName"] for v in r.pod["volumes"] if "secret" in v}
        self.assertEqual(secrets, {"tls": "cert", "admin": "admin", "client-ca": "clients",
                                   "peer-ca": "peers"})
        for command in (r.pre_stop, r.deploy):
            self.assertIn("--tls-ca /etc/efx/admin/ca.crt --tls-cert /etc/efx/admin/tls.crt "
                          "--tls-key /etc/efx/admin/tls.key", command)
        r = Rendering(MANY["tls"])
        self.assertTrue(r.pre_stop.endswith(" --tls-ca /etc/efx/admin/ca.crt"))
        self.assertFalse(any(a.startswith(("--tls-ca", "--peer-ca")) for a in r.args))
        self.assertNotIn("--tls", Rendering().pre_stop)


class Redis(unittest.TestCase):
    def test_its_own_writes_to_disk_before_it_answers_and_evicts_nothing(self):
        r = Rendering(MANY["places"])
        spec = r.get("StatefulSet", "efx-redis")["spec"]
        args = spec["template"]["spec"]["containers"][0]["args"]
        for option, value in (("--appendonly", "yes"), ("--appendfsync", "always"), ("--save", ""),
                              ("--maxmemory-policy", "noeviction"), ("--maxmemory", "2gb")):
            self.assertEqual(args[args.index(option) + 1], value)
        self.assertEqual(len(spec["volumeClaimTemplates"]), 1)

    def test_its_command_line_is_one_that_redis_takes(self):
        """The real server, with the chart's arguments, asked for what it made of them."""
        args = Rendering().get("StatefulSet", "efx-redis")["spec"]["template"]["spec"]["containers"][0]["args"]
        with tempfile.TemporaryDirectory() as d:
            args = [a.replace("/data", d).replace("$(REDISCLI_AUTH)", "secret") for a in args]
            sock = d + "/s"
            server = subprocess.Popen(["redis-server", *args, "--port", "0", "--unixsocket", sock],
                                      stdout=subprocess.PIPE, text=True)
            try:
                line = ""
                while "ready to accept" not in line.lower():
                    line = server.stdout.readline()
                    self.assertTrue(line, "redis-server ended")

                def ask(*words):
                    return subprocess.run(["redis-cli", "-s", sock, *words], capture_output=True, text=True,
                                          env={**os.environ, "REDISCLI_AUTH": "secret"}, check=True).stdout
                self.assertEqual(ask("ping"), "PONG\n")
                for key, value in (("appendonly", "yes"), ("appendfsync", "always"), ("save", ""),
                                   ("maxmemory-policy", "noeviction")):
                    self.assertEqual(ask("config", "get", key).split("\n")[1], value)
            finally:
                server.terminate()
                server.wait()
                server.stdout.close()

    def test_the_address_is_put_together_from_what_is_given(self):
        self.assertEqual(Rendering().env["EFX_REDIS_URL"]["value"],
                         "redis://:$(EFX_REDIS_PASSWORD)@efx-redis:6379/0")
        names = list(Rendering().env)  # Kubernetes expands only what comes before
        self.assertLess(names.index("EFX_REDIS_PASSWORD"), names.index("EFX_REDIS_URL"))

        def address(**external):
            return Rendering({"redis": {"enabled": False}, "externalRedis": external}).env["EFX_REDIS_URL"]
        self.assertEqual(address(host="r")["value"], "redis://r:6379/0")
        self.assertEqual(address(host="r", tls=True, db=2, port=1)["value"], "rediss://r:1/2")
        self.assertEqual(address(host="r", existingSecret="s")["value"],
                         "redis://:$(EFX_REDIS_PASSWORD)@r:6379/0")
        self.assertEqual(address(host="r", existingSecret="s", username="u")["value"],
                         "redis://u:$(EFX_REDIS_PASSWORD)@r:6379/0")
        self.assertEqual(address(urlSecret="s", urlKey="k")["valueFrom"],
                         {"secretKeyRef": {"name": "s", "key": "k"}})

    def test_one_member_runs_without(self):
        r = Rendering(MANY["one without redis"])
        self.assertFalse(r.has("StatefulSet", "efx-redis"))
        self.assertEqual(yaml.safe_load(r.chart_config), {})
        self.assertNotIn("EFX_REDIS_URL", r.env)
        self.assertFalse([a for a in r.args if a.startswith("--join")])
        self.assertIn("--app /etc/efx/app/app.sql", r.node["command"][2])
        self.assertNotIn("if ", r.node["command"][2])

    def test_no_password_stands_in_a_manifest_but_the_secret(self):
        r = Rendering()
        made = r.get("Secret", "efx-redis")["data"]["password"]
        self.assertEqual(r.text.count(made), 1)
        self.assertFalse(Rendering({"redis": {"auth": {"existingSecret": "mine"}}}).has("Secret", "efx-redis"))

    def test_only_members_reach_it(self):
        rules = Rendering(MANY["policies and monitor"]).get("NetworkPolicy", "efx-redis")["spec"]["ingress"]
        self.assertEqual([f["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
                          for rule in rules for f in rule["from"]], ["node"])


if __name__ == "__main__":
    unittest.main()
