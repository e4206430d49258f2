#!/usr/bin/env python3
"""Counts the test cases of a ctest run, case by case where a program tells.

    count.py BUILD_DIR      prints the failed ones, and last `PASSED FAILED` (two numbers)

What a program prints decides: cmocka's `[  PASSED  ] N test(s).` and `[  FAILED  ] N test(s)`, or a line
that ends in `N passed, M failed`. A program that prints neither counts as one case; one that fails
without saying so (a crash, a sanitizer's report, a time-out) counts as one failed case more.
"""
import os
import re
import sys



def cases_of(output, passed_whole):
    """(passed, failed) of one program."""
    good = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test\(s\)", output))
    bad = sum(int(n) for n in re.findall(r"\[  FAILED  \] (?:[\w ]+: )?(\d+) test\(s\)", output))
    told = re.findall(r"(\d+) passed, (\d+) failed", output)
    if told:
        good, bad = good + int(told[-1][0]), bad + int(told[-1][1])
    if good + bad == 0 and passed_whole:
        good = 1
    if bad == 0 and not passed_whole:
        bad = 1
    return good, bad


def main():
    folder = os.path.join(sys.argv[1], "Testing", "Temporary")
    with open(os.path.join(folder, "LastTest.log"), encoding="utf-8", errors="replace") as f:
        log = f.read()
    passed = failed = 0
    for part in re.split(r"^(?=\d+/\d+ Testing: )", log, flags=re.M)[1:]:
        name = part.split("Testing: ", 1)[1].split("\n", 1)[0]
        started = 'Command: ""' not in part  # else ctest had no program, and says "Passed"
        whole = started and re.search(r"^Test Passed\.$", part, re.M) is not None
        good, bad = cases_of(part, whole)
        passed, failed = passed + good, failed + bad
        if bad:
            print(f"--- {name}: {bad} failed")
            print("\n".join(part.split("\n")[:200]))
    print(passed, failed)


if __name__ == "__main__":
    main()
