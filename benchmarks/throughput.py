"""Figures 1a and 6b, whole: ours as two one-thread processes side by side, plain run after run.

    python benchmarks/throughput.py            # some minutes on two cores

Ours is `train.py` as `launch.py --jobs 2` starts it, from a process that has torch loaded, with its
rows and checkpoints, into a temporary folder; plain is benchmarks/plain.py with the default threads
of torch. Each is timed from the start of its first process to the end of its last one. `--epochs`
shortens every run for a look.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import paper
from launching.processes import Script

ROOT = Path(__file__).resolve().parent.parent
PANELS = ("1a", "6b")


def runs():
    """The runs of the panels, the longest first, so that the last ones end together."""
    panels = [p for f in paper.FIGURES for p in f.panels if p.id in PANELS]
    found = {curve.run.name: curve.run for panel in panels for curve in panel.curves}
    return sorted(found.values(), key=lambda run: run.config.train_precision, reverse=True)


def seconds(start, commands, jobs):
    """Time that these commands take, so many at once; `start` makes a process of one."""
    started = time.monotonic()
    waiting, running, codes = list(commands), [], []
    while waiting or running:
        while waiting and len(running) < jobs:
            running.append(start(waiting.pop(0)))
        codes += [p.poll() for p in running if p.poll() is not None]
        running = [p for p in running if p.poll() is None]
        time.sleep(0.02)
    if any(codes):
        sys.exit(f"throughput.py: a run failed (exit codes {codes})")
    return time.monotonic() - started


def main():
    parser = argparse.ArgumentParser(prog="throughput.py", description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=2, help="our processes side by side [2]")
    parser.add_argument("--epochs", type=int, help="of every run; default: all that are declared")
    arguments = parser.parse_args()
    epochs = {r.name: arguments.epochs or r.config.num_epochs for r in runs()}
    print(f"{sum(epochs.values())} epochs, load average {os.getloadavg()[0]:.1f}", flush=True)
    python = sys.executable
    with tempfile.TemporaryDirectory() as folder:
        ours = [
            [
                python,
                str(ROOT / "train.py"),
                "--run",
                name,
                "--num_epochs",
                str(n),
                "--runs",
                folder,
            ]
            for name, n in epochs.items()
        ]
        our_time = seconds(lambda c: Script(c, Path(os.devnull)), ours, arguments.jobs)
    print(f"ours, {arguments.jobs} at once: {our_time:.1f} s", flush=True)
    plain = [
        [python, ROOT / "benchmarks" / "plain.py", name, "--steps", str(n)]
        for name, n in epochs.items()
    ]
    plain_time = seconds(lambda c: subprocess.Popen(c, stdout=subprocess.DEVNULL), plain, 1)
    print(f"plain, one after the other: {plain_time:.1f} s; quotient {our_time / plain_time:.2f}")


if __name__ == "__main__":
    main()
