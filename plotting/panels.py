"""What is drawn inside a panel: one function per kind, in the table KINDS; units and style.

A new kind of panel is a small function and a line in KINDS; those of the later figures are in
the other files of this folder.
"""

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy
import pandas
from cycler import cycler
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from configuration import runs
from configuration.config import RunConfig
from experiment.figure import PUBLISHED_SEED, SIZES, Run
from experiment.outcomes import median_time
from plotting.curves import Replicate

PERCENT = 100.0  # metrics.csv holds fractions
COLLAPSE = 0.5  # where the paper says learning stops
WIDEST = 40  # characters of a legend: it must not be wider than its panel
COLLAPSE_2A = 0.4  # D13: where figures 2a, 8 and 9a draw their lines, under 50 %
DELAYED = 0.95  # accuracy of training and of test set between which the delay is
FEW = 5  # seeds from which on a band shows the quartiles and not the range

# Okabe and Ito's colours: told apart with every common form of colour blindness.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
EXTENDED = (*PALETTE, "#8B5A2B", "#7F3C8D", "#999933")  # where more must be told apart
GREY, ALERT = "#666666", "#B00020"
AIDS = "aids"  # gid of what is drawn beside the curves: stripes, ends, published points
STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelsize": 12,
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 13,
    "font.size": 12,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.borderaxespad": 0.3,
    "legend.fontsize": 10.5,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "legend.labelspacing": 0.3,
    "lines.linewidth": 2.0,
    "pdf.fonttype": 42,  # text stays text
}


