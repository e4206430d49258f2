#!/usr/bin/env python3
"""What the documents show is what the program says.

    docs_check.py --bin FOLDER [--write]     exit 1 and the difference if something is not so

In README.md, docs/*.md and examples/README.md:

    ```console       lines that begin with `$ ` are run from the repository's root, the lines up to
                     the next one must be their output (both streams). `build/release/bin/` and a
                     plain `efx` mean FOLDER. Seconds and rates may differ. --write puts what came
                     out in place of what stands there.
    ```sql FILE      stands in FILE
    ```sql given     a program that the page's later blocks go on from
    ```sql unbuilt   programs, each a paragraph: EFX-9001 must refuse each, and nothing else
"""
import argparse
import difflib
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FENCE = re.compile(r"^```(console|sql \S+)\n(.*?)^```$", re.M | re.S)
TIMES = [(re.compile(r"\d+\.\d+ s, \d+ rows/s"), "… s, … rows/s")]
RUN_SECONDS_MAX = 120


def pages():
    names = ["README.md", "examples/README.md"]
    names += sorted("docs/" + n for n in os.listdir(os.path.join(ROOT, "docs")) if n.endswith(".md"))
    return [n for n in names if os.path.exists(os.path.join(ROOT, n))]


def without_times(text):
    for pattern, instead in TIMES:
        text = pattern.sub(instead, text)
    return text


class Check:
    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        self.n, self.bad = 0, 0
        self.env = dict(os.environ, LC_ALL="C.UTF-8",
                        PATH=self.folder + os.pathsep + os.environ["PATH"])

    def run(self, command):
        """Both streams as a terminal would have shown them, but with neither being one."""
        command = command.replace("build/release/bin/", self.folder + "/")
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=self.env, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=RUN_SECONDS_MAX)
        return done.stdout.replace(self.folder + "/", "build/release/bin/")

    def differs(self, where, text):
        self.bad += 1
        print(f"{where}\n{text}")

    def console(self, page, block):
        """The block as it should be; every command in it is compared."""
        parts = re.split(r"^\$ (.*)\n", block, flags=re.M)
        made = parts[0]
        for command, shown in zip(parts[1::2], parts[2::2]):
            said = self.run(command)
            if said and not said.endswith("\n"):
                said += "\n"
            self.n += 1
            gap = "\n" if shown.endswith("\n\n") or shown == "\n" else ""  # between two commands
            if without_times(shown) != without_times(said + gap):
                diff = difflib.unified_diff(shown.splitlines(), said.splitlines(), "in the page",
                                            "said", lineterm="")
                self.differs(f"{page}: $ {command}", "\n".join(diff))
                shown = said + gap
            made += f"$ {command}\n{shown}"
        return made

    def unbuilt(self, page, given, block):
        for program in re.split(r"\n\s*\n", block.strip()):
            with tempfile.NamedTemporaryFile("w", suffix=".sql") as f:
                f.write(given + program)
                f.flush()
                said = self.run(f"efx check {f.name}")
            self.n += 1
            codes = set(re.findall(r"^error EFX-(\d+)", said, re.M))
            if codes != {"9001"}:
                self.differs(f"{page}: {program}", said or "is taken")

    def stands_in(self, page, name, block):
        with open(os.path.join(ROOT, name), encoding="utf-8") as f:
            self.n += 1
            if block not in f.read():
                self.differs(f"{page}: {name}", "does not say what is shown of it")

    def page(self, page, write):
        path = os.path.join(ROOT, page)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        given = ""

        def block(m):
            nonlocal given
            kind, body = m.groups()
            if kind == "sql given":
                given = body
            elif kind == "sql unbuilt":
                self.unbuilt(page, given, body)
            elif kind != "console":
                self.stands_in(page, kind.split()[1], body)
            else:
                body = self.console(page, body)
            return f"```{kind}\n{body}```"

        made = FENCE.sub(block, text)
        if write and made != text:
            with open(path, "w", encoding="utf-8") as f:
                f.write(made)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--bin", required=True, help="folder of the programs that are built")
    parser.add_argument("--write", action="store_true", help="put what came out into the pages")
    options = parser.parse_args()
    check = Check(options.bin)
    for page in pages():
        check.page(page, options.write)
    print(f"docs: {check.n - check.bad} of {check.n} as shown")
    return check.bad > 0


if __name__ == "__main__":
    sys.exit(main())
