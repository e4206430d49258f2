#!/usr/bin/env python3
"""House rules that a compiler cannot see.

    tidy.py ROOT           one line a finding, exit 1 if there is any
    tidy.py --self-test    a tree that breaks each rule once, and one that breaks none

Rules (each is a function below; its docstring is the rule):
    width, tab, owner of a TODO, length of files and functions, direction of includes, names private
    to a folder, banned calls, include guards, a .c file's own header first, files outside any room.

What may be longer than its limit for now stands in tests/tidy_ratchet.txt as `what N`: it may
shrink (then the entry must follow), never grow.
"""
import os
import re
import sys
import tempfile

COLUMNS_MAX = 100
FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
RATCHET = "tests/tidy_ratchet.txt"

# Room -> rooms it may include besides itself. Must stay free of cycles; ARCHITECTURE.md draws it.
CONTRACTS = ["engine/base", "engine/col", "engine/api"]
ROOMS = {
    "engine/base": [],
    "engine/col": ["engine/base"],
    "engine/api": ["engine/base", "engine/col"],
    "engine/include": [],
    "engine/sql": CONTRACTS,
    "engine/expr": CONTRACTS + ["engine/sql"],
    "engine/keyed": CONTRACTS,
    "engine/agg": CONTRACTS + ["engine/keyed"],
    "engine/window": CONTRACTS + ["engine/keyed"],
    "engine/cep": CONTRACTS + ["engine/sql", "engine/expr", "engine/keyed"],
    "engine/op": CONTRACTS + ["engine/sql", "engine/expr", "engine/keyed", "engine/cep"],
    "engine/plan": CONTRACTS + ["engine/sql", "engine/expr", "engine/keyed", "engine/cep",
                                "engine/op"],
    "engine/run": CONTRACTS + ["engine/sql", "engine/expr", "engine/keyed", "engine/op",
                               "engine/plan"],
    "engine/world": CONTRACTS,
    "engine/io": CONTRACTS + ["engine/expr", "engine/world"],
    "engine/lib": CONTRACTS + ["engine/sql", "engine/expr", "engine/keyed", "engine/agg",
                               "engine/window", "engine/op", "engine/plan", "engine/run",
                               "engine/world", "engine/io", "engine/include"],
    "state": CONTRACTS + ["engine/run", "engine/plan", "engine/sql", "engine/world", "engine/lib",
                          "engine/include"],
    "transport": CONTRACTS + ["engine/world"],
    "transport/grpc": CONTRACTS + ["engine/world", "transport"],
    "node": CONTRACTS + ["engine/sql", "engine/plan", "engine/run", "engine/lib", "engine/io",
                         "engine/world", "engine/include", "state", "transport"],
    "node/http": CONTRACTS + ["engine/sql", "engine/plan", "transport", "node"],
    "node/grpc": CONTRACTS + ["engine/sql", "engine/plan", "engine/run", "engine/lib", "engine/io",
                              "engine/world", "engine/include", "state", "transport", "transport/grpc", "node"],
    "cli": CONTRACTS + ["engine/sql", "engine/expr", "engine/plan", "engine/run", "engine/lib",
                        "engine/io", "engine/world", "engine/include", "state", "transport",
                        "transport/grpc", "node", "node/grpc", "node/http"],
}
FREE_ROOMS = ["tests", "bench", "examples"]  # may include everything, nothing may include them

