"""The kinds of panel of a comparison: a row a curve by the time it took, and test accuracy alone.

As in panels.py; times are optimizer steps. Imports no torch.
"""

import statistics

import numpy
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from experiment.outcomes import THRESHOLD, best_within, grokking_delay
from plotting.panels import (
    FACT,
    GREY,
    PALETTE,
    PERCENT,
    Line,
    entry,
    narrow,
    percent_axis,
    plot_median,
    step_axis,
)


def times(line: Line) -> tuple[list[float], list[float]]:
    """Steps at which each replicate had 95 % of the training and of the test set; inf: never."""
    delays = [grokking_delay(r.metrics, THRESHOLD) for r in line.replicates]
    pairs = [(d.train_step, d.test_step) for d in delays]
    return tuple([numpy.inf if t is None else t for t in ts] for ts in zip(*pairs, strict=True))


def best(line: Line) -> float:
    """The median of the replicates' best test accuracies, 0 to 1."""
    return statistics.median(best_within(r.metrics) for r in line.replicates)


def _rank(line: Line) -> tuple[float, float, float]:
    there = times(line)[1]
    return statistics.median(there), statistics.mean(min(t, 1e12) for t in there), -best(line)


def draw_ranking(axes, lines: list[Line], end: int | None, size: float = 8.5) -> list[Line2D]:
    """A row a curve, the soonest on top: steps to 95 % of the test set, a dot a seed, log x.

    A thin line begins where the median seed has 95 % of the training set: it is the delay. Where
    seeds never had 95 % of the test set a triangle stands at the budget, with the best accuracy of
    the median seed, or with their number where others had.
    """
    (top,) = axes
    if not lines:
        return []
    lines = sorted(lines, key=_rank)
    budget = max(line.config.total_steps for line in lines)
    for row, line in enumerate(lines):
        fitted, there = times(line)
        reached, missed = [t for t in there if t < numpy.inf], there.count(numpy.inf)
        start, middle = statistics.median(fitted), statistics.median(there)
        last = middle if middle < numpy.inf else budget
        if start < last:
            top.plot([start, last], [row, row], color=GREY, linewidth=1.2, zorder=1)
            top.plot(start, row, "|", color=GREY, markersize=7, zorder=1)
        top.plot(reached, [row] * len(reached), "o", color=PALETTE[0], markersize=5, alpha=0.65,
                 markeredgewidth=0, zorder=3)  # fmt: skip
        if reached and middle < numpy.inf:
            top.plot(middle, row, "|", color="black", markersize=9, markeredgewidth=2, zorder=4)
        if missed:
            top.plot(budget, row, ">", color=PALETTE[1], markersize=7, markerfacecolor="white",
                     markeredgewidth=1.4, zorder=4, clip_on=False)  # fmt: skip
            words = f"{missed} of {len(there)}" if reached else f"{PERCENT * best(line):.0f} %"
            top.annotate(words, (budget, row), (8, 0), textcoords="offset points", va="center",
                         size=size - 1, color=PALETTE[1], annotation_clip=False)  # fmt: skip
    top.set_yticks(range(len(lines)), [line.label for line in lines], size=size)
    top.set_ylim(len(lines) - 0.4, -0.6)
    top.grid(axis="y", visible=False)
    first = min([*(t for line in lines for t in times(line)[0]), budget / 10])
    top.set_xscale("log")
    top.set_xlim(max(first, 1) / 1.3, budget * 1.08)
    top.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if budget < 50 * first else (1,)))
    top.xaxis.set_major_formatter(lambda v, _: f"{v:,.0f}")
    top.xaxis.set_minor_formatter(NullFormatter())
    top.set_xlabel(f"Updates to {PERCENT * THRESHOLD:g} % test accuracy (log scale)")
    several = any(len(line.replicates) > 1 for line in lines)
    mark = {"color": GREY, "linestyle": "none"}
    return narrow(
        [
            Line2D([], [], color=PALETTE[0], marker="o", linestyle="none",
                   label="a seed" + ", the bar their median" * several),
            Line2D([], [], color=GREY, marker="|", label=f"from {PERCENT * THRESHOLD:g} % of the"
                   " training set on"),
            Line2D([], [], marker=">", markerfacecolor="white", markeredgecolor=PALETTE[1],
                   label=f"not in {budget:,} updates: the best accuracy, or on how many seeds",
                   **mark),
        ]
    )  # fmt: skip


def draw_ranking_grid(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """As ranking, of many rows."""
    return draw_ranking(axes, lines, end, 7)


def draw_test_accuracy_log(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """Test accuracy, percent, against steps on a log scale."""
    (top,) = axes
    for line in lines:
        plot_median(top, line, "test_accuracy", PERCENT, over="step", log=True)
    percent_axis(top, "Test accuracy (%)")
    step_axis(top, end, True)
    return [entry(line.label, line.color, gid=FACT) for line in lines]  # its colours are its own


# kind -> (function, relative heights of its rows of axes)
KINDS = {
    "ranking": (draw_ranking, (6.0,)),
    "ranking_grid": (draw_ranking_grid, (11.0,)),
    "test_accuracy_log": (draw_test_accuracy_log, (6.0,)),
}