def spread(values: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """(low, high) over the first axis: the range of few values, the quartiles of FEW and more."""
    ends = (0, 100) if len(values) < FEW else (25, 75)
    return tuple(numpy.percentile(values, ends, axis=0))


def spread_words(count: int) -> str:
    """What a line and its band show of so many seeds."""
    return f"median and {'range' if count < FEW else 'quartiles'}"


@dataclass(frozen=True)
class Line:
    """A curve of a panel with its replicates; none where no complete run was found.

    `published`: {column: {epoch: value}} as read off the published picture, in the units drawn.
    """

    run: Run
    label: str
    color: str
    replicates: list[Replicate]
    published: Mapping[str, Mapping[float, float]] = field(default_factory=dict)

    @property
    def config(self) -> RunConfig:
        """The configuration that made the drawn replicates, up to the seed."""
        return runs.read_config(self.replicates[0].folder)

    def series(self, column: str, scale: float = 1.0, over: str = "epoch"):
        """(x, values (replicates, x)) at the steps at which all replicates measured the column.

        A replicate that stopped at a level, as its run was told to, keeps its last value.

        over: "epoch" or "step", what x is.
        """
        tables = [[r.metrics[c].to_numpy() for c in ("step", column)] for r in self.replicates]
        tables = [(steps[there], values[there]) for steps, values in tables
                  for there in [~numpy.isnan(values)]]  # fmt: skip
        longest = max(range(len(tables)), key=lambda k: tables[k][0].max(initial=-1))
        if self.run.config.stop_at != "None":
            tables = [_prolonged(*table, tables[longest][0]) for table in tables]
        common = reduce(_common, (steps for steps, _ in tables))
        values = [
            values if len(steps) == len(common) else values[numpy.isin(steps, common)]
            for steps, values in tables
        ]
        rows = self.replicates[longest].metrics
        x = rows[over].to_numpy()[numpy.isin(rows["step"].to_numpy(), common)]
        return x, numpy.array(values) * scale

    def median(self, column: str, scale: float = 1.0):
        """(epochs, median of the replicates): the curve that is drawn."""
        epochs, values = self.series(column, scale)
        return epochs, numpy.median(values, axis=0)

    def first_epochs(self, column: str, level: float) -> list[float | None]:
        """Of each replicate the first epoch at which the column is at `level`; None: never."""
        tables = [r.metrics[r.metrics[column] >= level] for r in self.replicates]
        return [None if table.empty else float(table["epoch"].iloc[0]) for table in tables]

    def first_epoch(self, column: str, level: float) -> float | None:
        """The median of `first_epochs`, in which never is later than all; None: never."""
        epoch = median_time(self.first_epochs(column, level))
        return epoch if math.isfinite(epoch) else None

    @property
    def as_published(self) -> "Line | None":
        """The replicate of the seed that the published curve has, where there are others, too."""
        if not self.published or len(self.replicates) < 2:
            return None
        found = [r for r in self.replicates if r.seed == PUBLISHED_SEED]
        return replace(self, replicates=found) if found else None


def _prolonged(steps: numpy.ndarray, values: numpy.ndarray, others: numpy.ndarray):
    """(steps, values) with the last value at those of the other steps that are later, too."""
    later = others[others > (steps[-1] if len(steps) else numpy.inf)]
    return numpy.r_[steps, later], numpy.r_[values, numpy.repeat(values[-1:], len(later))]


def _common(a: numpy.ndarray, b: numpy.ndarray) -> numpy.ndarray:
    """What two rising arrays share, rising."""
    return a if numpy.array_equal(a, b) else numpy.intersect1d(a, b, assume_unique=True)


# ---------------------------------------------------------------------------------- axes


def _number(value, largest) -> str:
    """20k from ten thousand on, 2,000 below."""
    return f"{value / 1000:g}k" if largest >= 10_000 and value else f"{value:,g}"


def ticks(axis):
    axis.set_major_formatter(lambda v, _: _number(v, max(map(abs, axis.get_view_interval()))))


def epoch_axis(axes, end: int | None):
    axes.set_xlabel("Epoch")
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    ticks(axes.xaxis)
    axes.margins(x=0.02)
    if end is not None:
        axes.set_xlim(-0.02 * end, end)


def step_axis(axes, end: int | None, log: bool, over: str = "step"):
    """Optimizer steps, or epochs."""
    axes.set_xlabel({"step": "Optimizer steps", "epoch": "Epoch"}[over])
    axes.margins(x=0.02)
    if log:
        log_axis(axes)
    else:
        axes.locator_params(axis="x", nbins=6)
        ticks(axes.xaxis)
    if end is not None:
        axes.set_xlim(right=end)


def log_axis(axes):
    """A log x axis, from shortly before any curve moves on; the first row, 0, has no place on it.

    A curve has moved where it is 3 % of the height of the axes away from its first value. Nothing
    is drawn left of the second row: what happens between it and 0 was not measured.
    """
    axes.set_xscale("log")
    axes.set_xlabel(f"{axes.get_xlabel()} (log scale)")
    curves = [x for x in axes.lines if x.get_transform() == axes.transData and x.get_gid() != AIDS]
    starts, ends, rows = [], [], []
    height = numpy.diff(axes.get_ylim())
    for x, y in (line.get_data() for line in curves if len(line.get_xdata()) > 1):
        moved = numpy.flatnonzero((numpy.abs(y - y[0]) > 0.03 * height) & (x > 0))
        starts += [x[moved[0]]] if len(moved) else []
        ends.append(x[-1])
        rows.append(x[x > 0].min(initial=x[-1]))
    if starts and max(ends) > min(starts):
        axes.set_xlim(max(min(starts) / 3, min(rows)), max(ends) * 1.05)
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if high > 100 * low else (1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:,.10g}" if v < 1e4 else f"{v / 1000:,g}k")
    axes.xaxis.set_minor_formatter(NullFormatter())


def percent_axis(axes, label: str):
    axes.set_ylabel(label)
    axes.set_ylim(-3, 103)
    axes.set_yticks(range(0, 101, 20))


def dashes(k: int = 0, count: int = 1):
    """The dash pattern of the k-th of several curves: where they are equal they take turns."""
    if count == 1:
        return "--"
    count = min(count, 4)
    return (2.4 * (k % count), (2.4, 2.4 * (count - 1)))  # in line widths


THIN = "thin: every row; thick: running median"
MANY = 150  # rows from which on a curve on a log axis is its running median, over a faint whole


def plot_median(
    axes, line: Line, column: str, scale=1.0, over="epoch", log=False, points=True, **style
):
    """The median of the replicates, their spread as a band, and the published points.

    Where those are of a seed that was run among others, its curve is drawn, too, as a thin line.

    Args:
        log: for a log axis, where the rows of a long run lie so dense that what oscillates would be
            an area: then the whole is drawn faint, and on it the median over each 1/40 of a decade.
        points: whether the published points are drawn.

    Returns:
        The median.
    """
    x, values = line.series(column, scale, over)
    median = numpy.median(values, axis=0)
    style.setdefault("color", line.color)
    if log and len(x) > MANY:
        axes.plot(x, median, **style | {"linewidth": 0.6, "alpha": 0.35, "gid": AIDS}, label=THIN)
        bins = numpy.floor(40 * numpy.log10(numpy.maximum(x, 1e-9)))
        table = pandas.DataFrame({"bin": bins, "x": x, "y": median})
        table = table.groupby("bin").median()
        axes.plot(table["x"], table["y"], **style)
    else:
        axes.plot(x, median, **style)
    if len(values) > 1:
        axes.fill_between(x, *spread(values), color=style["color"], alpha=0.2, linewidth=0)
    theirs = line.published.get(column)
    if theirs and line.as_published:
        x, (alone,) = line.as_published.series(column, scale, over)
        axes.plot(x, alone, **style | SAME_SEED)
    if theirs and points:
        axes.plot(list(theirs), list(theirs.values()), **PUBLISHED, color=line.color)
    return median


# The published curve: hollow, so that ours is seen through it.
PUBLISHED = {"marker": "o", "linestyle": "none", "markersize": 5.5, "markerfacecolor": "none",
             "markeredgewidth": 1.1, "alpha": 0.75, "zorder": 6, "gid": AIDS}  # fmt: skip

# Our run of the published curve's seed, where others were run, too.
SAME_SEED = {"linewidth": 0.9, "gid": AIDS}

PUBLISHED_LINE = PUBLISHED | {"marker": "D", "markersize": 6.5, "markerfacecolor": "white",
                              "markeredgewidth": 1.6, "alpha": 1}  # fmt: skip


KIND, FACT = "kind", "fact"  # gid of entries for what lines mean; for what one panel shows


def entry(label, color=GREY, style="-", gid=None) -> Line2D:
    """An entry of the legend; without a gid it stands for a curve, which panels may share."""
    return Line2D([], [], color=color, linestyle=style, label=label, gid=gid)


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


def plot_accuracies(axes, lines: list[Line], over="epoch", log=False) -> list[Line2D]:
    """Test (solid) and training (dashed) accuracy, percent; the entries of the legend."""
    for k, line in enumerate(lines):
        style = {"linestyle": dashes(k, len(lines)), "zorder": 3.6, "over": over, "log": log}
        plot_median(axes, line, "train_accuracy", PERCENT, **style)
    for line in lines:
        plot_median(axes, line, "test_accuracy", PERCENT, zorder=3, over=over, log=log)
    percent_axis(axes, "Accuracy (%)")
    return with_kinds([entry(line.label, line.color) for line in lines])


def with_kinds(entries: list[Line2D]) -> list[Line2D]:
    """The entries of curves, and what solid and dashed lines are."""
    kinds = [entry("Test", gid=KIND), entry("Train", style="--", gid=KIND)]
    return [*entries, *kinds] if entries else []


def draw_accuracy(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """Test (solid) and training (dashed) accuracy, percent, against epochs.

    Of a single curve an arrow shows the delay, from 95 % of the training to 95 % of the test set.
    """
    entries = plot_accuracies(axes[0], lines)
    epoch_axis(axes[0], end)
    if len(lines) == 1:
        _show_delay(axes[0], lines[0])
    return entries


def _show_delay(axes, line: Line):
    fitted, there = (line.first_epoch(f"{x}_accuracy", DELAYED) for x in ("train", "test"))
    if None in (fitted, there) or there <= fitted:
        return
    level, words = PERCENT * DELAYED, f"delay {there - fitted:,.10g}"
    low, high = axes.get_xlim()
    arrow = {"arrowstyle": "<->", "color": "black", "shrinkA": 0, "shrinkB": 0}
    if there > high:
        there, words, arrow["arrowstyle"] = high, f"delay above {high - fitted:,.10g}", "<-"
    if there - fitted > 0.05 * (high - low):  # else the two heads are a blot
        axes.annotate("", (there, level), (fitted, level), arrowprops=arrow)
    wide = there - fitted > 0.3 * (high - low)  # the words fit under the arrow
    place = ((fitted + there) / 2, "center") if wide else (there, "left")
    axes.annotate(words, (place[0], level), (6 * (not wide), -5), textcoords="offset points",
                  ha=place[1], va="top", size=10.5)  # fmt: skip


def draw_collapse(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """Accuracy, and below it softmax collapse, percent, against epochs.

    A dotted line stands at the first epoch with 50 % collapse, of several seeds at their median, in
    black where it is that of several curves; there is none where a run begins above that. A diamond
    stands where the published picture has its line (at 40 % in 2a, 8 and 9a, D13), a dash-dotted
    line where collapse is induced.
    """
    top, below = axes
    entries = plot_accuracies(top, lines)
    top.tick_params(labelbottom=False)
    onsets, never, from_start = {}, [], False
    column = "softmax_collapse"
    theirs = [(line, *point) for line in lines for point in line.published.get(column, {}).items()]
    levels = sorted({PERCENT * COLLAPSE, *(level for _, _, level in theirs)})
    for line in lines:
        collapse = plot_median(below, line, column, PERCENT, points=False)
        from_start = from_start or bool(len(collapse)) and collapse[0] >= PERCENT * COLLAPSE
        epoch = line.first_epoch(column, COLLAPSE)
        if epoch is None:
            text = f"{line.label}: {most_collapse(line)}"
            never.append(entry(text, line.color, "none", FACT))
        else:
            onsets.setdefault(epoch, []).append(line)
    for line, at, level in theirs:
        below.plot(at, level, color=line.color, **PUBLISHED_LINE)
    if theirs:
        words = "published collapse line"
        entries.append(Line2D([], [], color=GREY, label=words, **PUBLISHED_LINE | {"gid": KIND}))
    if not from_start:
        for level in levels:
            below.axhline(level, color=GREY, linewidth=0.8, linestyle="--", zorder=1)
        for epoch, there in onsets.items():
            color = there[0].color if len(there) == 1 else "black"
            for part in axes:
                part.axvline(epoch, color=color, linestyle=":", zorder=2.5)
            seeds = [e for line in there for e in line.first_epochs(column, COLLAPSE)]
            entries.append(entry(f"epoch {_with_range(epoch, seeds)}", color, ":", FACT))
        if onsets:
            several = any(len(line.replicates) > 1 for line in lines)
            text = f"first epoch with {PERCENT * COLLAPSE:g} % collapse"
            entries.append(entry("median " * several + text, style=":", gid=KIND))
        entries += never
    epoch_axis(top, end)
    top.set_xlabel("")
    epoch_axis(below, end)
    below.set_ylabel("Softmax\ncollapse (%)")
    below.set_ylim(-3, 103)
    below.set_yticks([0, 100] if from_start else [0, *levels, 100])
    for epoch in sorted({x.config.induce_collapse_epoch for x in lines} - {None}):
        for part in axes:
            part.axvline(epoch, color="black", linestyle="-.", linewidth=1.2, zorder=2)
        entries.append(entry(f"induced from epoch {epoch:,}", "black", "-.", KIND))
    return entries


def _with_range(epoch: float, seeds: list[float | None]) -> str:
    """Such as "4,600 (2,900 to 7,000)", or "4,600" where the seeds agree within a quarter."""
    low, *_, high = sorted([epoch, *(e for e in seeds if e is not None)])
    ends = f"{low:,.10g} to {high:,.10g}" if high - low > 0.25 * epoch else ""
    never = seeds.count(None)
    said = ", ".join(filter(None, (ends, f"{never} of {len(seeds)} never" if never else "")))
    return f"{epoch:,.10g} ({said})" if said else f"{epoch:,.10g}"


def most_collapse(line: Line) -> str:
    """What the seeds of a line come to whose median never has 50 %; 49.96 must not read 50."""
    reached = sum(e is not None for e in line.first_epochs("softmax_collapse", COLLAPSE))
    if reached:
        return f"{PERCENT * COLLAPSE:g} % collapse on {reached} of {len(line.replicates)} seeds"
    most = largest_collapse(line)
    return "collapse undefined" if most == "undefined" else f"collapse ≤ {most} %"


def largest_collapse(line: Line) -> str:
    """The largest collapse of any seed, percent, one decimal; 49.96 must not read 50."""
    most = max(PERCENT * r.metrics["softmax_collapse"].max() for r in line.replicates)
    if not math.isfinite(most):
        return "undefined"
    near = round(most, 1)
    return f"{near if most >= PERCENT * COLLAPSE or near < 50 else math.floor(10 * most) / 10:g}"


def draw_weight_norm(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """L2 norm over all parameters against epochs."""
    (top,) = axes
    for line in lines:
        plot_median(top, line, "weight_norm")
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