# Programs own their process: they need no budget.
OWN_PROCESS = ["engine/base/", "cli/", "tests/", "bench/", "examples/"]
# Call -> (what to use instead, places where it is right).
BANNED = {
    "malloc": ("efx_mem", OWN_PROCESS),
    "calloc": ("efx_mem", OWN_PROCESS),
    "realloc": ("efx_mem_grow", OWN_PROCESS),
    "free": ("efx_mem", OWN_PROCESS),
    "alloca": ("efx_scratch", []),
    "strcpy": ("efx_arena_str", ["tests/"]),
    "strcat": ("efx_arena_printf", ["tests/"]),
    "sprintf": ("snprintf", ["tests/"]),
    "vsprintf": ("vsnprintf", []),
    "gets": ("a length", []),
    "strtok": ("a cursor", ["tests/"]),
    "atoi": ("strtol with its checks", []),
    "rand": ("efx_world's dice", []),
    "srand": ("efx_world's dice", []),
    "time": ("the step's clock", ["engine/world/", "tests/"]),
    "gettimeofday": ("the step's clock", ["engine/world/"]),
    # run/save.c measures its own stops
    "clock_gettime": ("the step's clock", ["engine/world/", "engine/lib/", "engine/run/save.c",
                                           "cli/", "bench/", "tests/"]),
    "sleep": ("a timer", []),
    "abort": ("efx_panic", ["engine/base/"]),
    "printf": ("a caller's stream", ["cli/", "tests/", "bench/", "examples/"]),
}
PURE = ["engine/base", "engine/col", "engine/api", "engine/sql", "engine/expr", "engine/keyed",
        "engine/agg", "engine/window", "engine/cep", "engine/op", "engine/plan"]
IMPURE_HEADERS = r"(sys/socket|sys/stat|sys/time|netdb|fcntl|unistd|time|pthread)\.h"


def room_of(path):
    names = [r for r in list(ROOMS) + FREE_ROOMS if path.startswith(r + "/")]
    return max(names, key=len) if names else None


def without_comments(text):
    """Comments and strings blanked out, line breaks kept."""
    token = r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
    return re.sub(token, lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.S)


