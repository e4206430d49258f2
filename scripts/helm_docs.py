#!/usr/bin/python3
"""The table of values in helm/README.md, made of helm/values.yaml and its comments.

    helm_docs.py            says what is wrong: table out of date, a value without comment; exit 1 then
    helm_docs.py --write    brings the table up to date

In values.yaml a comment that begins with `# --` describes the value under it. A map that has such a
comment is one value; one without is a group, and all in it must be described.
"""
import json
import os
import re
import sys

import yaml

CHART = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "helm")
BEGIN, END = "<!-- values: made by scripts/helm_docs.py -->\n", "<!-- end of values -->\n"


def comments(text):
    """Path -> its comment, in the order of the file."""
    found, path, said, block = {}, [], [], None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if block is not None:  # in a text of several lines
            if not line.strip() or indent > block:
                continue
            block = None
        comment = re.match(r"\s*# (-- )?(.*)$", line)
        if comment:
            said = [comment.group(2)] if comment.group(1) else said and said + [comment.group(2)]
            continue
        key = re.match(r"\s*([A-Za-z][A-Za-z0-9]*):(.*)$", line)
        if key:
            path = path[: indent // 2] + [key.group(1)]
            if said:
                found[".".join(path)] = " ".join(said)
            if key.group(2).strip() in ("|", ">"):
                block = indent
        said = []
    return found


def leaves(value, described, path=()):
    """(path, value) of everything that a user sets."""
    for key, inner in value.items():
        here = path + (key,)
        if isinstance(inner, dict) and ".".join(here) not in described:
            yield from leaves(inner, described, here)
        else:
            yield ".".join(here), inner


def shown(value):
    if isinstance(value, str) and "\n" in value:
        return "a sample"
    return f"`{json.dumps(value)}`"


def table(text):
    """The table's text, and what is wrong with the comments."""
    said, values = comments(text), yaml.safe_load(text)
    rows, wrong = [], []
    for path, value in leaves(values, said):
        if path not in said:
            wrong.append(f"values.yaml: {path} has no comment that begins with --")
        rows.append(f"| `{path}` | {shown(value)} | {said.get(path, '')} |")
    known = {path for path, _ in leaves(values, said)}
    wrong += [f"values.yaml: a comment describes {p}, which is no value" for p in said if p not in known]
    return "\n".join(["| value | default | what it is |", "|---|---|---|", *rows]) + "\n", wrong


def main():
    with open(os.path.join(CHART, "values.yaml"), encoding="utf-8") as f:
        made, wrong = table(f.read())
    readme = os.path.join(CHART, "README.md")
    with open(readme, encoding="utf-8") as f:
        text = f.read()
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    if not rest or not _:
        wrong.append("README.md: the marks of the table are missing")
    elif sys.argv[1:] == ["--write"]:
        with open(readme, "w", encoding="utf-8") as f:
            f.write(before + BEGIN + made + END + after)
    elif old != made:
        wrong.append("README.md: the table is out of date: scripts/helm_docs.py --write")
    print("\n".join(wrong) if wrong else "helm_docs: in order")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
