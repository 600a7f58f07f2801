"""The kinds of panel that are maps: the delay over two sizes, and loss surfaces (002).

Imports no torch.
"""

from dataclasses import dataclass, field

import numpy
import pandas
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from configuration import runs
from experiment.outcomes import BAND, THRESHOLD, grokking_delay
from plotting.panels import FACT, PERCENT, Line, entry, narrow, note, short_path

MAP = "viridis"
BOX = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 2}
OUTLINE = "#D55E00"

# ---------------------------------------------------------------------------------- delay


@dataclass
class Cell:
    """The runs of one training-set size and batch size.

    `delays`: of those with both accuracies at 95 %; `memorised`: number with training accuracy
    alone, censored by the budget; `confused`: number without either.
    """

    delays: list[float] = field(default_factory=list)
    memorised: int = 0
    confused: int = 0

    @property
    def count(self) -> int:
        return len(self.delays) + self.memorised + self.confused


def delay_cells(lines: list[Line], unit: str) -> dict[tuple[int, int], Cell]:
    """{(training-set size, batch size): Cell}; unit: steps or epochs."""
    cells = {}
    for line in lines:
        config = line.config
        cell = cells.setdefault((config.train_examples, config.batch_size), Cell())
        for replicate in line.replicates:
            delay = grokking_delay(replicate.metrics)
            if delay.train_step is None:
                cell.confused += 1
            elif delay.test_step is None:
                cell.memorised += 1
            else:
                cell.delays.append(getattr(delay, unit))
    return cells


def in_band(size: int, batch: int) -> bool:
    """Whether training-set size over batch size is from 100 to 800."""
    return BAND[0] <= size / batch <= BAND[1]


