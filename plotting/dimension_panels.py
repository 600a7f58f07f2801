"""The kinds of panel of the local intrinsic dimension (004): over steps, and its lead per run.

As in step_panels.py. Imports no torch.
"""

import statistics

import numpy
from matplotlib import colormaps
from matplotlib.lines import Line2D

from experiment.outcomes import (
    FALL,
    RISE,
    THRESHOLD,
    best_within,
    dimension_column,
    dimension_lead,
)
from plotting.panels import (
    GREY,
    PALETTE,
    PERCENT,
    Line,
    entry,
    narrow,
    percent_axis,
    plot_median,
    spread_words,
    step_axis,
    ticks,
)


def _measured(lines: list[Line]) -> tuple[list[Line], list[Line2D]]:
    """(lines whose runs measured the dimension, entries that name the others)."""
    there = [line for line in lines if all(dimension_column(r.metrics) for r in line.replicates)]
    others = [line.label for line in lines if line not in there]
    return there, [entry(f"{x}: recorded only with --log_dimension", style="none") for x in others]


def fraction_colors(lines: list[Line]) -> dict[float, tuple]:
    """{training fraction: colour}, from dark to light, none too light to be seen."""
    shares = sorted({line.config.train_fraction for line in lines})
    places = numpy.linspace(0, 0.88, len(shares))
    return dict(zip(shares, colormaps["viridis"](places), strict=True))


def draw_dimension(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """Training and test accuracy and the mean local dimension against steps (004).

    Colour: training fraction. Line and band: median and spread of the seeds. Dashed where no seed's
    test accuracy reached 95 %.
    """
    lines, missing = _measured(lines)
    colors = fraction_colors(lines)
    entries = []
    for line in sorted(lines, key=lambda x: x.config.train_fraction):
        tables = [r.metrics for r in line.replicates]
        grokked = any(best_within(t) >= THRESHOLD for t in tables)
        color = colors[line.config.train_fraction]
        style = {"color": color, "linestyle": "-" if grokked else "--", "over": "step"}
        columns = ("train_accuracy", "test_accuracy", dimension_column(tables[0]))
        for part, column in zip(axes, columns, strict=True):
            scale = 1 if column.startswith("dimension") else PERCENT
            plot_median(part, line, column, scale, **style)
        entries.append(entry(line.label, color, style["linestyle"]))
    for part, label in zip(axes, ("Train\naccuracy (%)", "Test\naccuracy (%)"), strict=False):
        percent_axis(part, label)
        part.set_yticks(range(0, 101, 50))
        part.tick_params(labelbottom=False)
    axes[-1].set_ylabel("Mean local\ndimension")
    step_axis(axes[-1], end, log=False)
    counts = sorted({len(line.replicates) for line in lines} - {1})
    entries += [entry(f"{spread_words(n)} (n = {n})", style="none") for n in counts]
    if any(e.get_linestyle() == "--" for e in entries):
        text = f"dashed: test accuracy never at {PERCENT * THRESHOLD:g} %"
        entries.append(entry(text, style="none"))
    return narrow([*entries, *missing])


def draw_lead(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """By how many steps the drop of the dimension leads (+) or lags (-) the rise, per run (004).

    Filled: from a fall of the dimension by 10 % of its maximum; open: from the maximum. A triangle
    is a bound, where the budget ended before one of the two: upwards where the test accuracy had
    not risen (the lead is longer), downwards where the dimension had not fallen (the lag is). The
    grey stripe is one interval between measurements to either side: within it there is no sign.
    """
    (top,) = axes
    lines, missing = _measured(lines)
    counts = dict.fromkeys(("leads", "lags", "within", "bounded", "neither"), 0)
    intervals = []
    for line in lines:
        spread = numpy.linspace(-0.8, 0.8, len(line.replicates) + 2)[1:-1]
        for replicate, shift in zip(line.replicates, spread, strict=True):
            x = PERCENT * line.config.train_fraction + shift
            lead = dimension_lead(replicate.metrics)
            start = dimension_lead(replicate.metrics, fall=None)
            intervals.append(lead.interval)
            if lead.steps is not None:
                top.vlines(x, lead.steps, start.steps, color=GREY, linewidth=0.8, zorder=2)
                top.plot(x, start.steps, "o", color=PALETTE[0], markerfacecolor="white", zorder=3)
                top.plot(x, lead.steps, "o", color=PALETTE[0], zorder=4)
                short = abs(lead.steps) <= lead.interval
                counts["within" if short else "leads" if lead.steps > 0 else "lags"] += 1
            elif lead.drop is not None:
                top.plot(x, lead.end - lead.drop, "^", color=PALETTE[1], markersize=8, zorder=4)
                counts["bounded"] += 1
            elif lead.rise is not None:
                top.plot(x, lead.rise - lead.end, "v", color=PALETTE[1], markersize=8, zorder=4)
                counts["bounded"] += 1
            else:
                top.plot(x, 0.04, "x", color=GREY, transform=top.get_xaxis_transform(), zorder=4)
                counts["neither"] += 1
    top.axhline(0, color="black", linewidth=0.8, zorder=1)
    top.set(xlabel="Training fraction (%)", ylabel="Steps by which the dimension leads")
    if not lines:
        return missing
    interval = statistics.median(intervals)
    top.axhspan(-interval, interval, color="#DDDDDD", zorder=0)
    top.margins(x=0.08, y=0.12)
    low, high = top.get_ylim()
    top.set_ylim(low - 0.1 * (high - low), high)  # room for the crosses
    ticks(top.yaxis)
    return narrow([*_lead_entries(counts, interval), *missing])


def _lead_entries(counts: dict, interval: float) -> list[Line2D]:
    def mark(marker, color, text, **style):
        return Line2D([], [], marker=marker, color=color, linestyle="none", label=text, **style)

    start = f"test accuracy has risen {PERCENT * RISE:g} % of the way"
    entries = [
        mark("o", PALETTE[0], f"from a fall of {PERCENT * FALL:g} % until {start}"),
        mark("o", PALETTE[0], "from the maximum of the dimension", markerfacecolor="white"),
        mark("s", "#DDDDDD", f"one measurement, {interval:,.0f} steps: no sign"),
    ]
    if counts["bounded"]:
        text = "bound: test accuracy (▲) or dimension (▼) outlasts the run"
        entries.append(mark("^", PALETTE[1], text))
    if counts["neither"]:
        entries.append(mark("x", GREY, "neither happened in the run (no number of steps)"))
    said = {
        "leads": "{} lead",
        "lags": "{} lag",
        "within": "{} within one measurement",
        "bounded": "{} bounded by the budget",
        "neither": "{} had neither",
    }
    parts = ", ".join(said[key].format(n) for key, n in counts.items() if n)
    total = sum(counts.values())
    return [*entries, entry(f"{total} run{'s' * (total != 1)}: {parts}", style="none")]


# kind -> (function, relative heights of its rows of axes)
KINDS = {
    "dimension": (draw_dimension, (1.6, 1.6, 2.2)),
    "lead": (draw_lead, (3.0,)),
}