class Tree:
    """All sources of a tree, and what was found in them."""

    def __init__(self, root):
        self.root = root
        self.findings = []
        self.files = {}
        self.home = {}  # name of a header -> room; None if several rooms have one of that name
        self.ratchet = self.read_ratchet()
        self.ratchet_used = set()
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(d for d in folders if d != "build" and not d.startswith("."))
            for name in sorted(names):
                if name.endswith((".c", ".h", ".cc")):
                    path = os.path.relpath(os.path.join(folder, name), root)
                    with open(os.path.join(folder, name), encoding="utf-8") as f:
                        self.files[path] = f.read()
        for path in self.files:
            name, room = os.path.basename(path), room_of(path)
            if name.endswith(".h"):
                self.home[name] = room if self.home.get(name, room) == room else None

    def read_ratchet(self):
        path = os.path.join(self.root, RATCHET)
        entries = {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                for line in f:
                    if line.strip() and not line.startswith("#"):
                        what, n = line.rsplit(None, 1)
                        entries[what] = int(n)
        return entries

    def say(self, path, line, text):
        self.findings.append(f"{path}:{line}: {text}")

    def length(self, path, line, what, n, limit):
        allowed = self.ratchet.get(what)
        if allowed is not None:
            self.ratchet_used.add(what)
            if n < allowed:
                now = f"to {n}" if n > limit else "out"
                self.say(path, line, f"{what} is shorter now: take its ratchet entry {now}")
                return
        if n > max(limit, allowed or 0):
            self.say(path, line, f"{what} has {n} lines, limit {max(limit, allowed or 0)}")


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def check_lines(tree, path, text, code):
    """At most 100 columns, no tabs, no TODO without an owner: TODO(name)."""
    for n, line in enumerate(text.split("\n"), 1):
        if len(line) > COLUMNS_MAX:
            tree.say(path, n, f"{len(line)} columns, limit {COLUMNS_MAX}")
        if "\t" in line:
            tree.say(path, n, "tab")
        if line != line.rstrip():
            tree.say(path, n, "blank at the end of the line")
        if re.search(r"\b(TODO|FIXME|XXX)\b(?!\(\w+\))", line):
            tree.say(path, n, "TODO without an owner: TODO(name)")


def check_lengths(tree, path, text, code):
    """A file has at most 800 lines, a function at most 70."""
    tree.length(path, 1, path, text.count("\n"), FILE_LINES_MAX)
    function = r"^(?:\w[^;{}#]*?)?\b(\w+)\([^;{}]*\)\n\{\n.*?^\}"
    for m in re.finditer(function, code, re.M | re.S):
        head = code.rfind("\n\n", 0, m.start(1)) + 2
        start = max(head, m.start())
        lines = code.count("\n", start, m.end()) + 1
        tree.length(path, line_of(code, start), f"{path}:{m.group(1)}", lines, FUNCTION_LINES_MAX)


def check_room(tree, path, text, code):
    """Every source file of the engine lies in a room of the table."""
    if room_of(path) is None:
        tree.say(path, 1, "lies in no room: nothing here says what it may know")


def check_includes(tree, path, text, code):
    """A room includes only what the table allows; a .c file with a header of its name begins with
    it, or with a header of its room that has it."""
    mine, name = room_of(path), os.path.basename(path)
    own = re.sub(r"\.(c|cc)$", ".h", name)
    quoted = list(re.finditer(r'^#include "([^"]+)"', text, re.M))
    if name != own and tree.home.get(own) == mine and quoted:
        first = os.path.basename(quoted[0].group(1))
        if tree.home.get(first) != mine:
            tree.say(path, line_of(text, quoted[0].start()), f"include {own} first")
    for m in quoted:
        theirs = tree.home.get(os.path.basename(m.group(1)))
        if mine in ROOMS and theirs not in (None, mine) and theirs not in ROOMS[mine]:
            tree.say(path, line_of(text, m.start()), f"{mine} may not include {theirs}")
    if mine in PURE:
        for m in re.finditer(r"^#include <" + IMPURE_HEADERS + ">", text, re.M):
            tree.say(path, line_of(text, m.start()), f"{mine} is pure: {m.group(1)}.h is a world's")


def check_private(tree, path, text, code):
    """efx_x__y is known only inside the folder that declares it."""
    mine = room_of(path)
    for m in re.finditer(r"\befx_[a-z0-9_]+?__\w+", code):
        homes = tree.private.get(m.group(0))
        if mine not in FREE_ROOMS and homes and mine not in homes:
            tree.say(path, line_of(code, m.start()), f"{m.group(0)} is private to {min(homes)}")


def check_calls(tree, path, text, code):
    """Calls that have a better twin in this house."""
    for m in re.finditer(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(", code):
        instead, places = BANNED[m.group(1)]
        if not path.startswith(tuple(places)) if places else True:
            tree.say(path, line_of(code, m.start()), f"{m.group(1)} is banned: {instead}")


def check_guard(tree, path, text, code):
    """A header's guard is its file name (public headers: with their folder). Templates (_tmpl.h)
    and lists for macros (_list.h) are included many times and have none."""
    if not path.endswith(".h") or path.endswith(("_tmpl.h", "_list.h")):
        return
    public = path.startswith("engine/include/")
    name = path[len("engine/include/"):] if public else os.path.basename(path)
    guard = re.sub(r"[^A-Z0-9]", "_", name.upper())
    if f"#ifndef {guard}\n#define {guard}\n" not in text:
        tree.say(path, 1, f"guard must be {guard}")


CHECKS = [check_lines, check_lengths, check_room, check_includes, check_private, check_calls,
          check_guard]


def private_names(tree):
    """Private name -> rooms that declare it: in headers, or if none has it, in .c files."""
    headers, sources = {}, {}
    for path, text in tree.files.items():
        names = headers if path.endswith(".h") else sources
        for m in re.finditer(r"^\w[^;{}()=#]*?\b(efx_[a-z0-9_]+?__\w+)\s*[(;{\[=]",
                             without_comments(text), re.M):
            names.setdefault(m.group(1), set()).add(room_of(path))
    return {**sources, **headers}


def check_tree(root):
    tree = Tree(root)
    tree.private = private_names(tree)
    for path, text in tree.files.items():
        code = without_comments(text)
        for check in CHECKS:
            check(tree, path, text, code)
    for what in sorted(set(tree.ratchet) - tree.ratchet_used):
        tree.say(RATCHET, 1, f"{what} is gone: take it out")
    return tree.findings


# ---- self-test -------------------------------------------------------------------------------

GOOD = {
    "engine/base/efx_a.h": "#ifndef EFX_A_H\n#define EFX_A_H\n\nint efx_a(void);\n\n#endif\n",
    "engine/base/efx_a.c":
        '#include "efx_a.h"\n\nint efx_a(void)\n{\n    return 1; /* free() */\n}\n',
    "engine/op/op.h": "#ifndef OP_H\n#define OP_H\n\nint efx_op__mine(void);\n\n#endif\n",
    "engine/run/efx_run.h": "#ifndef EFX_RUN_H\n#define EFX_RUN_H\n\n#endif\n",
}
BROKEN = [  # (file, its text, what the finding must say)
    ("engine/op/a.c", "int a; /* " + "x" * 100 + " */\n", "columns, limit 100"),
    ("engine/op/a.c", "int\ta;\n", "tab"),
    ("engine/op/a.c", "int a; \n", "blank at the end"),
    ("engine/op/a.c", "/* TODO: later */\n", "TODO without an owner"),
    ("engine/op/a.c", "int a;\n" * 801, "has 801 lines, limit 800"),
    ("engine/op/a.c", "int f(void)\n{\n" + "    f();\n" * 70 + "}\n", "f has 73 lines, limit 70"),
    ("engine/op/a.c", "static int\nf(int a,\n  int b)\n{\n" + "    f();\n" * 68 + "}\n",
     "f has 73 lines, limit 70"),
    ("engine/lost/a.c", "int a;\n", "lies in no room"),
    ("engine/op/a.c", '#include "efx_run.h"\n', "engine/op may not include engine/run"),
    ("engine/base/efx_a.c", '#include "b.h"\n#include "efx_a.h"\n', "include efx_a.h first"),
    ("engine/op/a.c", "#include <unistd.h>\n", "is pure"),
    ("engine/run/a.c", "int a(void)\n{\n    return efx_op__mine();\n}\n",
     "efx_op__mine is private to engine/op"),
    ("engine/op/a.c", "void a(void *p)\n{\n    free(p);\n}\n", "free is banned"),
    ("engine/op/a.c", "int a(void)\n{\n    return atoi(\"1\");\n}\n", "atoi is banned"),
    ("engine/op/b.h", "#ifndef WRONG_H\n#define WRONG_H\n\n#endif\n", "guard must be B_H"),
    (RATCHET, "engine/op/gone.c 900\n", "is gone: take it out"),
    (RATCHET, "engine/base/efx_a.c 900\n", "is shorter now: take its ratchet entry out"),
]


def findings_in(files):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as f:
                f.write(text)
        return check_tree(root)


def self_test():
    failed = 0
    found = findings_in(GOOD)
    if found:
        failed += 1
        print("a clean tree is reported:", *found, sep="\n  ")
    for path, text, wanted in BROKEN:
        found = findings_in({**GOOD, path: text})
        if len(found) != 1 or wanted not in found[0]:
            failed += 1
            print(f"wanted one finding '{wanted}', got:", *(found or ["nothing"]), sep="\n  ")
    allowed = {"engine/op/a.c": "int a;\n" * 900, RATCHET: "engine/op/a.c 900\n"}
    if findings_in({**GOOD, **allowed}):
        failed += 1
        print("a file at its ratchet entry is reported")
    n = len(BROKEN) + 2
    print(f"tidy self-test: {n - failed} passed, {failed} failed")
    return failed > 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if len(sys.argv) != 2 or not os.path.isdir(sys.argv[1]):
        print("usage: tidy.py ROOT | --self-test", file=sys.stderr)
        return 2
    findings = check_tree(sys.argv[1])
    print("\n".join(findings) if findings else "tidy: clean")
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