def draw_delay_steps(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """Mean grokking delay in steps over training-set size and batch size (002).

    A cell shows the mean over the runs that reached 95 % training and test accuracy, and how many
    those are of all that ran; the rest is censored by the budget, so the mean is a lower bound.
    """
    return _draw_delay(axes[0], lines, "steps")


def draw_delay_epochs(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """The same in epochs, from the same rows of the same runs."""
    return _draw_delay(axes[0], lines, "epochs")


def _short(value: float) -> str:
    """33, 488, 1.2k, 23.5k: three digits at most; signs are kept."""
    if abs(value) < 999.5:
        return f"{value:.0f}" if abs(value) >= 99.5 else f"{value:.3g}"
    return f"{value / 1000:.{1 if abs(value) < 99_950 else 0}f}".removesuffix(".0") + "k"


def _draw_delay(axes, lines: list[Line], unit: str) -> list[Line2D]:
    if not lines:
        return []
    cells = delay_cells(lines, unit)
    sizes, batches = (sorted({key[k] for key in cells}) for k in (0, 1))
    means = {key: numpy.mean(c.delays) for key, c in cells.items() if c.delays}
    grid = numpy.full((len(sizes), len(batches)), numpy.nan)
    for (size, batch), mean in means.items():
        grid[sizes.index(size), batches.index(batch)] = max(mean, 1)  # 0 and less: lowest colour
    shown = grid[numpy.isfinite(grid)]
    low = shown.min() if len(shown) else 1
    norm = LogNorm(low, max(shown.max(), 1.01 * low) if len(shown) else 10)
    image = axes.pcolormesh(grid, cmap=MAP, norm=norm)
    for (size, batch), cell in cells.items():
        x, y = batches.index(batch), sizes.index(size)
        text, color = f"{len(cell.delays)}/{cell.count}", "black"
        if cell.delays:
            mean = means[size, batch]
            text = f"{_short(mean)}\n{text}"
            color = "white" if norm(max(mean, 1)) < 0.6 else "black"
        else:
            axes.add_patch(Rectangle((x, y), 1, 1, hatch="///", facecolor="white",
                                     edgecolor="#BBBBBB", linewidth=0))  # fmt: skip
        box = None if cell.delays else {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axes.text(x + 0.5, y + 0.5, text, color=color, ha="center", va="center", size=8, bbox=box)
    _outline(axes, sizes, batches)
    axes.set_xticks(numpy.arange(len(batches)) + 0.5, [f"{b:,}" for b in batches])
    axes.set_yticks(numpy.arange(len(sizes)) + 0.5, [f"{s:,}" for s in sizes])
    axes.set(xlim=(0, len(batches)), ylim=(0, len(sizes)))
    axes.set(xlabel="Batch size", ylabel="Training-set size")
    axes.tick_params(length=0)
    axes.grid(False)
    bar = axes.figure.colorbar(image, ax=axes, pad=0.03, label=f"Mean grokking delay ({unit})")
    wide = norm.vmax > 300 * norm.vmin
    bar.ax.yaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: _short(v)))
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    return narrow(_delay_entries(cells))


def _outline(axes, sizes, batches):
    """A line around the cells of the band: the sides at which one is in and its neighbour not."""
    inside = {
        (x, y)
        for y, size in enumerate(sizes)
        for x, batch in enumerate(batches)
        if in_band(size, batch)
    }
    style = {"color": OUTLINE, "linewidth": 2.6, "solid_capstyle": "round", "clip_on": False}
    for x, y in inside:
        for (dx, dy), xs, ys in (
            ((-1, 0), (x, x), (y, y + 1)),
            ((1, 0), (x + 1, x + 1), (y, y + 1)),
            ((0, -1), (x, x + 1), (y, y)),
            ((0, 1), (x, x + 1), (y + 1, y + 1)),
        ):
            if (x + dx, y + dy) not in inside:
                axes.plot(xs, ys, zorder=5, **style)


def _delay_entries(cells: dict[tuple[int, int], Cell]) -> list[Line2D]:
    total = sum(c.count for c in cells.values())
    both = sum(len(c.delays) for c in cells.values())
    memorised = sum(c.memorised for c in cells.values())
    confused = sum(c.confused for c in cells.values())
    level = f"{PERCENT * THRESHOLD:g} %"
    entries = [
        entry(f"n/N: runs at {level} on train and test, of all; mean over n", style="none"),
        entry(f"{total} run{'s' * (total != 1)}: {both} at {level} on both", style="none"),
    ]
    if memorised or confused:
        text = f"ended before: {memorised} with {level} on train alone, {confused} on neither"
        entries.append(entry(text, style="none"))
    entries.append(entry(f"train size / batch size {BAND[0]} to {BAND[1]}", OUTLINE))
    if any(not c.delays for c in cells.values()):
        entries.append(
            Patch(hatch="///", facecolor="white", edgecolor="#BBBBBB", label="no run came to both")
        )
    return entries


# ---------------------------------------------------------------------------------- surfaces


def draw_surface(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """Training loss (above) and test loss around the final weights, filled contours (002).

    Two random directions, each tensor's part of unit norm. The cross is the network itself; the
    white line encloses where accuracy on these examples is still 95 %. One run, and of it the first
    seed that has a surface.
    """
    return _draw_surface(axes, lines, "tensor")


def draw_surface_filter(axes, lines: list[Line], end: int | None) -> list[Line2D]:
    """The same with filter-normalised directions (Li et al. 2018)."""
    return _draw_surface(axes, lines, "filter")


def _draw_surface(axes, lines: list[Line], normalisation: str) -> list[Line2D]:
    file = runs.SURFACES[normalisation]
    found = [
        (line, r.folder / file)
        for line in lines
        for r in line.replicates
        if runs.has_derived(r.folder, file)
    ]
    if not found:
        if lines:
            folder = short_path(lines[0].replicates[0].folder)
            script = "python -m weights.landscape"
            script += f" --normalisation {normalisation} \\\n  --surface {folder}"
            note(axes[0], f"no {file} beside the run\n\nmake it:\n{script}")
            for part in axes[1:]:
                part.set_visible(False)
        return []
    _, path = found[0]
    table = pandas.read_csv(path)
    seed = path.parent.name.replace("_", " ")
    for part, split, label in zip(axes, ("train", "test"), ("Training", "Test"), strict=True):
        loss = table.pivot(index="b", columns="a", values=f"{split}_loss")
        accuracy = table.pivot(index="b", columns="a", values=f"{split}_accuracy")
        values = loss.to_numpy()
        low, high = numpy.nanmin(values), numpy.nanmax(values)
        levels = numpy.linspace(low, high if high > low else low + 1e-12, 21)
        filled = part.contourf(loss.columns, loss.index, values, levels, cmap=MAP)
        bar = part.figure.colorbar(filled, ax=part, label=f"{label} loss (nats)", pad=0.03)
        bar.locator = MaxNLocator(6)
        bar.update_ticks()
        if accuracy.to_numpy().min() < THRESHOLD <= accuracy.to_numpy().max():
            part.contour(accuracy.columns, accuracy.index, accuracy.to_numpy(), [THRESHOLD],
                         colors="white", linewidths=1.4)  # fmt: skip
        part.plot(0, 0, "+", color="white", markersize=10, markeredgewidth=2)
        part.set_ylabel("2nd direction")
        part.locator_params(nbins=5)
        part.grid(False)
        centre = table[(table["a"] == 0) & (table["b"] == 0)][f"{split}_loss"]
        middle = f", centre {_loss(centre.iloc[0])}" if len(centre) else ""
        part.text(0.02, 0.97, f"{seed}: range {_loss(high - low)}{middle}", size=9, va="top",
                  transform=part.transAxes, bbox=BOX)  # fmt: skip
    axes[0].tick_params(labelbottom=False)
    axes[-1].set_xlabel("1st direction")
    text = f"white line: accuracy {PERCENT * THRESHOLD:g} %; cross: the network"
    side = table["a"].nunique()
    used = " and ".join(f"{table[f'{s}_examples'].iloc[0]:,} {s}" for s in ("train", "test"))
    what = f"{side} × {side} points, {used} examples"
    return narrow([entry(text, style="none"), entry(what, style="none", gid=FACT)])


def _loss(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


# kind -> (function, relative heights of its rows of axes)
KINDS = {
    "delay_steps": (draw_delay_steps, (3.6,)),
    "delay_epochs": (draw_delay_epochs, (3.6,)),
    "surface": (draw_surface, (2.6, 2.6)),
    "surface_filter": (draw_surface_filter, (2.6, 2.6)),
}
