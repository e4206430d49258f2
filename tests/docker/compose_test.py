#!/usr/bin/python3
"""docker/compose.yaml against the program and the image: options, names, addresses, times, the sample app.

    compose_test.py BIN_FOLDER
"""
import os
import re
import subprocess
import sys
import unittest

import yaml

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
DOCKER = os.path.join(ROOT, "docker")
BIN = sys.argv.pop(1)
DRAIN_AND_BARRIER_SECONDS = 40


def read(name):
    with open(os.path.join(DOCKER, name), encoding="utf-8") as f:
        return f.read()


class Compose(unittest.TestCase):
    def setUp(self):
        self.all = yaml.safe_load(read("compose.yaml"))
        self.services = self.all["services"]
        self.nodes = {n: s for n, s in self.services.items() if s["image"] == "efx"}

    def test_three_nodes_join_each_other_and_need_two(self):
        self.assertEqual(len(self.nodes), 3)
        for name, node in self.nodes.items():
            self.assertEqual(node["hostname"], name)
            joined = {a.split("=", 1)[1] for a in node["command"] if a.startswith("--join=")}
            self.assertEqual(joined, {n + ":7000" for n in self.nodes})
            self.assertIn("--set=cluster.min_nodes=2", node["command"])
            self.assertIn("--redis=redis://redis:6379/0", node["command"])

    def test_one_node_builds_the_image_and_all_use_it(self):
        built = [n["build"] for n in self.nodes.values() if "build" in n]
        self.assertEqual(built, [{"context": "..", "dockerfile": "docker/Dockerfile"}])

    def test_ports_and_volumes_are_each_node_s_own(self):
        image = set(re.search(r"^EXPOSE (.*)$", read("Dockerfile"), re.M).group(1).split())
        outside, kept = [], []
        for node in self.nodes.values():
            for port in node["ports"]:
                address, host, inside = port.split(":")
                self.assertEqual(address, "127.0.0.1")
                self.assertIn(inside, image)
                outside.append(host)
            kept.append(node["volumes"][0])
            self.assertTrue(kept[-1].endswith(":/var/lib/efx"))
        self.assertEqual(len(outside), len(set(outside)))
        self.assertEqual(len(kept), len(set(kept)))
        named = {v.split(":")[0] for v in kept} | {"redis"}
        self.assertEqual(set(self.all["volumes"]), named)

    def test_a_stop_leaves_time_for_drain_and_barrier(self):
        for node in self.nodes.values():
            seconds = int(re.fullmatch(r"(\d+)s", node["stop_grace_period"]).group(1))
            self.assertGreater(seconds, DRAIN_AND_BARRIER_SECONDS)

    def test_containers_may_nothing(self):
        for node in self.nodes.values():
            self.assertIs(node["read_only"], True)
            self.assertEqual(node["cap_drop"], ["ALL"])
            self.assertEqual(node["security_opt"], ["no-new-privileges:true"])

    def test_redis_writes_to_disk_before_it_answers(self):
        words = self.services["redis"]["command"]
        for option, value in (("--appendonly", "yes"), ("--appendfsync", "always"), ("--save", ""),
                              ("--maxmemory-policy", "noeviction")):
            self.assertEqual(words[words.index(option) + 1], value)

    def test_the_sample_app_is_a_program(self):
        p = subprocess.run([BIN + "/efx", "check", DOCKER + "/app.sql"], capture_output=True, text=True,
                           check=False)
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)

    def test_options_are_the_program_s(self):
        known = {"app", "data", "redis", "join", "set"}  # those of docs/runtime.md that it uses
        if os.path.exists(BIN + "/efx-node"):
            said = subprocess.run([BIN + "/efx-node", "--help"], capture_output=True, text=True, check=True)
            known = set(re.findall(r"--([a-z][-a-z]*)", said.stdout))
        for node in self.nodes.values():
            for word in node["command"]:
                self.assertIn(re.match(r"--([-a-z]+)=", word).group(1), known)


class Context(unittest.TestCase):
    def test_the_image_is_built_with_every_library_that_the_tree_wants(self):
        with open(ROOT + "/scripts/setup.sh", encoding="utf-8") as f:
            packages = f.read().split("packages=(")[1].split("\n)")[0]
        wanted = set(re.findall(r"[a-z][-a-z0-9.+]*-dev\b", re.sub("#.*", "", packages)))
        self.assertGreater(len(wanted), 10)
        there = set(re.findall(r"[a-z][-a-z0-9.+]*-dev\b", read("Dockerfile")))
        self.assertEqual(wanted - there, {"libcmocka-dev", "libclang-rt-14-dev"})

    def test_every_folder_that_cmake_adds_is_sent_to_the_build(self):
        """Rooms without which the programs would not link must not be left out by .dockerignore."""
        with open(ROOT + "/.dockerignore", encoding="utf-8") as f:
            sent = {line[1:].strip() for line in f if line.startswith("!")}
        with open(ROOT + "/CMakeLists.txt", encoding="utf-8") as f:
            text = f.read()
        rooms = {r.split("/")[0] for r in re.findall(r"^efx_room\(\w+ ([\w/]+)", text, re.M)}
        rooms |= {r.split("/")[0] for r in re.findall(r"^include\((\w+/\S+)\)", text, re.M)}
        self.assertGreater(len(rooms), 3)
        self.assertLessEqual(rooms | {"cli", "proto"}, sent)


if __name__ == "__main__":
    unittest.main()
