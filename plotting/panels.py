"""What is drawn inside a panel: one function per kind, in the table KINDS; units and style.

A new kind of panel is a small function and a line in KINDS; those of the later figures are in
the other files of this folder.
"""

import math
import textwrap
from dataclasses import dataclass

import numpy
import pandas
from cycler import cycler
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from configuration import runs
from configuration.config import RunConfig
from experiment.figure import SIZES, Run
from plotting.curves import Replicate

PERCENT = 100.0  # metrics.csv holds fractions
COLLAPSE = 0.5  # where the paper says learning stops
WIDEST = 46  # characters of a legend: it must not be wider than its panel
COLLAPSE_2A = 0.4  # D13: where figures 2a, 8 and 9a draw their lines, under 50 %

# Okabe and Ito's colours: told apart with every common form of colour blindness.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY, ALERT = "#666666", "#B00020"
STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "font.size": 10,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "pdf.fonttype": 42,  # text stays text
}


@dataclass(frozen=True)
class Line:
    """A curve of a panel with its replicates; none where no complete run was found."""

    run: Run
    label: str
    color: str
    replicates: list[Replicate]

    @property
    def config(self) -> RunConfig:
        """The configuration that made the drawn replicates, up to the seed."""
        return runs.read_config(self.replicates[0].folder)

    def series(self, column: str, scale: float = 1.0):
        """(epochs, mean, standard deviation) over the steps that all replicates have.

        The standard deviation is that of a sample (n - 1), and None for one replicate.
        """
        tables = [r.metrics.set_index("step") for r in self.replicates]
        values = pandas.concat([t[column] for t in tables], axis=1, join="inner") * scale
        epochs = tables[0]["epoch"].loc[values.index].to_numpy()
        mean = values.mean(axis=1, skipna=False).to_numpy()
        if len(tables) == 1:
            return epochs, mean, None
        return epochs, mean, values.std(axis=1, ddof=1, skipna=False).to_numpy()

    def first_epoch(self, column: str, level: float) -> float | None:
        """The first epoch at which the drawn (mean) curve is at `level` or above; None: never."""
        epochs, mean, _ = self.series(column)
        reached = numpy.flatnonzero(mean >= level)
        return float(epochs[reached[0]]) if len(reached) else None


# ---------------------------------------------------------------------------------- axes


def _number(value, largest) -> str:
    """20k from ten thousand on, 2,000 below."""
    return f"{value / 1000:g}k" if largest >= 10_000 and value else f"{value:,g}"


def ticks(axis):
    axis.set_major_formatter(lambda v, _: _number(v, max(map(abs, axis.get_view_interval()))))


def epoch_axis(axes, end: int | None):
    axes.set_xlabel("Epoch")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    ticks(axes.xaxis)
    axes.margins(x=0.02)
    if end is not None:
        axes.set_xlim(-0.02 * end, end)


def percent_axis(axes, label: str):
    axes.set_ylabel(label)
    axes.set_ylim(-3, 103)
    axes.set_yticks(range(0, 101, 20))


def plot_mean(axes, line: Line, column: str, scale=1.0, **style):
    """The mean of the replicates, with a band of one standard deviation to either side."""
    epochs, mean, deviation = line.series(column, scale)
    axes.plot(epochs, mean, color=line.color, **style)
    if deviation is not None:
        band = (mean - deviation, mean + deviation)
        axes.fill_between(epochs, *band, color=line.color, alpha=0.2, linewidth=0)


def widths(lines: list):
    """Each line with its width: the later, the thinner, so that equal curves all stay visible."""
    step = min(0.7, 2.1 / max(len(lines) - 1, 1))  # points; never wider than 3.7
    return [(line, 1.6 + step * k) for k, line in zip(range(len(lines))[::-1], lines, strict=True)]


def entry(label, color=GREY, style="-") -> Line2D:
    return Line2D([], [], color=color, linestyle=style, label=label)


# Two-sided 95 % of Student's t for 1, 2, ... 30 degrees of freedom; beyond, the last one.
STUDENT = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
    2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
)  # fmt: skip


def confidence(values: numpy.ndarray) -> numpy.ndarray | None:
    """Half the width of the 95 % confidence interval of the mean of each column, by Student's t.

    t(n - 1) * s / sqrt(n) with the sample standard deviation s of n values; None for n = 1.
    """
    n = len(values)
    if n == 1:
        return None
    return STUDENT[min(n - 1, len(STUDENT)) - 1] * values.std(axis=0, ddof=1) / n**0.5


def by_step(line: Line, column: str, scale: float = 1.0, over: str = "step"):
    """(steps, values (replicates, steps)) over the steps at which all replicates measured it.

    over: "step", or "epoch" for these.
    """
    tables = [r.metrics.set_index(over)[column].dropna() for r in line.replicates]
    values = pandas.concat(tables, axis=1, join="inner") * scale
    return values.index.to_numpy(), values.to_numpy().T


def plot_steps(
    axes, line: Line, column: str, scale=1.0, band=None, over="step", shade=0.2, **style
):
    """The mean over the replicates against steps, and a band of `band(values)` to either side.

    Without `band` it is one standard deviation, as in all panels over epochs. `over`: "step", or
    "epoch" for epochs. `shade`: opacity of the band.
    """
    steps, values = by_step(line, column, scale, over)
    mean = values.mean(axis=0)
    color = style.setdefault("color", line.color)
    axes.plot(steps, mean, **style)
    width = band(values) if band else values.std(axis=0, ddof=1) if len(values) > 1 else None
    if width is not None:
        axes.fill_between(steps, mean - width, mean + width, color=color, alpha=shade, linewidth=0)
    return mean


