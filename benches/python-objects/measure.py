"""What it costs to record work on Python's objects: tlsheap, heaptrack and memray in one run.

    python3 -m venv target/memray && target/memray/bin/pip install memray
    target/memray/bin/python benches/python-objects/measure.py

Each round runs every way once, so that all share the machine's moods; a ratio is to the plain run of
its own round. What is not installed is named and left out.
"""

import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 5
WORK = "3000"
HERE = pathlib.Path(__file__).resolve().parent
TLSHEAP = HERE.parent.parent / "target/release/tlsheap"
PROGRAM = [sys.executable, str(HERE / "objects.py"), WORK]
MEMRAY = [sys.executable, "-m", "memray", "run", "-q", "-f", "-o", "out"]


def ways():
    record = [str(TLSHEAP), "record", "--heap", "--out", "out"]
    yield "plain", PROGRAM, {}
    yield "`record --heap`", [*record, "--", *PROGRAM], {}
    yield "`record --heap --python`", [*record, "--python", "--", *PROGRAM], {}
    if shutil.which("heaptrack"):
        heaptrack = ["heaptrack", "-o", "out", *PROGRAM]
        yield "heaptrack", heaptrack, {}
        yield "heaptrack, `PYTHONMALLOC=malloc`", heaptrack, {"PYTHONMALLOC": "malloc"}
    else:
        print("heaptrack is not installed: left out")
    if not subprocess.run([sys.executable, "-c", "import memray"], capture_output=True).returncode:
        objects = "--trace-python-allocators"
        yield "memray", [*MEMRAY, *PROGRAM[1:]], {}
        yield f"memray, `{objects}`", [*MEMRAY, objects, *PROGRAM[1:]], {}
        yield f"memray, `{objects} --native`", [*MEMRAY, objects, "--native", *PROGRAM[1:]], {}
    else:
        print("memray is not installed for this Python: left out")


def seconds(command, variables):
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        subprocess.run(
            command, cwd=folder, env=os.environ | variables, check=True, capture_output=True
        )
        return time.monotonic() - began


def processor():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    of = dict(line.split(":", 1) for line in lines if ":" in line)
    names = {name.strip(): value.strip() for name, value in of.items()}
    return f"{names.get('model name')}, model {names.get('model')}"


def main():
    measured = {name: (command, variables, []) for name, command, variables in ways()}
    for _ in range(ROUNDS):
        for command, variables, times in measured.values():
            times.append(seconds(command, variables))
    plain = measured["plain"][2]
    print(f"{processor()}; Python {sys.version.split()[0]}; {ROUNDS} rounds, {WORK} times the work")
    print("| | seconds | of plain |\n|---|---|---|")
    for name, (_, _, times) in measured.items():
        ratios = sorted(time / bare for time, bare in zip(times, plain))
        middle = statistics.median(ratios)
        spread = f"{middle:.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})"
        print(f"| {name} | {statistics.median(times):.2f} | {spread} |")


main()
