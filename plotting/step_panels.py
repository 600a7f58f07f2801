"""The kinds of panel of the related systems that show curves over optimizer steps and fractions.

As in panels.py; the x axes are optimizer steps, on a log scale where the axis says so, and `end` is
in steps. map_panels.py and dimension_panels.py have the other kinds. Imports no torch.
"""

import statistics

import numpy
from matplotlib.lines import Line2D

from experiment.outcomes import GROKKED, best_within, median_time, rise, steps_to
from plotting.panels import (
    GREY,
    PERCENT,
    Line,
    entry,
    narrow,
    percent_axis,
    plot_accuracies,
    plot_median,
    step_axis,
    ticks,
    with_column,
)

# ---------------------------------------------------------------------------------- over steps

FIRST_LAYER = "weight_norm/layers.0.self_attn.in_proj_weight"


def draw_accuracy_log(axes, lines: list[Line], end: int | None, over="step") -> list[Line2D]:
    """Test (solid) and training (dashed) accuracy, percent, against steps on a log scale."""
    (top,) = axes
    entries = plot_accuracies(top, lines, over, log=True)
    step_axis(top, end, True, over)
    return entries


def draw_accuracy_log_epochs(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """As accuracy_log, against epochs, for runs whose length is in epochs (001)."""
    return draw_accuracy_log(axes, lines, end, "epoch")


def draw_accuracy_norm(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """As accuracy_log, and below it the L2 norm of all weights (002)."""
    top, below = axes
    for line in lines:
        plot_median(below, line, "weight_norm", over="step", log=True)
    below.set_ylabel("Weight\nnorm (L2)")
    below.set_ylim(0, 1.05 * below.dataLim.y1 if lines else 1)
    ticks(below.yaxis)
    entries = draw_accuracy_log([top], lines, end)
    top.set_xlabel("")
    top.tick_params(labelbottom=False)
    below.set_xlabel("Optimizer steps (log scale)")
    return entries


def draw_attention_norm(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """L2 norm of the first layer's query, key and value weights against steps, log x (002).

    A star stands where the test accuracy of a run begins to rise above its plateau.
    """
    (top,) = axes
    lines, missing = with_column(lines, FIRST_LAYER, "network transformer")
    entries, starred = [], False
    for line in lines:
        plot_median(top, line, FIRST_LAYER, over="step", log=True)
        rises = [(r.metrics, rise(r.metrics)) for r in line.replicates]
        found = [(m.set_index("step")[FIRST_LAYER].loc[s], s) for m, s in rises if s is not None]
        for norm, step in found:
            starred = True
            top.plot(step, norm, "*", color=line.color, markersize=13, markeredgecolor="black",
                     zorder=5)  # fmt: skip
        said = "test does not rise"
        if found:
            said = f"test rises at step {statistics.median(s for _, s in found):,.0f}"
            said += f" ({len(found)} of {len(rises)} seeds)" if len(found) < len(rises) else ""
        entries.append(entry(f"{line.label}: {said}", line.color))
    top.set_ylabel("Norm of the first layer's\nattention QKV weights (L2)")
    if lines:
        top.set_ylim(bottom=0)
    step_axis(top, end, log=True)
    if starred:
        entries.append(
            Line2D([], [], color=GREY, marker="*", markersize=11, markeredgecolor="black",
                   linestyle="none", label="test accuracy begins to rise")
        )  # fmt: skip
    return narrow([*entries, *missing])


# ---------------------------------------------------------------------------------- over fractions


def families(lines: list[Line]) -> dict[str, list[Line]]:
    """{label: its lines by training fraction}: curves of one label are one family."""
    found = {}
    for line in sorted(lines, key=lambda x: x.config.train_fraction):
        found.setdefault(line.label, []).append(line)
    return {label: found[label] for label in dict.fromkeys(x.label for x in lines)}


def budget(lines: list[Line]) -> str:
    """The budget of all runs in words: in epochs where all have it in epochs, else in steps."""
    configs = [line.config for line in lines]
    epochs = all(c.num_steps is None for c in configs)
    amounts = sorted({c.num_epochs if epochs else c.total_steps for c in configs})
    ends = f"{amounts[0]:,}" + (f" to {amounts[-1]:,}" if len(amounts) > 1 else "")
    return f"{ends} {'epochs' if epochs else 'steps'}"


def _fraction_axis(axes, lines):
    axes.set_xlabel("Training fraction (%)")
    if lines:
        shares = [PERCENT * line.config.train_fraction for line in lines]
        axes.set_xlim(min(shares) - 5, max(shares) + 5)
        axes.locator_params(axis="x", nbins=8)


def _aside(k: int, count: int, step: float) -> float:
    """How far the k-th of several families stands from its fraction, so that all are seen."""
    return step * (k - (count - 1) / 2)


def _count(number: int) -> str:
    return f"{number} run{'s' * (number != 1)}"


def draw_steps_to_level(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """Steps to 99 % test accuracy, log y, against training fraction; a line per family (001).

    A dot is a run. The line is the median over seeds, in which a run that never got there is later
    than all others; such runs are open triangles at the end of their budget.
    """
    (top,) = axes
    entries, reached, censored = [], 0, 0
    grouped = families(lines)
    for k, (label, family) in enumerate(grouped.items()):
        color, medians = family[0].color, []
        aside = _aside(k, len(grouped), 1.6)
        for line in family:
            share = PERCENT * line.config.train_fraction
            times = [steps_to(r.metrics) for r in line.replicates]
            here = [t for t in times if t is not None]
            reached, censored = reached + len(here), censored + times.count(None)
            top.plot([share] * len(here), here, "o", color=color, zorder=3)
            if len(here) < len(times):
                top.plot(share + aside, line.config.total_steps, "^", color=color, markersize=9,
                         markerfacecolor="white", markeredgewidth=1.8, zorder=4)  # fmt: skip
            middle = median_time(times)
            medians.append((share, middle if numpy.isfinite(middle) else numpy.nan))
        top.plot(*zip(*medians, strict=True), color=color)
        entries.append(entry(label, color))
    top.set(yscale="log", ylabel=f"Optimizer steps to {PERCENT * GROKKED:g} %\ntest accuracy (log)")
    top.margins(y=0.1)
    _fraction_axis(top, lines)
    if censored:
        text = f"not reached within {budget(lines)}: {censored} of {_count(reached + censored)}"
        entries.append(
            Line2D([], [], color=GREY, marker="^", markerfacecolor="white", markeredgewidth=1.8,
                   linestyle="none", label=text)
        )  # fmt: skip
    return narrow(entries)


def draw_best_accuracy(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """Best test accuracy of a run within its budget, percent, against training fraction (001).

    A dot is a run, the line of a family is the median over seeds. Families stand side by side.
    """
    (top,) = axes
    entries, count, short = [], 0, 0
    grouped = families(lines)
    for k, (label, family) in enumerate(grouped.items()):
        color, medians = family[0].color, []
        for line in family:
            share = PERCENT * line.config.train_fraction + _aside(k, len(grouped), 0.3)
            values = [best_within(r.metrics) for r in line.replicates]
            count, short = count + len(values), short + sum(v < GROKKED for v in values)
            percent = [PERCENT * v for v in values]
            top.plot([share] * len(values), percent, "o", color=color)
            medians.append((share, statistics.median(percent)))
        top.plot(*zip(*medians, strict=True), color=color)
        entries.append(entry(label, color))
    percent_axis(top, "Best test accuracy (%)")
    _fraction_axis(top, lines)
    if len(grouped) > 1:
        top.set_xlabel("Training fraction (%), lines set side by side")
    if lines:
        text = f"{_count(count)}; {short} below {PERCENT * GROKKED:g} % within {budget(lines)}"
        entries.append(entry(text, style="none"))
    return narrow(entries)


# kind -> (function, relative heights of its rows of axes)
KINDS = {
    "accuracy_log": (draw_accuracy_log, (3.0,)),
    "accuracy_log_epochs": (draw_accuracy_log_epochs, (3.0,)),
    "accuracy_norm": (draw_accuracy_norm, (3.0, 1.7)),
    "attention_norm": (draw_attention_norm, (3.0,)),
    "steps_to_level": (draw_steps_to_level, (3.0,)),
    "best_accuracy": (draw_best_accuracy, (3.0,)),
}
