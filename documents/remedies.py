"""The tables of docs/remedies.md, from the published runs of related/remedies.py."""

import csv
import math
import statistics
from functools import cache

from documents.blocks import ROOT, markdown_table
from experiment.outcomes import GROKKED, THRESHOLD, grokking_delay, median_time, steps_to
from experiment.quantity import show
from plotting.curves import find_replicates
from related import remedies

UPDATE_TIMES = ROOT / "docs" / "remedies_update_ms.csv"  # benchmarks/remedies.py measures them
HEAD = (
    "remedy", "setting", "seeds there", "updates to 95 %", "to 99 %", "delay", "test accuracy",
    "collapse", "weight norm", "ms an update", "seconds to 95 %",
)  # fmt: skip


@cache
def tables(run) -> list:
    """metrics.csv of the published seeds of a run."""
    nowhere = ROOT / "documents"  # no runs of one's own
    found = find_replicates(run, "full", None, nowhere, ROOT / "results")[0]
    return [replicate.metrics for replicate in found]


@cache
def update_ms() -> dict[tuple[str, str], float]:
    """{(task, remedy): milliseconds an update}, as measured."""
    with UPDATE_TIMES.open() as file:
        return {(r["task"], r["remedy"]): float(r["ms"]) for r in csv.DictReader(file)}


def spread(values) -> str:
    """Median and range; None, never, is later than all."""
    words = []
    values = [math.inf if v is None else v for v in values]
    for value in (median_time(values), min(values), max(values)):
        words.append(f"{value:,.0f}" if value < math.inf else "never")
    middle, low, high = words
    return middle if low == high else f"{middle} ({low} to {high})"


def _row(task: str, name: str) -> tuple:
    found, cell = tables(remedies.RUNS[task, name]), remedies.CHOSEN[task, name]
    times = {level: [steps_to(t, level) for t in found] for level in (THRESHOLD, GROKKED)}
    there = len(found) - times[THRESHOLD].count(None)
    ends = {c: statistics.median(float(t[c].iloc[-1]) for t in found) for c in found[0]}
    middle = median_time(times[THRESHOLD])
    ms = update_ms()[task, name]
    _, _, setting = remedies.cell_label(task, name, cell).partition(": ")
    return (
        remedies.REMEDIES[name].label,
        setting,
        f"{there} of {len(found)}",
        *(spread(times[level]) for level in (THRESHOLD, GROKKED)),
        spread([grokking_delay(t).steps for t in found]),
        show(ends["test_accuracy"], "percent"),
        show(ends["softmax_collapse"], "percent"),
        f"{ends['weight_norm']:.3g}",
        f"{ms:.1f}",
        f"{float(f'{middle * ms / 1000:.2g}'):g}" if middle < math.inf else "",
    ), (middle, -there, -ends["test_accuracy"])


def ranking(task: str) -> str:
    """A row a remedy, the soonest first."""
    rows = sorted((_row(task, name) for name in remedies.REMEDIES), key=lambda row: row[1])
    return "\n".join(markdown_table(HEAD, [row for row, _ in rows], HEAD[3:]))


def remedies_add() -> str:
    """The remedies on addition."""
    return ranking("add")


def remedies_div() -> str:
    """The remedies on division."""
    return ranking("div")


def remedies_cost() -> str:
    """What choosing and showing cost, in runs and updates."""
    lines = []
    for words, by in (("grids", remedies.CELLS), ("shown", remedies.RUNS)):
        found = [t for run in by.values() for t in tables(run)]
        updates = sum(int(t["step"].iloc[-1]) for t in found)
        lines.append(f"{words}: {len(by)} cells, {len(found)} runs, {updates:,} updates")
    return "; ".join(lines) + "."


MAKERS = {f.__name__: f for f in (remedies_add, remedies_div, remedies_cost)}
