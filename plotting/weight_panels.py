"""The kinds of panel that show weights: the Fourier spectrum (Figure 12), the landscape (Figure 7).

Both are computed from weights beforehand, by weights/ into tables beside the
run; here they are only drawn. Imports no torch.
"""

import numpy
import pandas
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from configuration import runs
from experiment.outcomes import frequencies_holding
from plotting.panels import GREY, PERCENT, Line, entry, note, short_path

HELD = 0.9  # share of the power in the count of frequencies


# ---------------------------------------------------------------------------------- figure 12


def draw_spectrum(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """Power of the first layer per frequency, percent, initial (thin) and final (Figure 12).

    The operands' shares are averaged. Each seed learns frequencies of its own, so seeds are drawn
    one by one.
    """
    (top,) = axes
    entries, missing, drawn = [], [], 0
    for line in lines:
        counts = []
        for replicate in line.replicates:
            path = replicate.folder / runs.SPECTRUM
            if not runs.has_derived(replicate.folder, runs.SPECTRUM):
                missing.append(f"python -m weights.spectrum {short_path(replicate.folder)}")
                continue
            shares = pandas.read_csv(path).groupby("frequency")[["initial", "final"]].mean()
            x = shares.index.to_numpy()
            top.plot(x, PERCENT * shares["initial"], color=line.color, linewidth=1, alpha=0.6)
            top.plot(x, PERCENT * shares["final"], color=line.color, marker=".", linewidth=1.4)
            counts.append([frequencies_holding(shares[c], HELD) for c in ("initial", "final")])
            drawn += 1
        if counts:
            before, after = numpy.mean(counts, 0)
            text = f"{PERCENT * HELD:g} % of the power in {after:g} of {len(x)}"
            entries.append(entry(f"{line.label}: {text} (initially {before:g})", line.color))
    if missing and not drawn:
        note(top, "no spectrum beside the run\n\nmake it:\n" + "\n".join(missing))
        return []
    top.set(xlabel="Frequency (cycles over the residues)", ylabel="Share of the power (%)")
    top.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if drawn:
        top.set_ylim(bottom=0)
        thin = Line2D([], [], color=GREY, linewidth=1, alpha=0.6, label="initial")
        final = Line2D([], [], color=GREY, marker=".", linewidth=1.4, label="final")
        entries += [final, thin]
    return entries + [entry(f"missing: {m}", style="none") for m in missing]


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
    _draw_loss(axes, table, label)
    drawn = [_draw_path(axes, line, paths) for line in lines]
    _draw_arrow(axes, paths[paths["run"] == paths["run"].iloc[0]].iloc[-1])
    axes.set(xlabel="1st principal direction", ylabel="2nd principal direction")
    axes.locator_params(nbins=5)
    axes.grid(False)
    marks = [
        Line2D([], [], color=GREY, marker=m, linestyle="none", markerfacecolor="white", label=t)
        for t, m in (("start", "o"), ("end", "s"))
    ]
    arrow = entry("arrow: naive loss minimization", style="none")
    return [*(e for e in drawn if e), *marks, arrow]


def _draw_loss(axes, table: pandas.DataFrame, label: str):
    """Filled contours of log loss, labelled as loss; a loss of 0 takes the lowest colour."""
    values = table.to_numpy()
    low, high = max(values[values > 0].min(), 1e-8 * values.max()), values.max()
    logs = numpy.log10(values.clip(low))
    levels = numpy.linspace(numpy.log10(low) - 1e-9, numpy.log10(high) + 1e-9, 21)
    filled = axes.contourf(table.columns, table.index, logs, levels, cmap="Greys")
    bar = axes.figure.colorbar(filled, ax=axes, label=label, ticks=levels[::5], pad=0.03)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: _loss(10**v)))


def _loss(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _draw_path(axes, line: Line, paths: pandas.DataFrame) -> Line2D | None:
    path = paths[paths["run"] == line.run.name]
    if path.empty:
        return None
    x, y = path["a"].to_numpy(), path["b"].to_numpy()
    axes.plot(x, y, color=line.color, linewidth=1.8)
    white = {"markerfacecolor": "white", "color": line.color, "markersize": 6, "zorder": 4}
    axes.plot(x[0], y[0], "o", **white)
    axes.plot(x[-1], y[-1], "s", **white)
    share = path["in_plane"].iloc[-1]
    return entry(f"{line.label}: {PERCENT * share:.0f} % in the plane", line.color)


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
