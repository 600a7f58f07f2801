"""The kinds of panel that show weights: the Fourier spectrum (Figure 12), the landscape (Figure 7).

Both are computed from weights beforehand, by weights/ into tables beside the
run; here they are only drawn. Imports no torch.
"""

import math
import textwrap

import numpy
import pandas
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from configuration import runs
from experiment.outcomes import frequencies_holding
from plotting.panels import FACT, GREY, KIND, PERCENT, WIDEST, Line, entry, note, short_path

HELD = 0.9  # share of the power in the count of frequencies


# ---------------------------------------------------------------------------------- figure 12


def draw_spectrum(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """Power of the first layer per frequency, percent, initial (ticks) and final (Figure 12).

    The operands' shares are averaged. Each seed learns frequencies of its own, so the first one is
    drawn, and how many frequencies hold nearly all of the power is said of all.
    """
    (top,) = axes
    entries, missing, drawn = [], [], 0
    for line in lines:
        counts, shown = [], None
        for replicate in line.replicates:
            path = replicate.folder / runs.SPECTRUM
            if not runs.has_derived(replicate.folder, runs.SPECTRUM):
                missing.append(replicate)
                continue
            shares = pandas.read_csv(path).groupby("frequency")[["initial", "final"]].mean()
            counts.append([frequencies_holding(shares[c], HELD) for c in ("initial", "final")])
            if shown is not None:
                continue
            x, final = shares.index.to_numpy(), PERCENT * shares["final"]
            top.vlines(x, 0, final, color=line.color, linewidth=1.4)
            top.plot(x, final, linestyle="none", color=line.color, marker="o", markersize=3.5)
            top.plot(x, PERCENT * shares["initial"], linestyle="none", color="black", marker="_",
                     markersize=4, markeredgewidth=1.1, zorder=4)  # fmt: skip
            shown, drawn = replicate.seed, drawn + 1
        if counts:
            before, after = (_range(column) for column in zip(*counts, strict=True))
            text = f"{PERCENT * HELD:g} % of the power in {after} of {len(x)} frequencies"
            seeds = f", {len(counts)} seeds" if len(counts) > 1 else ""
            seeds += f"; drawn: seed {shown}" if len(line.replicates) > 1 else ""
            entries.append(entry(f"{text}\n(initially {before}{seeds})", line.color, "none", FACT))
    if missing and not drawn:
        make = (f"python -m weights.spectrum {short_path(r.folder)}" for r in missing)
        note(top, "\n".join(["no spectrum beside the run", "", "make it:", *make]))
        return []
    top.set(xlabel="Frequency (cycles over the residues)", ylabel="Share of the power (%)")
    top.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    if drawn:
        top.set_ylim(0, 1.3 * top.dataLim.y1)  # room for the legend
        for one, mark, color in (("final", "o", GREY), ("initial", "_", "black")):
            entries.append(entry(one, color, "none", KIND))
            entries[-1].set(marker=mark, markersize=4, markeredgewidth=1.1)
    return entries


def _range(counts) -> str:
    low, high = min(counts), max(counts)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


# ---------------------------------------------------------------------------------- figure 7


def draw_landscape(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """Trajectories on their two leading principal directions over the training loss (Figure 7a).

    A circle marks the common start, a square each end. The arrow is the direction of naive loss
    minimization, the weights' own, at the end of the first run. One seed is drawn, the first that
    has a landscape.
    """
    return _draw_plane(axes[0], lines, "train_loss", "Training loss (nats)")


def draw_landscape_test(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """The same trajectories over the test loss (Figure 7b)."""
    return _draw_plane(axes[0], lines, "test_loss", "Test loss (nats)")


def _draw_plane(axes, lines: list[Line], column: str, label: str) -> list[Line2D]:
    drawn = (r.folder for line in lines for r in line.replicates)
    found = [f for f in drawn if all(runs.has_derived(f, n) for n in (runs.LANDSCAPE, runs.PATHS))]
    if not found:
        if lines:
            folders = " \\\n  ".join(short_path(line.replicates[0].folder) for line in lines)
            command = f"python -m weights.landscape {folders}"
            note(axes, f"no landscape beside {lines[0].run.name}\n\nmake it:\n{command}")
        return []
    table = pandas.read_csv(found[0] / runs.LANDSCAPE).pivot(index="b", columns="a", values=column)
    paths = pandas.read_csv(found[0] / runs.PATHS)
    both = pandas.read_csv(found[0] / runs.LANDSCAPE)[["train_loss", "test_loss"]].to_numpy()
    color_of = _draw_loss(axes, table, both, label)
    seed = found[0].name
    losses = [_losses(line, seed, column) for line in lines]
    drawn = [_draw_path(axes, *of, paths, color_of) for of in zip(lines, losses, strict=True)]
    _draw_arrow(axes, paths[paths["run"] == paths["run"].iloc[0]].iloc[-1])
    axes.set(xlabel="1st principal direction", ylabel="2nd principal direction")
    axes.locator_params(nbins=5)
    axes.grid(False)
    marks = [
        Line2D([], [], color=GREY, marker=m, linestyle="none", markerfacecolor="white", label=t)
        for t, m in (("start", "o"), ("end; both as dark as the run's own loss", "s"))
    ]
    arrow = Line2D([], [], color="black", marker=r"$\longrightarrow$", markersize=20,
                   linestyle="none", label="naive loss minimization")  # fmt: skip
    return [*(e for e in drawn if e), *marks, arrow]


def _draw_loss(axes, table: pandas.DataFrame, both: numpy.ndarray, label: str):
    """Filled contours of log loss, labelled as loss; returns the colour of a loss.

    Training and test loss (`both`) have the same colours. A loss of 0 takes the lowest.
    """
    low, high = max(both[both > 0].min(), 1e-8 * both.max()), both.max()
    logs = numpy.log10(table.to_numpy().clip(low))
    levels = numpy.linspace(numpy.log10(low) - 1e-9, numpy.log10(high) + 1e-9, 21)
    filled = axes.contourf(table.columns, table.index, logs, levels, cmap="Greys")
    bar = axes.figure.colorbar(filled, ax=axes, label=label, pad=0.03)
    decades = numpy.arange(numpy.ceil(levels[0]), numpy.floor(levels[-1]) + 1)
    bar.set_ticks(decades[:: math.ceil(len(decades) / 6)] if len(decades) > 1 else levels[::10])
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{10**v:,.10g}"))
    return lambda loss: filled.cmap(filled.norm(math.log10(max(loss, low))))


def _losses(line: Line, seed: str, column: str) -> list[float]:
    """The first and the last loss of the seed whose path is drawn."""
    of = next((r for r in line.replicates if r.folder.name == seed), line.replicates[0])
    return of.metrics[column].iloc[[0, -1]].tolist()


def _draw_path(axes, line: Line, own: list[float], paths, color_of) -> Line2D | None:
    """A smooth curve through the recorded points, which are dots; start and end are marked.

    They are filled with the run's own loss: off the plane it is another than the plane's.
    """
    path = paths[paths["run"] == line.run.name]
    if path.empty:
        return None
    points = path[["a", "b"]].to_numpy()
    axes.plot(*smooth(points).T, color=line.color)
    axes.plot(*points.T, ".", color=line.color, markersize=4)
    for mark, k in (("o", 0), ("s", -1)):
        axes.plot(*points[k], mark, color=line.color, markerfacecolor=color_of(own[k]),
                  markersize=9, markeredgewidth=1.6, zorder=4)  # fmt: skip
    share = path["in_plane"].iloc[-1]
    # The share is of the squared distance.
    text = f"the plane shows {PERCENT * math.sqrt(share):.0f} % of its distance from the start"
    return entry(textwrap.fill(f"{line.label}: {text}", WIDEST), line.color)


def smooth(points: numpy.ndarray, between: int = 8) -> numpy.ndarray:
    """Catmull-Rom splines through points (R, 2): `between` places from one to the next."""
    if len(points) < 3:
        return points
    ends = [2 * points[0] - points[1]], [2 * points[-1] - points[-2]]
    p = numpy.concatenate([ends[0], points, ends[1]])
    t = numpy.arange(between)[:, None] / between  # (between, 1)
    parts = [
        b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)
    ]
    return numpy.concatenate([*parts, points[-1:]])


def _draw_arrow(axes, row):
    """From the end of a run along its weights' own direction, a sixth of the axes long."""
    spans = numpy.array([numpy.ptp(axes.get_xlim()), numpy.ptp(axes.get_ylim())])
    start = numpy.array([row["a"], row["b"]])
    way = numpy.array([row["radial_a"], row["radial_b"]])
    tip = start + way / 6 / numpy.hypot(*(way / spans))
    arrow = {"arrowstyle": "-|>", "color": "black", "linewidth": 1.6}
    axes.annotate("", tip, start, arrowprops=arrow, annotation_clip=False, zorder=5)


# kind -> (function, relative heights of its rows of axes)
KINDS = {
    "spectrum": (draw_spectrum, (3.0,)),
    "landscape": (draw_landscape, (3.0,)),
    "landscape_test": (draw_landscape_test, (3.0,)),
}
