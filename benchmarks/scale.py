"""What 10,000 runs cost: to list, to plan, to resume, to read, to draw and to judge.

    python benchmarks/scale.py                     # the table of docs/scale.md, some minutes
    python benchmarks/scale.py --runs 1000 --repeats 1

Two grids of synthetic run folders in a temporary folder, declared by a file for `--figures-from`:
runs of 100 seeds each, and one run of as many seeds. A finished folder holds what train.py leaves
but for checkpoint.pt, which only a continuation reads: 42 rows of a published run with a column of
its own, true digests. Of a half-finished grid every second folder has no summary.json. Each command
is a process; its wall-clock, its processor time (user and system, of it and its children) and its
largest resident memory are those that the kernel tells, the least times and the most memory of the
repeats. The folders were written just before, so that no file comes from the disk. `resume` is all
that is decided before the first run starts, and the report at the end; no run is computed.
"""

import argparse
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from configuration import runs
from configuration.digests import digest
from experiment.catalog import load_figures

ROOT = Path(__file__).resolve().parent.parent
ROWS_OF = ROOT / "results/add_adamw_wd1/seed_42"  # 502 rows; every 12th is taken
EVERY = 12
FIGURES = """
from dataclasses import replace

from experiment.claim import Claim, Within, at_least
from experiment.figure import Curve, Figure, Panel, declare
from experiment.quantity import TEST, first, largest
from paper.settings import MLP

RUNS = [
    declare(
        f"scale_{{i:04}}", replace(MLP, num_epochs=5_000), {{"num_epochs": 100}}, lr=1e-3 + 1e-6 * i
    )
    for i in range({runs})
]
FIGURE = Figure(
    id="scale",
    title="Many runs",
    claim="Many runs are read.",
    panels=tuple(
        Panel(
            id=f"scale {{k}}",
            title="Many runs",
            kind="accuracy",
            curves=tuple(Curve(run=run, label=run.name) for run in RUNS[k::4]),
        )
        for k in range(min(4, {runs}))
    ),
    checks=tuple(
        Claim(
            panel="scale",
            words="It generalizes",
            paper="no number",
            source="ours",
            checks=(Within(first(run, TEST, 0.5), at_least(0)),
                    Within(largest(run, TEST), at_least(0.9))),
        )
        for run in RUNS
    ),
)
"""
# A figure's runs as plots.py and claims.py find them, without what is made of them.
READ = """
import sys
sys.path.insert(0, {root!r})
from experiment.catalog import load_figures
from plotting.curves import find_replicates
(figure,) = load_figures({file!r})
found = [find_replicates(run, "full", None, {runs!r}, None) for run in figure.runs]
print(sum(len(replicates) for replicates, _ in found), "runs read")
"""
# launch.py up to what it would start, and from there to its end.
RESUME = """
import sys
sys.path.insert(0, {root!r})
import launch
launch.Local.run = lambda self, display: None
launch.main({words!r}, plots="/dev/null")
"""


STATES = ("none", "all", "half")  # of the runs that are finished, in this order


def make_folders(root: Path, file: Path, seeds: int):
    """A finished folder for each run of the figure at each of these seeds."""
    lines = list(csv.reader(io.StringIO((ROWS_OF / runs.METRICS).read_text())))
    rows, own = [lines[0], *lines[1::EVERY]], lines[0].index("train_loss")
    summary = json.loads((ROWS_OF / runs.SUMMARY).read_text())
    env = (ROWS_OF / runs.ENV).read_bytes()
    for run in load_figures(file)[0].runs:
        name, config = run.form("full")
        values = asdict(config)
        for seed in range(seeds):
            for row in rows[1:]:
                row[own] = repr(int(digest(f"{name} {seed} {row[0]}".encode())[:13], 16) / 2**50)
            text = "".join(f"{','.join(row)}\n" for row in rows)
            folder = runs.run_folder(root, name, seed)
            folder.mkdir(parents=True)
            (folder / runs.CONFIG).write_text(json.dumps(values | {"seed": seed}, indent=1) + "\n")
            (folder / runs.ENV).write_bytes(env)
            (folder / runs.METRICS).write_text(text)
            del summary["sha256"]
            summary = runs.seal_summary(folder, summary, [runs.CONFIG, runs.METRICS])
            (folder / runs.SUMMARY).write_text(json.dumps(summary, indent=1) + "\n")


def halve(root: Path):
    """Every second finished run becomes one that was interrupted."""
    for path in sorted(root.glob(f"*/*/{runs.SUMMARY}"))[::2]:
        path.unlink()


def measure(command, repeats: int) -> tuple[float, float, float]:
    """Least wall-clock and processor seconds, and most MB, of a command."""
    walls, cpus, sizes = [], [], []
    for _ in range(repeats):
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1):  # 1: the drawing that RESUME leaves out
            sys.exit(f"scale.py: {command} failed:\n{said.decode()[-2000:]}")
        walls.append(time.monotonic() - started)
        cpus.append(used.ru_utime + used.ru_stime)
        sizes.append(used.ru_maxrss / 1000)
    return min(walls), min(cpus), max(sizes)


def commands(state: str, file: Path, root: Path, seeds: int) -> dict[str, list[str]]:
    """{what is measured: its command} for a grid in one state."""
    python, own = sys.executable, ["--figures-from", str(file), "--runs", str(root)]
    launched = [*own, "--seeds", *map(str, range(seeds)), "--device", "cpu"]
    text = RESUME.format(root=str(ROOT), words=[*launched, "--out", str(root.parent / "out")])
    found = {
        "`--list`": [python, str(ROOT / "launch.py"), *launched, "--list", "--figures", "scale"],
        "`--dry-run`": [python, str(ROOT / "launch.py"), *launched, "--dry-run"],
        "resume": [python, "-c", text],
    }
    if state == "all":
        text = READ.format(root=str(ROOT), file=str(file), runs=str(root))
        out = ["--out", str(root.parent / "out"), "--dpi", "100"]
        found |= {
            "read a figure, digests included": [python, "-c", text],
            "`plots.py --dpi 100`": [python, str(ROOT / "plots.py"), *own, *out],
            "`claims.py`": [python, str(ROOT / "claims.py"), *own],
        }
    return found


def main():
    parser = argparse.ArgumentParser(prog="scale.py", description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000, help="folders of a grid [10000]")
    parser.add_argument("--repeats", type=int, default=3, help="of each command [3]")
    parser.add_argument("--only", default="", help="what is measured, by a part of its name")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    print("| runs × seeds | finished | command | wall-clock s | processor s | MB |")
    print("| --- | --- | --- | ---: | ---: | ---: |")
    for declared, seeds in ((given.runs // 100, 100), (1, given.runs)):
        with tempfile.TemporaryDirectory() as place:
            file, root = Path(place) / "scale.py", Path(place) / "runs"
            file.write_text(FIGURES.format(runs=declared))
            root.mkdir()
            for state in STATES:
                if state == "all":
                    make_folders(root, file, seeds)
                if state == "half":
                    halve(root)
                for what, command in commands(state, file, root, seeds).items():
                    if given.only in what:
                        wall, cpu, size = measure(command, given.repeats)
                        grid = f"{declared:,} × {seeds:,}"
                        numbers = f"{wall:.1f} | {cpu:.1f} | {size:.0f}"
                        print(f"| {grid} | {state} | {what} | {numbers} |", flush=True)
    print(f"load average {load:.1f} before, {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