def step_axis(axes, end: int | None, log: bool, over: str = "step"):
    """Optimizer steps, or epochs; the first, 0, has no place on a log axis."""
    label = {"step": "Optimizer steps", "epoch": "Epochs"}[over]
    axes.set_xlabel(f"{label} (log scale)" if log else label)
    if log:
        axes.set_xscale("log")
    else:
        axes.margins(x=0.02)
        axes.locator_params(axis="x", nbins=6)
        ticks(axes.xaxis)
    if end is not None:
        axes.set_xlim(right=end)


def narrow(entries: list[Line2D]) -> list[Line2D]:
    """The entries with their labels wrapped: a legend must not be wider than its panel."""
    for one in entries:
        one.set_label(textwrap.fill(one.get_label(), WIDEST))
    return entries


def with_column(lines: list[Line], column: str, flag: str) -> tuple[list[Line], list[Line2D]]:
    """(lines whose runs recorded a column that starts like this, entries that name the others)."""
    recorded = [
        line
        for line in lines
        if all(any(c.startswith(column) for c in r.metrics) for r in line.replicates)
    ]
    others = [line.label for line in lines if line not in recorded]
    return recorded, [entry(f"{x}: recorded only with --{flag}", style="none") for x in others]


def note(axes, text: str):
    """A sentence in the middle of axes that show nothing."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", size=8)
    axes.set(xticks=[], yticks=[])
    axes.grid(False)


def short_path(folder) -> str:
    """The end of a run folder's path, enough to find it."""
    sized = f"{folder.parts[-3]}/" in SIZES.values()
    return "/".join(folder.parts[-4 if sized else -3 :])


# ---------------------------------------------------------------------------------- kinds of panel
# Each draws the lines into its axes (from top to bottom) and returns the entries of the legend.


def draw_accuracy(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """Test (solid) and training (dashed) accuracy, percent, against epochs."""
    (top,) = axes
    for line, width in widths(lines):
        plot_mean(top, line, "train_accuracy", PERCENT, linestyle="--", linewidth=width, zorder=2)
    for line, width in widths(lines):
        plot_mean(top, line, "test_accuracy", PERCENT, linewidth=width, zorder=3)
    percent_axis(top, "Accuracy (%)")
    epoch_axis(top, end)
    tests = [entry(f"Test: {line.label}", line.color) for line in lines]
    return [*tests, *([entry("Train", style="--")] if lines else [])]


def draw_collapse(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """Accuracy with a dotted line at the first epoch with 50 % softmax collapse; below, all of it.

    With several seeds both rows speak of the mean over the seeds.
    """
    top, below = axes
    draw_accuracy([top], lines, end)
    top.set_xlabel("")
    top.tick_params(labelbottom=False)
    entries = []
    for level in (COLLAPSE_2A, COLLAPSE):
        below.axhline(PERCENT * level, color=GREY, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
    for line, width in widths(lines):
        plot_mean(below, line, "softmax_collapse", PERCENT, linewidth=width)
        low, high = (line.first_epoch("softmax_collapse", x) for x in (COLLAPSE_2A, COLLAPSE))
        if high is not None:
            for part in axes:
                part.axvline(high, color=line.color, linestyle=":", linewidth=1.8, zorder=2.5)
        said = [
            f"{PERCENT * level:g} % at {epoch:,.10g}"
            for level, epoch in ((COLLAPSE_2A, low), (COLLAPSE, high))
            if epoch is not None
        ]
        if high is None:
            level = COLLAPSE_2A if low is None else COLLAPSE
            said.append(f"below {PERCENT * level:g} % (max {largest_collapse(line)} %)")
        entries.append(entry(f"{line.label}: collapse {', '.join(said)}", line.color))
    epoch_axis(below, end)
    below.set_ylabel("Softmax\ncollapse (%)")
    below.set_ylim(-3, 103)
    below.set_yticks([0, PERCENT * COLLAPSE_2A, PERCENT * COLLAPSE, 100])
    if not lines:
        return []
    dotted = f"first epoch with {PERCENT * COLLAPSE:g} % softmax collapse"
    return [*entries, entry("Test"), entry("Train", style="--"), entry(dotted, style=":")]


def largest_collapse(line: Line) -> str:
    """The largest collapse of the drawn curve, rounded down: 49.96 must not read 50."""
    values = line.series("softmax_collapse", PERCENT)[1]
    values = values[numpy.isfinite(values)]
    return f"{math.floor(10 * values.max()) / 10:g}" if len(values) else "undefined"


def draw_weight_norm(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """L2 norm over all parameters against epochs."""
    (top,) = axes
    for line, width in widths(lines):
        plot_mean(top, line, "weight_norm", linewidth=width)
    top.set_ylabel("Weight norm (L2)")
    if lines:
        top.set_ylim(bottom=0)
    ticks(top.yaxis)
    epoch_axis(top, end)
    return [entry(line.label, line.color) for line in lines]


# kind -> (function, relative heights of its rows of axes)
KINDS = {
    "accuracy": (draw_accuracy, (3.0,)),
    "collapse": (draw_collapse, (3.0, 1.7)),
    "weight_norm": (draw_weight_norm, (3.0,)),
}
