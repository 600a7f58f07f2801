"""Milliseconds an update under each remedy of related/remedies.py, on one thread of the CPU.

    python benchmarks/remedies.py             # docs/remedies_update_ms.csv; about three minutes

The remedies take turns; medians. Grokfast MA is measured with its window full, as it is in a run
from update 100 on. Run it on an idle machine.
"""

import csv
import sys
import time
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from documents.remedies import UPDATE_TIMES
from related import remedies
from training.session import Session

WARM_UP, TURNS, UPDATES = 110, 8, 10


def measure(task: str) -> dict[str, float]:
    """{remedy: median milliseconds an update}."""
    sessions = {name: Session(remedies.RUNS[task, name].config) for name in remedies.REMEDIES}
    for session in sessions.values():
        for _ in range(WARM_UP):
            session.update()
    times = {name: [] for name in sessions}
    for _ in range(TURNS):
        for name, session in sessions.items():
            started = time.perf_counter()
            for _ in range(UPDATES):
                session.update()
            times[name].append((time.perf_counter() - started) / UPDATES * 1e3)
    return {name: median(taken) for name, taken in times.items()}


def main():
    torch.set_num_threads(1)
    rows = [("task", "remedy", "ms")]
    for task in remedies.TASKS:
        for name, ms in measure(task).items():
            rows.append((task, name, f"{ms:.2f}"))
            print(*rows[-1], flush=True)
    with UPDATE_TIMES.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main()
